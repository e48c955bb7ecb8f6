"""What is called ready is looked at on the disk of the site that is said to have it."""

from pathlib import Path

from fault_run import EarlyCheck
from record_examples import READINESS
from replica_disk import STORE

from farshore.oci import Digest
from farshore.records.readiness import EVERYWHERE, ReadinessState


def test_an_image_that_is_called_ready_and_is_not_there_was_called_so_too_early(tmp_path: Path) -> None:
    check = EarlyCheck({"fra": tmp_path})
    check.look(READINESS)
    assert check.early
    assert all(line.startswith("team/app:v1 was called ready at fra too early") for line in check.early)


def test_only_what_is_called_ready_at_a_site_is_looked_at(tmp_path: Path) -> None:
    check = EarlyCheck({"fra": tmp_path})
    check.look(READINESS.model_copy(update={"state": ReadinessState.SUPERSEDED}))
    check.look(READINESS.model_copy(update={"state": ReadinessState.READY_EVERYWHERE, "site": EVERYWHERE}))
    assert check.early == []
    assert check.seconds_after == []


def test_an_image_that_was_deleted_meanwhile_is_looked_at_where_it_was_served_before(tmp_path: Path) -> None:
    digest = Digest.of(b"{}")
    store = tmp_path / "before" / STORE
    for file, content in (
        (store / f"blobs/sha256/{digest.hex[:2]}/{digest.hex}/data", "{}"),
        (store / f"repositories/team/app/_manifests/revisions/sha256/{digest.hex}/link", digest),
    ):
        file.parent.mkdir(parents=True)
        file.write_text(content)
    check = EarlyCheck({"fra": tmp_path / "after"})
    check.before_deletion["fra", "team/app", digest] = tmp_path / "before"
    check.look(READINESS.model_copy(update={"digest": digest}))
    assert check.early == []
    check.look(READINESS)
    assert check.early
