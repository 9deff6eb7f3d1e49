"""The inspection line: frames in, a verdict for each one out."""

from realnet_edge.camera.frames import Frame
from realnet_edge.camera.loop import inspect, run_line
from realnet_edge.camera.results import Inspection, Latency, Summary, Tally
from realnet_edge.camera.signals import stop_on_signals
from realnet_edge.camera.sinks import OverlayFolder, OverlayVideo, ResultLog, json_line
from realnet_edge.camera.sources import (
    VIDEO_SUFFIXES,
    FolderSource,
    GlobSource,
    Source,
    VideoSource,
    open_source,
)

__all__ = [
    "VIDEO_SUFFIXES",
    "FolderSource",
    "Frame",
    "GlobSource",
    "Inspection",
    "Latency",
    "OverlayFolder",
    "OverlayVideo",
    "ResultLog",
    "Source",
    "Summary",
    "Tally",
    "VideoSource",
    "inspect",
    "json_line",
    "open_source",
    "run_line",
    "stop_on_signals",
]
