"""A line's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from realnet_edge.camera import Inspection
from realnet_edge.monitor.device import Device
from realnet_edge.monitor.state import LineState
from realnet_edge.monitor.threshold import ThresholdControl

_LATENCIES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_SENSORS = (
    ("temperature", "celsius", "Of the device's parts, as it says itself."),
    ("power", "watts", "That the device's parts take, as it says itself."),
)
_SCORES = tuple(round(0.05 * step, 2) for step in range(1, 21))


class LineMetrics:
    """A sink that counts for Prometheus.

    Args:
        state: gives what is not counted frame by frame.
        control: gives the threshold in force.
        device: reads the machine's sensors; closed by whoever has opened it.
    """

    def __init__(
        self, state: LineState, control: ThresholdControl | None = None, device: Device | None = None
    ) -> None:
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
        self._registry.register(_Gauges(state, control, device, self._prometheus))

    def __call__(self, inspection: Inspection) -> None:
        if inspection.latency is not None and inspection.score is not None:
            self._latency.observe(inspection.latency.total / 1e3)
            self._score.observe(inspection.score)

    def text(self) -> tuple[bytes, str]:
        """What Prometheus reads, and its content type."""
        return self._prometheus.generate_latest(self._registry), self._prometheus.CONTENT_TYPE_LATEST


class _Gauges:
    """What is read off the state whenever Prometheus asks."""

    def __init__(
        self, state: LineState, control: ThresholdControl | None, device: Device | None, prometheus: Any
    ) -> None:
        self._state = state
        self._control = control
        self._device = device
        self._core = prometheus.core

    def collect(self) -> Iterator[Any]:
        found = self._state.snapshot()
        yield from self._cameras(found["cameras"])
        yield self._core.CounterMetricFamily(
            "realnet_edge_alarms", "Failures of engines, and changes to another one.", found["alarm_count"]
        )
        yield self._core.GaugeMetricFamily(
            "realnet_edge_ready", "1 while the line inspects.", float(self._state.not_ready() is None)
        )
        control = self._control.status() if self._control else None
        threshold = control["value"] if control else found["threshold"]
        if threshold is not None:
            yield self._core.GaugeMetricFamily(
                "realnet_edge_threshold", "Score above which a part is a defect.", threshold
            )
        if control:
            yield self._core.GaugeMetricFamily(
                "realnet_edge_engine_up", "1 while the engine works.", float(control["works"])
            )
        waiting = self._core.GaugeMetricFamily(
            "realnet_edge_waiting_results", "Results that wait for delivery.", labels=["destination"]
        )
        for name, count in found["waiting"].items():
            waiting.add_metric([name], count)
        yield waiting
        yield from self._sensors()

    def _cameras(self, cameras: list[dict[str, Any]]) -> Iterator[Any]:
        """By camera; the label of a line's only one is empty, which Prometheus takes for none."""
        core, label = self._core, ["camera"]
        frames = core.CounterMetricFamily(
            "realnet_edge_frames", "Frames by verdict.", labels=["camera", "verdict"]
        )
        dropped = core.CounterMetricFamily(
            "realnet_edge_dropped_frames", "Frames that gave way to newer ones.", labels=label
        )
        found_again = core.CounterMetricFamily(
            "realnet_edge_reconnects", "How often the camera was lost and found again.", labels=label
        )
        up = core.GaugeMetricFamily("realnet_edge_camera_up", "1 while the camera sends.", labels=label)
        for camera in cameras:
            name = camera["name"] or ""
            for verdict, count in camera["counts"].items():
                frames.add_metric([name, verdict], count)
            dropped.add_metric([name], camera["dropped"])
            found_again.add_metric([name], camera["reconnects"])
            up.add_metric([name], float(camera["phase"] == "live"))
        yield from (frames, dropped, found_again, up)

    def _sensors(self) -> Iterator[Any]:
        readings = self._device.read() if self._device else []
        for kind, unit, text in _SENSORS:
            family = self._core.GaugeMetricFamily(
                f"realnet_edge_{kind}_{unit}", text, labels=["source", "sensor"]
            )
            for reading in (one for one in readings if one.kind == kind):
                family.add_metric([reading.source, reading.sensor], reading.value)
            # A family without a sample would say that there is a meter.
            if family.samples:
                yield family
