"""A line's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from realnet_edge.camera import Inspection
from realnet_edge.monitor.state import LineState

_LATENCIES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_SCORES = tuple(round(0.05 * step, 2) for step in range(1, 21))


class LineMetrics:
    """A sink that counts for Prometheus.

    Args:
        state: gives what is not counted frame by frame.
    """

    def __init__(self, state: LineState) -> None:
        import prometheus_client
        import prometheus_client.core

        self._prometheus: Any = prometheus_client
        self._registry = self._prometheus.CollectorRegistry()
        histogram = self._prometheus.Histogram
        self._latency = histogram(
            "realnet_edge_latency_seconds",
            "From reading a frame to its score, waiting not counted.",
            buckets=_LATENCIES,
            registry=self._registry,
        )
        self._score = histogram(
            "realnet_edge_score", "Image scores.", buckets=_SCORES, registry=self._registry
        )
        self._registry.register(_Gauges(state, self._prometheus))

    def __call__(self, inspection: Inspection) -> None:
        if inspection.latency is not None and inspection.score is not None:
            self._latency.observe(inspection.latency.total / 1e3)
            self._score.observe(inspection.score)

    def text(self) -> tuple[bytes, str]:
        """What Prometheus reads, and its content type."""
        return self._prometheus.generate_latest(self._registry), self._prometheus.CONTENT_TYPE_LATEST


class _Gauges:
    """What is read off the state whenever Prometheus asks."""

    def __init__(self, state: LineState, prometheus: Any) -> None:
        self._state = state
        self._core = prometheus.core

    def collect(self) -> Iterator[Any]:
        found = self._state.snapshot()
        frames = self._core.CounterMetricFamily(
            "realnet_edge_frames", "Frames by verdict.", labels=["verdict"]
        )
        for verdict, count in found["counts"].items():
            frames.add_metric([verdict], count)
        yield frames
        yield self._core.CounterMetricFamily(
            "realnet_edge_dropped_frames", "Frames that gave way to newer ones.", found["dropped"]
        )
        up = self._core.GaugeMetricFamily(
            "realnet_edge_camera_up", "1 while the camera sends.", labels=["camera"]
        )
        for camera in found["cameras"]:
            up.add_metric([camera["name"] or ""], float(camera["phase"] == "live"))
        yield up
        yield self._core.GaugeMetricFamily(
            "realnet_edge_ready", "1 while the line inspects.", float(self._state.not_ready() is None)
        )
        if found["threshold"] is not None:
            yield self._core.GaugeMetricFamily(
                "realnet_edge_threshold", "Score above which a part is a defect.", found["threshold"]
            )
        waiting = self._core.GaugeMetricFamily(
            "realnet_edge_waiting_results", "Results that wait for delivery.", labels=["destination"]
        )
        for name, count in found["waiting"].items():
            waiting.add_metric([name], count)
        yield waiting
