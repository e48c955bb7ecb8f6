"""An image as somebody names it. Pure."""

from dataclasses import dataclass

from farshore.oci import Digest, InvalidNameError, Repository, Tag
from farshore.topology import Topology


@dataclass(frozen=True, slots=True)
class Wanted:
    """`repository:tag`, `repository@digest` or `repository:tag@digest`; a tag or a digest is there."""

    repository: Repository
    tag: Tag | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """Raises InvalidNameError, a ValueError, that says what is wrong."""
        name, _, digest = text.partition("@")
        repository, _, tag = name.partition(":")
        if not tag and not digest:
            raise InvalidNameError(f"{text!r} names no image: write repository:tag or repository@sha256:…")
        return cls(
            Repository.parse(repository), Tag.parse(tag) if tag else None, Digest.parse(digest) if digest else None
        )

    def __str__(self) -> str:
        return f"{self.repository}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"

    def is_named(self, tag: Tag | None, digest: Digest | None) -> bool:
        """Whether what has this tag and digest is meant: by its tag where one is named, else by its digest."""
        return tag == self.tag if self.tag is not None else digest == self.digest


def registry_of(topology: Topology, repository: Repository) -> str | None:
    """The registry that holds the repository, by the longest prefix; None where none does."""
    found = [name for name, one in topology.registries.items() if repository.startswith(one.prefix)]
    return max(found, key=lambda name: len(topology.registries[name].prefix), default=None)
