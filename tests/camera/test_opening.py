from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from realnet_edge.camera import VideoSource, open_source
from realnet_edge.camera.addresses import shown
from realnet_edge.camera.gstreamer import has_element
from realnet_edge.camera.live import LiveSource
from realnet_edge.camera.watched import WatchedFolder
from realnet_edge.errors import ConfigError, DataError, DependencyError


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://user:pa%40ss@cam:554/live?token=x#y", "rtsp://user@cam:554/live"),
        ("http://cam/video.mjpg?password=secret", "http://cam/video.mjpg"),
        ("rtsp://[fe80::1]:554/a", "rtsp://[fe80::1]:554/a"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, expected: str) -> None:
    assert shown(address) == expected
    assert open_source(address).name == expected


def test_environment_variables_take_their_place_and_stay_out_of_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match=r"\$\{CAMERA_PASSWORD\}"):
        open_source("rtsp://user:${CAMERA_PASSWORD}@cam/live")
    monkeypatch.setenv("CAMERA_PASSWORD", "secret")
    source = open_source("rtsp://user:${CAMERA_PASSWORD}@cam/live")
    assert isinstance(source, LiveSource)
    assert source._connect._address == "rtsp://user:secret@cam/live"  # type: ignore[attr-defined]
    assert source.name == "rtsp://user@cam/live"


def test_every_kind_of_source_is_told_by_what_it_looks_like(tmp_path: Path) -> None:
    assert isinstance(open_source(f"watch:{tmp_path}"), WatchedFolder)
    device = open_source("/dev/video7")
    assert isinstance(device, LiveSource)
    assert (device.name, device.live) == ("/dev/video7", True)
    with pytest.raises(ConfigError, match="ftp:// is not read as a stream: valid are rtsp"):
        open_source("ftp://host/x.mp4")
    with pytest.raises(DataError, match="watch:FOLDER"):
        open_source("nothing-here")
    with pytest.raises(DataError, match="no such folder to watch"):
        open_source(f"watch:{tmp_path / 'nothing'}")
    assert VideoSource.live is False


@pytest.mark.skipif(shutil.which("gst-inspect-1.0") is None, reason="no GStreamer")
def test_a_sensor_of_a_jetson_is_read_there_and_refused_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_element("nvarguscamerasrc"):
        with pytest.raises(DependencyError, match=r"csi:1 is a camera sensor .* On a PC give /dev/videoN"):
            open_source("csi:1")
    assert has_element("videotestsrc")
    monkeypatch.setattr("realnet_edge.camera.opening.has_element", lambda name: True)
    sensor = open_source("csi:1")
    assert sensor.name == "csi:1"
    assert "sensor-id=1" in sensor._connect._command  # type: ignore[attr-defined]


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="no GStreamer")
def test_pipelines_are_told_by_their_link(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source("videotestsrc ! video/x-raw,width=64")
    assert (source.name, source.live) == ("pipeline", True)
    with pytest.raises(ConfigError, match="No closing quotation"):
        open_source("videotestsrc ! video/x-raw,format='RGB")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match=r"apt install gstreamer1\.0-tools"):
        open_source("videotestsrc ! video/x-raw,width=64")
