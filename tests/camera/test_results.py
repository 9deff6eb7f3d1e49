from __future__ import annotations

import json

import numpy as np
import pytest

from realnet_edge.camera import Frame, Inspection, Latency, Tally, json_line


def _frame(number: int) -> Frame:
    return Frame(str(number), "line.mp4", "2026-01-31T12:00:00.000+00:00", number / 25, None, None, 1.0)


def _inspected(number: int, verdict: str, engine_ms: float) -> Inspection:
    latency = Latency(decode=1.0, preprocess=2.0, queue=50.0, engine=engine_ms)
    return Inspection(number, _frame(number), verdict, 0.5, "toy/x@1", score=0.25, latency=latency)


def test_throughput_counts_intervals_not_frames() -> None:
    tally = Tally()
    for number in range(11):
        tally.add(_inspected(number, "good", 10.0), decided_at=100.0 + number * 0.1)

    assert tally.summary("end").fps == pytest.approx(10.0, abs=1e-3)


def test_one_frame_has_no_throughput() -> None:
    tally = Tally()
    tally.add(_inspected(0, "good", 10.0), decided_at=5.0)

    assert tally.summary("end").fps is None
    assert tally.summary("end").latency_ms["engine"] == {"p50": 10.0, "p90": 10.0, "p99": 10.0}


def test_frames_that_were_not_inspected_count_but_have_no_time() -> None:
    tally = Tally()
    tally.add(Inspection(0, _frame(0), "not_inspected", 0.5, "toy/x@1", error="broken"), decided_at=0.0)
    for number in range(1, 4):
        tally.add(_inspected(number, "defect" if number == 2 else "good", 10.0 * number), decided_at=number)
    summary = tally.summary("limit")

    counts = (summary.frames, summary.good, summary.defects, summary.not_inspected)
    assert counts == (4, 2, 1, 1)
    assert summary.fps == 1.0
    assert summary.ended == "limit"
    engine = [10.0, 20.0, 30.0]
    expected = {f"p{rank}": round(float(np.percentile(engine, rank)), 3) for rank in (50, 90, 99)}
    assert summary.latency_ms["engine"] == expected


def test_nothing_inspected_has_no_percentiles() -> None:
    summary = Tally().summary("stopped")

    assert (summary.frames, summary.fps, summary.latency_ms) == (0, None, {})
    json.dumps(summary.to_dict(), allow_nan=False)


def test_waiting_behind_other_frames_is_told_apart_from_work() -> None:
    document = _inspected(3, "good", 10.0).to_dict()["latency_ms"]

    assert document == {"decode": 1.0, "preprocess": 2.0, "queue": 50.0, "engine": 10.0, "total": 13.0}


def test_every_line_has_the_same_keys_and_ends_with_a_line_feed() -> None:
    good = json_line(_inspected(0, "good", 1.0))
    missed = json_line(Inspection(1, _frame(1), "not_inspected", 0.5, "toy/x@1", error="größe"))

    assert good.count("\n") == missed.count("\n") == 1
    assert list(json.loads(good)) == list(json.loads(missed))
    assert json.loads(missed)["error"] == "größe"
    assert json.loads(missed)["score"] is None
