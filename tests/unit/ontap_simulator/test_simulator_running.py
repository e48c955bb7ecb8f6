"""Which transfers are under way: at most one a relationship, whatever becomes of those before it."""

from pathlib import Path

import pytest

from farshore_ontap_simulator.model.cluster import Cluster
from farshore_ontap_simulator.settings import parse
from farshore_ontap_simulator.transfer.running import Running, RunningTransfers


@pytest.fixture
def book(tmp_path: Path) -> RunningTransfers:
    return RunningTransfers(
        Cluster(parse(["--name", "fra", "--state-dir", str(tmp_path)], {"FARSHORE_SIM_PASSWORD": "sesame"}))
    )


def test_one_that_ends_for_good_after_the_next_has_begun_leaves_that_one_alone(book: RunningTransfers) -> None:
    first, second = (Running(uuid, "relationship", None) for uuid in ("first", "second"))
    book.add(first)
    book.remove(first)
    book.add(second)
    book.remove(first)  # tidying up comes last, when its end has long been told
    assert book.get("relationship") is second
    book.remove(second)
    assert book.get("relationship") is None
