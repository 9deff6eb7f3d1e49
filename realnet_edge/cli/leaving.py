"""The end of a process whose cameras may still be waited for."""

from __future__ import annotations

import os
import sys


def leave(code: str | int | None) -> None:
    """End the process at once where a camera's thread is still inside a library; else do nothing.

    A camera that never answers holds its thread in native code until its timeout. The interpreter's teardown
    takes away from under such a thread what it works with, and a run that went well would now and then end
    with a segmentation fault in place of its exit code. All results are written by then.

    Args:
        code: exit code of the process as `SystemExit` has it: a number, or None for 0.
    """
    # Commands without cameras need not import what reads them, to end.
    if "realnet_edge.camera.line" not in sys.modules:
        return
    from realnet_edge.camera.line import is_capturing

    if not is_capturing():
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
