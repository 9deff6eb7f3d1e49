"""What a training frees, it gets back without asking the system for new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from realnet_edge.training import memory

# Pages faulted in by sixteen blocks of 64 MiB, one after the other, before and after the setting. The module
# alone is run: importing the package would take longer than all the rest.
_FAULTS = """
import resource, runpy, sys
keep = runpy.run_path(sys.argv[1])["keep_freed_memory"]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(16):
        bytearray(1 << 26)[::4096] = bytes(1 << 14)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
as_is = faults()
assert keep()
faults()
print(as_is, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_freed_blocks_come_back_without_new_pages() -> None:
    script = [sys.executable, "-c", _FAULTS, memory.__file__]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    as_is, kept = map(int, done.stdout.split())
    assert kept * 10 < as_is
