"""The files of one volume: its block store, its trees, and who may touch them when."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from farshore_ontap_simulator.data.blocks import BlockStore
from farshore_ontap_simulator.data.snapshot import Snapshotter


class VolumeData:
    """A volume's folder. Work that reads or writes blocks is inside `in_use()`; reclaiming waits for all of it.

    `when_idle` is called once a postponed reclaiming can be tried again.
    """

    def __init__(self, folder: Path, when_idle: Callable[[], None]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.blocks = BlockStore(folder / "blocks")
        self.snapshotter = Snapshotter(self.blocks, folder / "identity.bin")
        self.snapshot_lock = threading.Lock()
        self._when_idle = when_idle
        self._condition = threading.Condition()
        self._users = 0
        self._reclaiming = False
        self._postponed = False
        # What half-done work of an earlier process left can only be found by looking at everything once.
        self._thorough = True

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep blocks from being reclaimed."""
        with self._condition:
            while self._reclaiming:
                self._condition.wait()
            self._users += 1
        try:
            yield
        finally:
            with self._condition:
                self._users -= 1
                idle = self._postponed and not self._users
            if idle:
                self._when_idle()

    def expect_remains(self) -> None:
        """Work was given up half done: the next reclaiming looks at everything."""
        with self._condition:
            self._thorough = True

    def reclaim(self, versions: Iterable[str]) -> None:
        """Drop what no snapshot in `versions` reaches; postponed while the volume is in use."""
        with self._condition:
            if self._users or self._reclaiming:
                self._postponed = True
                return
            self._postponed, self._reclaiming = False, True
            thorough, self._thorough = self._thorough, False
        try:
            kept = set(versions)
            self.snapshotter.forget_unless(kept)
            self.blocks.reclaim(kept, thorough=thorough)
        finally:
            with self._condition:
                self._reclaiming = False
                self._condition.notify_all()

    def tree(self, relative: str) -> Path:
        """The folder of a tree (a Volume's `tree`)."""
        return self.folder / relative

    def remove_trees_but(self, relative: str | None) -> None:
        """Remove every view that is no longer shown."""
        views = self.folder / "views"
        if views.is_dir():
            for view in views.iterdir():
                if f"views/{view.name}" != relative:
                    shutil.rmtree(view, ignore_errors=True)

    def remove_trees_before(self, number: int) -> None:
        """Remove the views older than the one with this number; a younger one may be under construction."""
        views = self.folder / "views"
        if views.is_dir():
            for view in views.iterdir():
                if view.name.isdigit() and int(view.name) < number:
                    shutil.rmtree(view, ignore_errors=True)

    def destroy(self) -> None:
        """Close and delete everything."""
        self.blocks.close()
        shutil.rmtree(self.folder, ignore_errors=True)
