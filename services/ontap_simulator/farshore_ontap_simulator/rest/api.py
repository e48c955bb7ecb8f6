"""What a call gets and gives, and the table of calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from farshore_ontap_simulator.errors import invalid_value, missing_value
from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.model.records import Job
from farshore_ontap_simulator.rest import query as queries
from farshore_ontap_simulator.rest.query import Query
from farshore_ontap_simulator.transfer.relationships import Relationships
from farshore_ontap_simulator.transfer.transfers import Transfers

Json = dict[str, Any]
B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Services:
    """What calls act on."""

    cluster: Cluster
    transfers: Transfers
    relationships: Relationships
    calls: set[tuple[str, str, str]] = field(default_factory=set)
    """Which calls were made since the start: user, method, and the route's path."""


class Body(BaseModel):
    """A request body: what the simulator doesn't model is accepted and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@dataclass(frozen=True, slots=True)
class Request:
    """A call: its path and the names in it, its query, its body."""

    path: str
    names: dict[str, str]
    query: Query
    flags: dict[str, str]
    body: Json

    def flag(self, name: str) -> bool:
        """A boolean parameter of the call, false if absent."""
        value = self.flags.get(name, "false").lower()
        if value not in ("true", "false"):
            raise invalid_value(name, value)
        return value == "true"

    def parse(self, kind: type[B]) -> B:
        """The body as `kind`. Raises OntapError for a wrong or missing field."""
        try:
            return kind.model_validate(self.body)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            if first["type"] == "missing":
                raise missing_value(name) from error
            raise invalid_value(name, first.get("input")) from error


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished call, or one whose job goes on: then `made` is rendered once the job is done and it was asked for."""

    status: int = 200
    body: Json = field(default_factory=dict)
    location: str | None = None
    job: Job | None = None
    done_status: int = 200
    made: Callable[[], Json] | None = None


Handler = Callable[[Services, Request], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A call: `{name}` in the path matches one segment. `flags` are its parameters that are no filters.

    `asks_peers`: the handler waits for other clusters, so that it can't hold the lock that makes reads consistent.
    """

    method: str
    path: str
    handler: Handler
    flags: frozenset[str] = frozenset()
    asks_peers: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """The names in a path, None if it is another."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return None if found is None else found.groupdict()


def collection(request: Request, records: Sequence[Json], keys: Sequence[str], identity: str = "uuid") -> Answer:
    """The answer to a collection's GET."""
    return Answer(body=queries.run(records, request.query, keys, request.path, identity))


def instance(request: Request, record: Json, keys: Sequence[str]) -> Answer:
    """The answer to one object's GET."""
    return Answer(body=queries.select(record, request.query, keys, instance=True))


def created(request: Request, record: Json, location: str) -> Answer:
    """The answer to a POST that is done."""
    body: Json = {"num_records": 1}
    if request.query.return_records and "return_records" in request.flags:
        body["records"] = [record]
    return Answer(status=201, body=body, location=location)
