"""GigE Vision over real packets: Aravis' simulated camera, read by its GStreamer element."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting_peers import wait

# Debian's own Python: GObject's bindings are no wheel.
_PYTHON = "/usr/bin/python3"
_HAS_ARAVIS = "import gi; gi.require_version('Aravis', '0.8')"
_CAMERA = """
import gi
gi.require_version("Aravis", "0.8")
from gi.repository import Aravis, GLib
camera = Aravis.GvFakeCamera.new("127.0.0.1", "GV01")
assert camera.is_running()
print("ready", flush=True)
GLib.MainLoop().run()
"""
_SOURCE = "aravissrc camera-name=Aravis-Fake-GV01 ! video/x-raw,format=GRAY8,width=128,height=96"
_READ = f"""
import json
from realnet_edge.camera import open_source
say = lambda *words: print(json.dumps(words), flush=True)
for frame in open_source({_SOURCE!r}, 5.0, lambda state: say(state.phase)).frames():
    say("frame", frame.image.shape, int(frame.image.max()))
"""


def has_aravis() -> bool:
    programs = all(shutil.which(name) for name in ("gst-inspect-1.0", "setpriv")) and Path(_PYTHON).exists()
    return (
        programs
        and not subprocess.run(["gst-inspect-1.0", "aravissrc"], capture_output=True).returncode
        and not subprocess.run([_PYTHON, "-c", _HAS_ARAVIS], capture_output=True).returncode
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not has_aravis(),
        reason="no Aravis: apt install libaravis-0.8-0 gir1.2-aravis-0.8 gstreamer1.0-tools",
    ),
]


@contextmanager
def fake_camera() -> Iterator[None]:
    process = subprocess.Popen([_PYTHON, "-c", _CAMERA], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def test_pictures_come_and_come_again_after_the_camera_was_gone(tmp_path: Path) -> None:
    said = tmp_path / "said.jsonl"
    # With raw sockets Aravis reads network cards past the kernel, which the loopback device does not allow.
    unprivileged = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"] if os.geteuid() == 0 else []

    def lines() -> list[list[object]]:
        return [json.loads(line) for line in said.read_text().splitlines()]

    def phases() -> list[object]:
        return [words[0] for words in lines() if words[0] != "frame"]

    with said.open("w") as out:
        reading = subprocess.Popen([*unprivileged, sys.executable, "-c", _READ], stdout=out)
    try:
        with fake_camera():
            wait(lambda: sum(words[0] == "frame" for words in lines()) >= 10, lines)
        wait(lambda: "waiting" in phases()[phases().index("live") :], lines)
        with fake_camera():
            wait(lambda: phases().count("live") == 2, lines)
    finally:
        reading.kill()
        reading.wait()
    shapes = {tuple(words[1]) for words in lines() if words[0] == "frame"}  # type: ignore[arg-type]
    assert shapes == {(96, 128, 3)}
    # A gradient, as the simulator draws it.
    assert max(int(str(words[2])) for words in lines() if words[0] == "frame") > 200
