"""From what a user names to a source of frames."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path

from realnet_edge.camera.addresses import check_host, filled_in, shown
from realnet_edge.camera.genicam import GenICamCamera
from realnet_edge.camera.gstreamer import GStreamerPipeline, has_element
from realnet_edge.camera.inspected import Inspected
from realnet_edge.camera.live import CameraState, LiveSource
from realnet_edge.camera.sources import (
    VIDEO_SUFFIXES,
    FileSource,
    FolderSource,
    GlobSource,
    Source,
    VideoSource,
    suffixes_of,
)
from realnet_edge.camera.streams import FFmpegStream
from realnet_edge.camera.watched import WatchedFolder
from realnet_edge.config import CAMERA_TIMEOUT_S
from realnet_edge.errors import ConfigError, DataError, DependencyError
from realnet_edge.imaging import IMAGE_SUFFIXES

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "srt", "udp", "tcp")
_DEVICE = re.compile(r"/dev/video\d+")
_CSI = re.compile(r"csi(?::(\d+))?")
WATCH, _GENICAM = "watch:", "genicam:"
# Jetson's camera sensors, through its own image processor.
_CSI_ELEMENT = "nvarguscamerasrc"
_CSI_PIPELINE = _CSI_ELEMENT + " sensor-id={sensor} ! nvvidconv ! video/x-raw,format=BGRx"


def open_source(
    spec: str,
    timeout_s: float = CAMERA_TIMEOUT_S,
    on_state: Callable[[CameraState], None] = lambda state: None,
    producer: Path | None = None,
    memory: Inspected | None = None,
) -> Source:
    """Open what a user named.

    Args:
        spec: a folder, an image, a video file or a glob pattern; "watch:FOLDER"; the address of a stream;
            a device such as /dev/video0; "csi" or "csi:1", a sensor of a Jetson; "genicam:SERIAL", a GigE or
            USB3 Vision camera; a GStreamer pipeline, which is told by its " ! ". In addresses and pipelines
            ${NAME} stands for an environment variable.
        timeout_s: seconds without a picture after which a camera counts as lost.
        on_state: hears how it stands with a camera.
        producer: what finds GenICam's cameras, see `GenICamCamera`.
        memory: files of watched folders that earlier runs have inspected.

    Raises:
        ConfigError: an address of another kind, an environment variable that is not set, no pipeline, or no
            producer.
        DataError: no such file or folder, a file of another kind, or nothing in it that can be scored.
        DependencyError: what runs pipelines, or reads a sensor, is not installed.
    """
    if " ! " in spec:
        return LiveSource("pipeline", GStreamerPipeline(filled_in(spec, "--source"), timeout_s), on_state)
    if sensor := _CSI.fullmatch(spec):
        if not has_element(_CSI_ELEMENT):
            raise DependencyError(
                f"{spec} is a camera sensor on a Jetson's own connector, read by NVIDIA's GStreamer element "
                f"{_CSI_ELEMENT}, which is not here. On a Jetson: apt install nvidia-l4t-gstreamer. On a PC "
                "give /dev/videoN for a USB camera, or a stream's address."
            )
        pipeline = _CSI_PIPELINE.format(sensor=sensor[1] or 0)
        return LiveSource(spec, GStreamerPipeline(pipeline, timeout_s), on_state)
    if spec.startswith(_GENICAM):
        camera = GenICamCamera(spec.removeprefix(_GENICAM), timeout_s, producer)
        return LiveSource(spec, camera, on_state)
    if _DEVICE.fullmatch(spec):
        return LiveSource(spec, FFmpegStream(spec, timeout_s, "v4l2"), on_state)
    if "://" in spec:
        return LiveSource(shown(spec), FFmpegStream(_address(spec), timeout_s), on_state)
    if spec.startswith(WATCH):
        return WatchedFolder(Path(spec.removeprefix(WATCH)), on_state, memory)
    return _open_files(spec)


def _address(spec: str) -> str:
    scheme = spec.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise ConfigError(
            f"{scheme}:// is not read as a stream: valid are {', '.join(SCHEMES)}. Give a file by its path."
        )
    address = filled_in(spec, "--source")
    # The other schemes can also wait for somebody to send.
    if scheme in ("rtsp", "rtsps", "http", "https"):
        check_host(address, "--source")
    return address


def _open_files(spec: str) -> Source:
    path = Path(spec)
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return FileSource(spec, [path], path.parent)
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return VideoSource(path)
        raise DataError(
            f"{path}: neither an image ({suffixes_of(IMAGE_SUFFIXES)}) nor a video "
            f"({suffixes_of(VIDEO_SUFFIXES)})."
        )
    if glob.has_magic(spec):
        return GlobSource(spec)
    raise DataError(
        f"{spec}: no such file or folder. Give a folder of images, a video, a glob pattern, watch:FOLDER, a "
        "stream's address, /dev/videoN, csi, genicam:SERIAL, or a GStreamer pipeline."
    )
