"""Relationships and their policies, found by name."""

from farshore.ontap import parse
from farshore.ontap.model import Policy, Relationship
from farshore.ontap.transfers import TransferCalls


class RelationshipCalls(TransferCalls):
    """`/snapmirror/relationships` and `/snapmirror/policies`, on the destination's cluster."""

    async def find_relationship(self, destination_path: str) -> Relationship | None:
        """The relationship whose destination is `destination_path` (`svm:volume`), if there is one."""
        found = await self._list(
            "find relationship",
            "/snapmirror/relationships",
            parse.RELATIONSHIP_FIELDS,
            parse.relationship,
            **{"destination.path": destination_path},
        )
        return next((one for one in found if one.destination_path == destination_path), None)

    async def policy(self, name: str) -> Policy | None:
        """The policy `name` of our SVM, if there is one."""
        found = await self._list(
            "find policy",
            "/snapmirror/policies",
            parse.POLICY_FIELDS,
            parse.policy,
            **{"name": name, "svm.name": self.settings.svm},
        )
        return next((one for one in found if one.name == name), None)
