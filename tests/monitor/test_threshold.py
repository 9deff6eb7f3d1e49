"""The threshold: tried, changed, kept."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import ask, change, document
from browser import OPERATOR_TOKEN

from realnet_edge.camera import EngineChain, Inspection
from realnet_edge.camera.thresholds import ThresholdFile
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.monitor import MonitorServer
from realnet_edge.monitor.threshold import PARTS, ThresholdControl

OPERATOR = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}


def test_a_preview_counts_what_would_have_failed(
    control: ThresholdControl, inspected: Callable[..., Inspection]
) -> None:
    # 0.0, 0.1 ... 0.9, and one that was not inspected.
    for index in range(10):
        control(inspected(index, index / 10))
    control(inspected(10, None))
    found = control.preview(0.7)
    assert (found.bundle, found.parts, found.failed, found.failed_now) == ("toy/engine", 10, 2, 4)
    assert (found.lowest, found.highest) == (0.0, 0.9)
    # A score that is no greater than the threshold passes, as on the line.
    assert control.preview(0.9).failed == 0
    assert control.preview(0.0).failed == 9


def test_a_preview_is_of_the_last_parts_only(
    control: ThresholdControl, inspected: Callable[..., Inspection]
) -> None:
    early, late = inspected(0, 0.9), inspected(1, 0.1)
    for _ in range(10):
        control(early)
    for _ in range(PARTS):
        control(late)
    found = control.preview(0.5)
    assert (found.parts, found.failed) == (PARTS, 0)


def test_nothing_is_invented_before_the_first_part(control: ThresholdControl) -> None:
    found = control.preview(0.3)
    assert (found.parts, found.failed, found.lowest) == (0, 0, None)


def test_a_change_is_in_force_kept_and_on_record(
    control: ThresholdControl, engines: EngineChain, kept_file: ThresholdFile
) -> None:
    control.change(0.4, "toy/engine", "anna", "10.0.0.9")
    assert engines.threshold == 0.4
    assert kept_file.read()["toy/engine"].value == 0.4
    status = control.status()
    assert (status["value"], status["own"], status["who"]) == (0.4, 0.5, "anna")
    control.change(None, "toy/engine", "bert", "10.0.0.8")
    assert engines.threshold == 0.5
    assert kept_file.read() == {}
    assert control.status()["who"] is None
    lines = [json.loads(line) for line in kept_file.record.read_text().splitlines()]
    assert [(line["who"], line["address"], line["old"], line["new"], line["own"]) for line in lines] == [
        ("anna", "10.0.0.9", 0.5, 0.4, False),
        ("bert", "10.0.0.8", 0.4, 0.5, True),
    ]
    assert all(line["at"].endswith("+00:00") and line["bundle"] == "toy/engine" for line in lines)


def test_what_cannot_be_kept_is_not_in_force(
    control: ThresholdControl, engines: EngineChain, kept_file: ThresholdFile
) -> None:
    kept_file.record.mkdir(parents=True)
    with pytest.raises(RealnetEdgeError, match="cannot be kept"):
        control.change(0.4, "toy/engine", "anna", "10.0.0.9")
    assert engines.threshold == 0.5
    assert not kept_file.path.exists()


def test_a_value_chosen_for_another_engine_is_refused(
    control: ThresholdControl, engines: EngineChain, kept_file: ThresholdFile
) -> None:
    with pytest.raises(ConfigError, match="chosen for toy/second, but toy/engine decides"):
        control.change(0.4, "toy/second", "anna", "10.0.0.9")
    assert engines.threshold == 0.5
    assert not kept_file.record.exists()


def test_the_threshold_is_changed_over_http(
    controlled: MonitorServer, engines: EngineChain, said: list[str]
) -> None:
    preview = document(ask(controlled, "/threshold/preview?value=0.35", **OPERATOR))
    assert (preview["parts"], preview["failed"], preview["failed_now"]) == (39, 4, 4)
    answered = change(controlled, 0.35, **OPERATOR)
    assert answered[0] == 200
    assert (document(answered)["old"], document(answered)["new"]) == (0.5, 0.35)
    assert engines.threshold == 0.35
    told = "Threshold of toy/engine: 0.3500 instead of 0.5000, set by operators' token from 127.0.0.1"
    assert said == [told]
    assert document(change(controlled, None, **OPERATOR))["new"] == 0.5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b'{"value": 1.5, "bundle": "toy/engine"}',
        b'{"value": -0.1, "bundle": "toy/engine"}',
        b'{"value": NaN, "bundle": "toy/engine"}',
        b'{"value": true, "bundle": "toy/engine"}',
        b'{"value": "0.5", "bundle": "toy/engine"}',
        b'{"value": 0.5, "bundle": null}',
        b'{"value": 0.5}',
        b'\xff{"value": 0.5}',
        b"[" * 3000,
    ],
)
def test_other_bodies_change_nothing(controlled: MonitorServer, engines: EngineChain, body: bytes) -> None:
    status, _, answer = ask(controlled, "/threshold", "POST", body, **OPERATOR)
    assert status == 400
    assert b"Valid is" in answer
    assert engines.threshold == 0.5


def test_another_engines_value_is_a_conflict(controlled: MonitorServer) -> None:
    answered = change(controlled, 0.4, "toy/gone", **OPERATOR)
    assert answered[0] == 409
    assert "toy/engine decides by now" in document(answered)["error"]


def test_a_full_disk_is_said(controlled: MonitorServer, kept_file: ThresholdFile) -> None:
    kept_file.record.mkdir(parents=True)
    answered = change(controlled, 0.4, **OPERATOR)
    assert answered[0] == 507
    assert "so it was not changed" in document(answered)["error"]


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", "2", "-1"])
def test_a_preview_of_no_score_is_refused(controlled: MonitorServer, value: str) -> None:
    assert ask(controlled, f"/threshold/preview?value={value}", **OPERATOR)[0] == 400


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    file = ThresholdFile(tmp_path / "kept.json")
    for text in ("", "[]", '{"schema_version": 2, "thresholds": {}}', "\xff"):
        file.path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError, match="delete this one to go on"):
            file.read()
    for value in ("1.5", "true", '"0.5"', "NaN", "null"):
        entry = f'{{"value": {value}, "who": "a", "at": "b"}}'
        file.path.write_text(f'{{"schema_version": 1, "thresholds": {{"x": {entry}}}}}')
        with pytest.raises(ConfigError, match="delete this one to go on"):
            file.read()


def test_half_a_line_does_not_stay_on_record(control: ThresholdControl, kept_file: ThresholdFile) -> None:
    """The disk takes the file, and of the record's line only the beginning."""
    control.change(0.4, "toy/engine", "anna", "10.0.0.9")
    before, kept = kept_file.record.read_text(), kept_file.path.read_text()
    kept_file.record.write_text(before * 9)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) * 9 + 20, limits[1]))
    try:
        with pytest.raises(RealnetEdgeError, match="so it was not changed"):
            control.change(0.3, "toy/engine", "bert", "10.0.0.8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept_file.record.read_text() == before * 9
    assert kept_file.path.read_text() == kept
    assert control.status()["value"] == 0.4
