"""What the demo pushes: the images, and in which order. Pure but for the layout that the images are written to."""

from collections.abc import Sequence
from dataclasses import dataclass

from farshore.oci import Digest, Repository, Tag, image_name
from farshore_cli.demo.material import Material, changed
from farshore_cli.demo.oci_layout import Descriptor, LayoutWriter

MB = 1_000_000
SBOM = "application/spdx+json"


@dataclass(frozen=True, slots=True)
class Push:
    """One push. `source` names the image in the layout; without `tag` it is pushed by its digest."""

    repository: Repository
    tag: Tag | None
    digest: Digest
    source: str
    note: str = ""

    @property
    def reference(self) -> str:
        """`repository:tag`, or `repository@digest`."""
        return image_name(self.repository, self.digest, self.tag)


@dataclass(frozen=True, slots=True)
class Scenario:
    """First `opening` one by one, then `burst` all at once, then `closing` one by one, then the deletion."""

    opening: Sequence[Push]
    burst: Sequence[Push]
    closing: Sequence[Push]
    deleted: Push

    @property
    def pushes(self) -> list[Push]:
        """All of them, in order."""
        return [*self.opening, *self.burst, *self.closing]

    @property
    def live(self) -> list[Push]:
        """One push for each image that is there in the end, by repository and digest: a moved tag leaves its image."""
        kept = {
            (push.repository, push.digest): push
            for push in reversed(self.pushes)
            if (push.repository, push.digest) != (self.deleted.repository, self.deleted.digest)
        }
        return list(reversed(kept.values()))


def build(writer: LayoutWriter, material: Material) -> Scenario:
    """Write the images: shared layers, two platforms, plain and compressed layers, something attached to an image."""

    def layer(megabytes: float) -> Descriptor:
        return writer.layer(material.layer(int(megabytes * MB)))

    def push(name: str, image: Descriptor, note: str = "") -> Push:
        repository, _, tag = name.partition(":")
        source = image.digest.hex[:12]
        writer.name(image, source)
        return Push(Repository.parse(repository), Tag.parse(tag) if tag else None, image.digest, source, note)

    base, runtime = layer(20), layer(12)
    app_v1 = writer.image([base, runtime, layer(4)])
    app_v2 = writer.image([base, runtime, layer(4)])
    web_v1 = writer.image([base, layer(6)])
    web_v2 = writer.image([base, layer(6)])
    shared = layer(3)
    index = writer.index(
        [writer.image([base, shared], "linux/amd64"), writer.image([layer(10), shared], "linux/arm64")]
    )
    weights = material.raw_layer(24 * MB)
    model_v1 = writer.image([writer.layer(weights)])
    model_v2 = writer.image([writer.layer(changed(weights))])
    tool = writer.image([base, layer(2)])
    bill = writer.artifact(SBOM, b'{"spdxVersion": "SPDX-2.3", "name": "team/app"}', app_v1)
    deleted = push("legacy/tool:v1", tool, "deleted at the end")
    return Scenario(
        opening=[
            push("team/base:v1", writer.image([base])),
            push("team/app:v1", app_v1),
            push("team/web:v1", web_v1),
            push("team/web:latest", web_v1, "moved to v2 later"),
        ],
        burst=[
            push("team/app:v2", app_v2),
            push("team/web:v2", web_v2),
            push("team/api:v1", writer.image([base, runtime, layer(3)])),
            push("team/worker:v1", writer.image([base, runtime, layer(3)])),
            push("team/multi:v1", index, "two platforms"),
            push("ml/model:v1", model_v1, "one plain layer"),
            deleted,
        ],
        closing=[
            push("team/web:latest", web_v2, "the moved tag"),
            push("team/app:stable", app_v1, "new tag, old digest"),
            push("team/app", bill, "attached to app:v1"),
            push("ml/model:v2", model_v2, "a few blocks differ"),
        ],
        deleted=deleted,
    )
