"""What a running line shows of itself: a live page, health, metrics."""

from realnet_edge.monitor.server import MonitorServer
from realnet_edge.monitor.state import LineState

__all__ = ["LineState", "MonitorServer"]
