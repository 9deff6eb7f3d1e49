"""Cameras to test against: an HTTP server of MJPEG in this process, GStreamer's RTSP server in another."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
from PIL import Image
from waiting_peers import HttpServer, Silent

# Debian's own Python: GStreamer's bindings are no wheel.
_PYTHON = "/usr/bin/python3"
_RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
    "! jpegenc ! rtpjpegpay name=pay0 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/part", factory)
assert server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def jpeg(value: int) -> bytes:
    """A picture of 64x48 in one grey."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), value, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


class MjpegServer(HttpServer):
    """Sends what `parts` gives to everyone who asks, then hangs up."""

    def __init__(self, parts: Callable[[], Iterator[bytes]], port: int = 0) -> None:
        class Handler(Silent, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
                self.end_headers()
                try:
                    for part in parts():
                        head = f"--part\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
                        self.wfile.write(head.encode() + part + b"\r\n")
                except OSError:
                    return

        super().__init__(Handler, "/stream", port)


def steady(parts: list[bytes], seconds: float = 0.02) -> Iterator[bytes]:
    """Parts one after the other, as a camera sends them."""
    for part in parts:
        yield part
        time.sleep(seconds)


def has_rtsp_server() -> bool:
    """Whether GStreamer's RTSP server is installed here."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    return (
        Path(_PYTHON).exists() and not subprocess.run([_PYTHON, "-c", check], capture_output=True).returncode
    )


@contextmanager
def rtsp_server(port: int) -> Iterator[subprocess.Popen[str]]:
    """A running server of rtsp://127.0.0.1:PORT/part; 320x240, 25 frames a second, for ever."""
    process = subprocess.Popen([_PYTHON, "-c", _RTSP, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()
