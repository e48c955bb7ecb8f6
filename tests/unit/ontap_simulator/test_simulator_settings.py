"""Settings and faults."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from farshore_ontap_simulator.faults import Clock, DropReply, Fault, Faults, HoldTransfer, Refuse, Unreachable
from farshore_ontap_simulator.settings import Address, parse

NEEDED = ["--name", "fra", "--state-dir", "/tmp/x"]  # noqa: S108 - never touched
PASSWORD = {"FARSHORE_SIM_PASSWORD": "sesame"}


def test_flags_and_environment_say_the_same() -> None:
    flags = parse([*NEEDED, "--listen", "127.0.0.1:80", "--peer", "nyc=h:1", "--peer", "syd=h:2"], PASSWORD)
    environment = {
        **PASSWORD,
        "FARSHORE_SIM_NAME": "fra",
        "FARSHORE_SIM_STATE_DIR": "/tmp/x",  # noqa: S108 - never touched
        "FARSHORE_SIM_LISTEN": "127.0.0.1:80",
        "FARSHORE_SIM_PEER": "nyc=h:1,syd=h:2",
    }
    assert parse([], environment) == flags
    assert flags.peers == {"nyc": Address("h", 1), "syd": Address("h", 2)}


def test_a_password_file_wins(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("other\n")
    assert parse([*NEEDED, "--password-file", str(file)], PASSWORD).password == "other"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [*NEEDED, "--listen", "nowhere"],
        [*NEEDED, "--peer", "h:1"],
        [*NEEDED, "--volume", "v"],
        [*NEEDED, "--password-file", "/does/not/exist"],
    ],
)
def test_wrong_settings_end_the_process_with_a_reason(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(arguments, PASSWORD)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_a_password_is_needed() -> None:
    with pytest.raises(SystemExit):
        parse(NEEDED, {})


def test_a_fault_strikes_as_often_as_it_says() -> None:
    faults = Faults()
    faults.arm(Refuse(kind="refuse", method="POST", path="/api/*/snapshots", times=2))
    hits = [bool(faults.on_request("POST", "/api/storage/volumes/u/snapshots")) for _ in range(3)]
    assert hits == [True, True, False]


def test_a_fault_spares_other_requests() -> None:
    faults = Faults()
    faults.arm(DropReply(kind="drop_reply", method="POST", path="/api/cluster"))
    assert faults.on_request("GET", "/api/cluster") == []
    assert faults.on_request("POST", "/api/svm/svms") == []
    assert len(faults.on_request("POST", "/api/cluster")) == 1


def test_lasting_faults_last_until_cleared() -> None:
    faults = Faults()
    name = faults.arm(Unreachable(kind="unreachable", peer="n*"))
    assert faults.unreachable("nyc")
    assert not faults.unreachable("fra")
    faults.arm(Clock(kind="clock", offset_seconds=-3600))
    assert faults.clock_offset_seconds() == -3600
    faults.arm(HoldTransfer(kind="hold_transfer", after_bytes=10))
    assert (faults.held("svm:v", 9), faults.held("svm:v", 10)) == (False, True)
    assert faults.clear(name)
    assert not faults.clear(name)
    assert not faults.unreachable("nyc")
    faults.clear()
    assert faults.listing() == []


@pytest.mark.parametrize(
    "body", [{"kind": "none"}, {"kind": "slow"}, {"kind": "refuse", "status": 200}, {"kind": "reboot", "x": 1}]
)
def test_a_wrong_fault_is_refused(body: dict[str, object]) -> None:
    adapter: TypeAdapter[Fault] = TypeAdapter(Fault)
    with pytest.raises(ValidationError):
        adapter.validate_python(body)
