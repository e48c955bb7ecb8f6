"""What has to be read to prove an image."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farshore.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from farshore.oci import Digest
from farshore.topology import VerificationLevel
from farshore_verifier.plan import MAX_DEPTH, MAX_PLATFORM, Plan, PlanError, PlatformMissingError, Platforms

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def blob(name: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": Digest.of(name.encode()), "size": len(name), **more}


class Registry:
    """Manifests by digest."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, manifest: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(manifest).encode()
        digest = Digest.of(content)
        self.content[digest] = content
        return {"mediaType": manifest["mediaType"], "digest": digest, "size": len(content)}

    def image(self, *layers: dict[str, Any], config: str = "config", kind: str = OCI_MANIFEST, **more: Any) -> Any:
        return self.put({"mediaType": kind, "config": blob(config), "layers": list(layers), **more})

    def index(self, *children: dict[str, Any], kind: str = OCI_INDEX, **more: Any) -> Any:
        return self.put({"mediaType": kind, "manifests": list(children), **more})

    def walk(self, root: Any, platforms: Platforms = "all", level: str = "content") -> Plan:
        plan = Plan(Digest(root["digest"]), VerificationLevel(level), platforms)
        while wanted := plan.wanted():
            for digest in wanted:
                plan.learn(digest, self.content[digest], "")
        return plan


def on(descriptor: dict[str, Any], platform: str) -> dict[str, Any]:
    system, architecture, *variant = platform.split("/")
    entry = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
    return {**descriptor, "platform": entry}


def read(plan: Plan) -> set[str]:
    return {entry.digest for entry in plan.blobs()}


def digests(*names: str) -> set[str]:
    return {Digest.of(name.encode()) for name in names}


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_is_its_config_and_each_layer_once(kind: str) -> None:
    registry = Registry()
    plan = registry.walk(registry.image(blob("a"), blob("b"), blob("a"), kind=kind))
    assert read(plan) == digests("config", "a", "b")
    assert len(plan.blobs()) == 3
    assert plan.platforms == []


def test_at_level_manifest_nothing_but_the_manifest_is_read() -> None:
    registry = Registry()
    plan = registry.walk(registry.index(registry.image(blob("a"))), level="manifest")
    assert plan.blobs() == []


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
def test_of_an_index_all_children_or_those_of_the_platforms_asked_for(kind: str) -> None:
    registry = Registry()
    index = registry.index(
        on(registry.image(blob("amd"), config="c1"), "linux/amd64"),
        on(registry.image(blob("arm"), config="c2"), "linux/arm64/v8"),
        on(registry.image(blob("attestation"), config="c3"), "unknown/unknown"),
        kind=kind,
    )
    everything = registry.walk(index)
    assert read(everything) == digests("c1", "amd", "c2", "arm", "c3", "attestation")
    assert everything.platforms == ["linux/amd64", "linux/arm64/v8"]
    some = registry.walk(index, ["linux/arm64"])
    assert read(some) == digests("c2", "arm")
    assert some.platforms == ["linux/arm64/v8"]
    assert len(some.skipped) == 2


@pytest.mark.parametrize(("demanded", "there"), [("linux/arm/v7", False), ("linux/arm/v6", True), ("linux/ar", False)])
def test_a_platform_that_policy_demands_has_to_be_in_the_index(demanded: str, there: bool) -> None:
    registry = Registry()
    index = registry.index(on(registry.image(), "linux/amd64"), on(registry.image(blob("x")), "linux/arm/v6"))
    if there:
        assert registry.walk(index, ["linux/amd64", demanded]).platforms == ["linux/amd64", "linux/arm/v6"]
    else:
        with pytest.raises(PlatformMissingError, match=demanded):
            registry.walk(index, ["linux/amd64", demanded])


def test_an_index_without_platforms_is_verified_whole_whatever_policy_asks_for() -> None:
    registry = Registry()
    assert read(registry.walk(registry.index(registry.image(blob("sig"))), ["linux/amd64"])) == digests("config", "sig")


def test_indexes_nest_but_not_without_end() -> None:
    registry = Registry()
    nested = registry.image(blob("deep"))
    for _ in range(MAX_DEPTH):
        nested = registry.index(nested)
    assert Digest.of(b"deep") in read(registry.walk(nested))
    with pytest.raises(PlanError, match="nested"):
        registry.walk(registry.index(nested))


def test_foreign_layers_and_subjects_are_left_out_and_said_so() -> None:
    registry = Registry()
    foreign = blob("windows", mediaType=FOREIGN, urls=["https://example.com/layer"])
    plan = registry.walk(registry.image(blob("a"), {**foreign, "mediaType": FOREIGN}, subject=blob("subject")))
    assert read(plan) == digests("config", "a")
    assert len(plan.skipped) == 2


def test_a_layer_with_urls_that_is_no_foreign_layer_is_read() -> None:
    registry = Registry()
    assert Digest.of(b"a") in read(registry.walk(registry.image(blob("a", urls=["https://example.com"]))))


def test_the_receipt_is_the_same_in_any_order_and_another_for_other_content() -> None:
    registry = Registry()
    first, second = registry.image(blob("a")), registry.image(blob("b"))
    receipts = {registry.walk(root).receipt() for root in (first, first, second)}
    assert len(receipts) == 2


@pytest.mark.parametrize(
    "manifest",
    [
        {"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
        {"mediaType": ["a list"]},
        {"mediaType": OCI_MANIFEST, "layers": 3},
        {"mediaType": OCI_MANIFEST, "layers": ["x"]},
        {"mediaType": OCI_MANIFEST, "layers": [blob("a", size=-1)]},
        {"mediaType": OCI_MANIFEST, "layers": [blob("a", size=True)]},
        {"mediaType": OCI_MANIFEST, "layers": [blob("a", digest="md5:00")]},
        {"mediaType": OCI_MANIFEST, "layers": [blob("a", mediaType=None)]},
        {"mediaType": OCI_MANIFEST, "layers": [blob("a"), blob("a", size=7)]},
        {"mediaType": OCI_INDEX, "manifests": {}},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(manifest: dict[str, Any]) -> None:
    registry = Registry()
    with pytest.raises(PlanError):
        registry.walk(registry.put(manifest))


def test_a_platform_is_kept_as_short_text_that_any_record_can_hold() -> None:
    registry = Registry()
    strange, long = "lin\ud800ux", "x" * 5_000_000
    index = registry.index(
        on(registry.image(blob("a")), f"{strange}/amd64"), on(registry.image(blob("b")), f"linux/{long}")
    )
    first, second = registry.walk(index).platforms
    assert (first, len(second)) == ("lin\\ud800ux/amd64", MAX_PLATFORM)
    assert "linux/amd64" not in (first, second)


def test_a_child_of_another_size_than_its_index_says_is_refused() -> None:
    registry = Registry()
    with pytest.raises(PlanError, match="bytes"):
        registry.walk(registry.index({**registry.image(), "size": 1}))


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["mediaType", "layers", "config", "manifests", "digest", "size", "platform", "urls"])
                | st.text(),
                x,
            )
        ),
    )
)
def test_any_json_is_understood_or_refused(document: Any) -> None:
    content = json.dumps(document).encode()
    plan = Plan(Digest.of(content), VerificationLevel.CONTENT, "all")
    with contextlib.suppress(PlanError):
        plan.learn(Digest.of(content), content, OCI_MANIFEST)
