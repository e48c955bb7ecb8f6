"""A snapshot is one moment of a tree that somebody writes to, and the writers never stay stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.ontap_simulator.simulated_cluster import SimulatedCluster, wait_for

pytestmark = pytest.mark.integration

# Writes one number to many files, always in the same order and in place: at any moment a prefix of the files has the
# number n and the rest n - 1. A copy that isn't one moment shows other combinations.
WRITER = """
import os, sys
root, count = sys.argv[1], 200
files = [os.open(os.path.join(root, f"{i:04d}"), os.O_RDWR | os.O_CREAT) for i in range(count)]
number = 0
while True:
    number += 1
    for i in range(count):
        os.pwrite(files[i], b"%012d" % number, 0)
    if number == 3:
        print("writing", flush=True)
"""


@pytest.fixture
def writer(nyc: SimulatedCluster) -> Iterator[subprocess.Popen[bytes]]:
    nyc.create_volume("v")
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(nyc.path("v"))], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def state_of(process: subprocess.Popen[bytes]) -> str:
    """A process's state letter (proc(5))."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_snapshot_shows_one_moment_of_a_busy_tree(
    nyc: SimulatedCluster, fra: SimulatedCluster, writer: subprocess.Popen[bytes]
) -> None:
    fra.create_volume("v", "dp")
    volume = next(iter(nyc.sim("GET", "volumes")["volumes"]))
    registered = nyc.sim("PUT", "writers", {"svm": nyc.svm, "volume": "v", "pids": [writer.pid]})
    assert registered["pids"] == [writer.pid]
    relationship = fra.mirror(nyc, "v", "v")
    for number in range(5):
        path = f"/storage/volumes/{volume['uuid']}/snapshots?return_timeout=100"
        status, _, body = nyc.api("POST", path, {"name": f"s{number}"})
        assert status == 201, body
        fra.update(relationship, f"s{number}")
        numbers = [int(file.read_bytes()) for file in sorted(fra.path("v").iterdir())]
        assert len(numbers) == 200
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[0] - numbers[-1] <= 1
    assert state_of(writer) in "RSD"


def test_a_killed_simulator_leaves_no_writer_stopped(nyc: SimulatedCluster, writer: subprocess.Popen[bytes]) -> None:
    nyc.sim("PUT", "writers", {"svm": nyc.svm, "volume": "v", "pids": [writer.pid]})
    nyc.kill()
    os.kill(writer.pid, signal.SIGSTOP)
    wait_for(lambda: state_of(writer) == "T", "the writer to stop")
    nyc.start()
    wait_for(lambda: state_of(writer) in "RSD", "the writer to go on")


def test_a_writer_that_is_gone_is_ignored(nyc: SimulatedCluster, writer: subprocess.Popen[bytes]) -> None:
    nyc.sim("PUT", "writers", {"svm": nyc.svm, "volume": "v", "pids": [writer.pid]})
    writer.kill()
    writer.wait()
    assert nyc.sim("GET", "writers")["writers"][0]["pids"] == []
    uuid = nyc.sim("GET", "volumes")["volumes"][0]["uuid"]
    assert nyc.api("POST", f"/storage/volumes/{uuid}/snapshots?return_timeout=100", {"name": "s"})[0] == 201
