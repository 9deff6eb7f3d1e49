"""The inspection line: frames in, a verdict for each one out."""

from realnet_edge.camera.around import AroundDefects
from realnet_edge.camera.engines import Choice, Engine, EngineChain, SingleEngine
from realnet_edge.camera.frames import Frame
from realnet_edge.camera.line import Camera, Line
from realnet_edge.camera.live import CameraState
from realnet_edge.camera.loop import run_line
from realnet_edge.camera.opening import open_source
from realnet_edge.camera.pictures import OverlayFolder, PictureFolder
from realnet_edge.camera.result_log import ResultLog, json_line
from realnet_edge.camera.result_table import ResultTable
from realnet_edge.camera.results import (
    DEFECT,
    GOOD,
    NOT_INSPECTED,
    CameraSummary,
    Inspection,
    Latency,
    Summary,
    Tally,
)
from realnet_edge.camera.signals import stop_on_signals
from realnet_edge.camera.sources import VIDEO_SUFFIXES, FolderSource, GlobSource, Source, VideoSource
from realnet_edge.camera.supervision import Supervision
from realnet_edge.camera.systemd import Notifier
from realnet_edge.camera.video import OverlayVideo
from realnet_edge.camera.view import ROTATIONS, View, ViewedSource

__all__ = [
    "DEFECT",
    "GOOD",
    "NOT_INSPECTED",
    "ROTATIONS",
    "VIDEO_SUFFIXES",
    "AroundDefects",
    "Camera",
    "CameraState",
    "CameraSummary",
    "Choice",
    "Engine",
    "EngineChain",
    "FolderSource",
    "Frame",
    "GlobSource",
    "Inspection",
    "Latency",
    "Line",
    "Notifier",
    "OverlayFolder",
    "OverlayVideo",
    "PictureFolder",
    "ResultLog",
    "ResultTable",
    "SingleEngine",
    "Source",
    "Summary",
    "Supervision",
    "Tally",
    "VideoSource",
    "View",
    "ViewedSource",
    "json_line",
    "open_source",
    "run_line",
    "stop_on_signals",
]
