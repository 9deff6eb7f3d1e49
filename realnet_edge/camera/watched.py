"""A folder that a machine drops image files into."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.inspected import Inspected, Stamp
from realnet_edge.camera.live import CameraState
from realnet_edge.camera.results import Inspection
from realnet_edge.camera.sources import Source, is_image, read_frame
from realnet_edge.errors import DataError
from realnet_edge.imaging import natural_key

# Between two looks at the folder. A file is taken when two looks in a row have found it the same.
_LOOK_S = 0.2
# Between two looks for a folder that is gone.
_AWAY_S = 1.0


class WatchedFolder(Source):
    """Every image that is in a folder and every one that comes into it, each once; never ends by itself.

    A folder that goes away, a network share for example, is waited for.

    The source is a sink as well, which has to be called with each result: a file that has one is not taken
    again, by a later run with the same memory either. One that a run had in hand when it ended is taken by
    the next. A file that leaves the folder and comes back is taken again, but not where the whole folder was
    empty in between: shares look like that while they are away.

    Each file is a part that waits on disk for its turn, so none gives way however slow the engine is. A file
    that is written over is a new one. Those that come together are taken in the order of their names. Files
    written beside the folder and moved in are whole from the first look; of a writer that pauses within a
    file for longer than a look the unfinished file is read, and reported as not inspected where it cannot be.

    Args:
        folder: what is watched; files in its sub-folders are not.
        on_state: hears when the folder goes away and comes back, in the thread that reads.
        memory: what earlier runs have inspected; without it every run takes what it finds.

    Raises:
        DataError: no such folder.
    """

    endless = True
    reconnects = 0

    def __init__(
        self,
        folder: Path,
        on_state: Callable[[CameraState], None] = lambda state: None,
        memory: Inspected | None = None,
    ) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder to watch. Make it, or give another one.")
        self.name = str(folder)
        self._folder = folder
        self._on_state = on_state
        self._memory = memory
        self._is_there = True
        self._stop = threading.Event()
        self._lock = threading.Lock()
        # Files that were taken and have no result yet, each with the change that was taken.
        self._in_hand: dict[str, deque[Stamp]] = {}

    def __call__(self, inspection: Inspection) -> None:
        name = inspection.frame.id
        if inspection.frame.source != str(self._folder / name):
            return
        with self._lock:
            stamps = self._in_hand.get(name)
            if not stamps:
                return
            stamp = stamps.popleft()
            if not stamps:
                del self._in_hand[name]
        if self._memory:
            self._memory.add(self._folder / name, stamp)

    def __len__(self) -> int:
        return 0

    def frames(self) -> Iterator[Frame]:
        """Frames named after their files, one after the other."""
        taken = self._memory.of(self._folder) if self._memory else {}
        before: dict[Path, Stamp] = {}
        while not self._stop.is_set():
            now = self._look()
            if now is None:
                self._stop.wait(_AWAY_S)
                continue
            self._forget(taken, now)
            settled = [p for p, stamp in now.items() if before.get(p) == stamp and taken.get(p) != stamp]
            for path in sorted(settled, key=natural_key):
                if self._stop.is_set():
                    return
                taken[path] = now[path]
                with self._lock:
                    self._in_hand.setdefault(path.name, deque()).append(now[path])
                yield read_frame(path, self._folder)
            before = now
            self._stop.wait(_LOOK_S)

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Nothing is held open."""

    def _forget(self, taken: dict[Path, Stamp], now: dict[Path, Stamp]) -> None:
        """What has left the folder: it must not pile up over months."""
        gone = [path for path in taken if path not in now] if now else []
        for path in gone:
            del taken[path]
        if gone and self._memory:
            self._memory.forget(gone)

    def _look(self) -> dict[Path, Stamp] | None:
        """Images that are there; None where the folder is not."""
        try:
            paths = [path for path in self._folder.iterdir() if is_image(path)]
        except OSError as error:
            if self._is_there:
                self._on_state(CameraState("waiting", f"{self._folder}: {error.strerror}", _AWAY_S))
            self._is_there = False
            return None
        if not self._is_there:
            self.reconnects += 1
            self._on_state(CameraState("live"))
        self._is_there = True
        found = {}
        for path in paths:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found[path] = (status.st_size, status.st_mtime_ns)
        return found
