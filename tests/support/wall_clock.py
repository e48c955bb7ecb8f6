"""A wall clock for receiver, coalescer and verifier that a test steps forward and back, by a preloaded library."""

import mmap
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("wall_clock.c")


class WallClock:
    """Start the services with `environ`; `step` then sets how far their wall clock is off, in seconds."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("stepping a service's wall clock needs Linux and a C compiler (cc)")
        library, self._file = folder / "wall_clock.so", folder / "wall_clock"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self._file.write_bytes(bytes(8))
        self.environ = {"LD_PRELOAD": str(library), "FARSHORE_TEST_CLOCK": str(self._file)}

    def step(self, seconds: int) -> None:
        """Set the clock of all services off by `seconds`, at once."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as mapped:
            mapped[:] = struct.pack("=q", seconds)
