from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from click.testing import CliRunner, Result

from realnet_edge.bundle import Bundle, load_bundle, write_bundle
from realnet_edge.cli.engines import chain
from realnet_edge.cli.main import cli

KEYS = [
    *("index", "id", "source", "camera", "timestamp", "position_s", "score", "threshold", "verdict"),
    *("latency_ms", "error", "bundle"),
]


@pytest.fixture(scope="module")
def workspace(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Category toy has an OpenVINO and an ONNX Runtime bundle, category none one without threshold."""
    root = tmp_path_factory.mktemp("workspace")
    for backend in ("onnxruntime", "openvino"):
        toy_bundle(root / "toy" / "bundles" / f"{backend}-fp32", backend)
    toy_bundle(root / "none" / "bundles" / "onnxruntime-fp32", threshold=None, category="none")
    return root


@pytest.fixture
def run(workspace: Path) -> Callable[..., Result]:
    def call(*arguments: object) -> Result:
        options = ["--workspace", workspace, "--threads", 1]
        return CliRunner().invoke(cli, ["run", *map(str, [*arguments, *options])])

    return call


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def _count_frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    capture.release()
    return count


def test_a_folder_gives_one_line_a_frame_and_goes_on_after_a_corrupt_one(
    run: Callable[..., Result], parts: Path
) -> None:
    done = run("--category", "toy", "--source", parts)
    lines = _lines(done.stdout)

    assert done.exit_code == 0, done.stderr
    assert all(list(line) == KEYS for line in lines)
    assert [line["id"] for line in lines] == [f"part{number}.png" for number in range(11)]
    verdicts = {line["id"]: line["verdict"] for line in lines if line["verdict"] != "good"}
    assert verdicts == {"part2.png": "defect", "part6.png": "defect", "part10.png": "not_inspected"}
    assert lines[2]["score"] > 0.99 > 0.01 > lines[0]["score"]
    assert lines[0]["bundle"].startswith("toy/openvino-fp32@")
    assert "8 good, 2 defect, 1 not inspected" in done.stderr
    assert "1 frames were not inspected" in done.stderr


def test_strict_makes_a_frame_that_was_not_inspected_a_failure(
    run: Callable[..., Result], parts: Path
) -> None:
    done = run("--category", "toy", "--source", parts, "--strict")

    assert done.exit_code == 1
    assert len(_lines(done.stdout)) == 11
    assert "1 of 11 frames were not inspected" in done.stderr


def test_a_run_that_inspected_nothing_has_failed(run: Callable[..., Result], parts: Path) -> None:
    assert run("--category", "toy", "--source", parts / "part10.png").exit_code == 1


def test_json_is_one_document_that_holds_the_lines(run: Callable[..., Result], parts: Path) -> None:
    done = run("--category", "toy", "--backend", "onnxruntime", "--source", parts, "--json")
    document = json.loads(done.stdout)

    assert done.exit_code == 0
    counts = [document[key] for key in ("frames", "good", "defects", "not_inspected", "ended")]
    assert counts == [11, 8, 2, 1, "end"]
    assert document["bundle"].startswith("toy/onnxruntime-fp32@")
    assert document["arithmetic"] == "f32"
    assert [line["index"] for line in document["inspections"]] == list(range(11))
    assert set(document["latency_ms"]) == {"decode", "preprocess", "engine", "total"}


def test_lines_go_to_the_file_and_are_appended(
    run: Callable[..., Result], parts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"
    first = run("--category", "toy", "--source", parts, "--out", out, "--limit", 3, "--json")
    second = run("--category", "toy", "--source", parts, "--out", out, "--limit", 2)

    assert json.loads(first.stdout)["ended"] == "limit"
    assert "inspections" not in json.loads(first.stdout)
    assert second.stdout == ""
    assert "earlier run" in second.stderr
    assert [line["index"] for line in _lines(out.read_text())] == [0, 1, 2, 0, 1]


def test_overlays_of_defects_or_of_everything(
    run: Callable[..., Result], parts: Path, tmp_path: Path
) -> None:
    some, every = tmp_path / "some", tmp_path / "every"
    done = run("--category", "toy", "--source", parts, "--save", some)
    run("--category", "toy", "--source", parts, "--save", every, "--save-all")
    none = run("--category", "toy", "--source", parts / "part1.png", "--save", tmp_path / "none")
    assert "none was written" not in done.stderr
    assert f"Overlays: {tmp_path / 'none'}; none was written, for good frames" in none.stderr

    assert sorted(path.name for path in some.iterdir()) == ["000002_part2.jpg", "000006_part6.jpg"]
    assert len(list(every.iterdir())) == 10


@pytest.mark.parametrize("name", ["marked.mp4", "marked.avi"])
def test_a_video_becomes_an_annotated_video(
    run: Callable[..., Result], write_video: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    video = write_video(tmp_path / "line.mp4", 12)
    done = run("--category", "toy", "--source", video, "--save", tmp_path / name)
    lines = _lines(done.stdout)

    assert done.exit_code == 0, done.stderr
    assert [line["verdict"] for line in lines] == ["good", "good", "defect"] * 4
    assert [line["position_s"] for line in lines] == [number / 25 for number in range(12)]
    assert _count_frames(tmp_path / name) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["line.mp4", name])


def test_a_threshold_of_the_users_replaces_the_bundles(run: Callable[..., Result], parts: Path) -> None:
    lines = _lines(run("--category", "toy", "--source", parts, "--threshold", 1.0).stdout)

    assert {line["verdict"] for line in lines} == {"good", "not_inspected"}
    assert {line["threshold"] for line in lines} == {1.0}


def test_a_bundle_without_threshold_decides_nothing(run: Callable[..., Result], parts: Path) -> None:
    refused = run("--category", "none", "--source", parts)
    given = run("--category", "none", "--source", parts, "--threshold", 0.5)

    assert refused.exit_code == 1
    assert "has no threshold" in refused.stderr
    assert "--threshold" in refused.stderr
    assert given.exit_code == 0


def test_a_damaged_bundle_is_not_run(
    run: Callable[..., Result], toy_bundle: Callable[..., Bundle], parts: Path, tmp_path: Path
) -> None:
    bundle = toy_bundle(tmp_path / "b")
    with bundle.engine_path.open("ab") as stream:
        stream.write(b"\0")
    done = run("--bundle", bundle.path, "--source", parts)

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "model.onnx is changed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "--category NAME or --bundle FOLDER"),
        (
            ("--category", "toy", "--precision", "int8"),
            1,
            "realnet-edge build --category toy --precision int8",
        ),
        (("--category", "toy", "--threshold", "nan"), 2, "no image score"),
        (("--category", "toy", "--threshold", "1.5"), 2, "no image score"),
        (("--category", "toy", "--save-all"), 2, "add --save"),
        (("--category", "toy", "--save", "out.mkv"), 2, ".mp4 or .avi"),
        (("--bundle", "b", "--precision", "int8"), 2, "leave out --backend"),
    ],
)
def test_a_mistake_is_one_message(
    run: Callable[..., Result], parts: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = run(*arguments, "--source", parts)

    assert done.exit_code == code
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_a_bundle_of_another_category_is_refused(
    run: Callable[..., Result], workspace: Path, parts: Path
) -> None:
    folder = workspace / "toy" / "bundles" / "onnxruntime-fp32"
    done = run("--bundle", folder, "--category", "screw", "--source", parts)

    assert done.exit_code == 1
    assert "is for 'toy', not for 'screw'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly(
    toy_bundle: Callable[..., Bundle],
    write_video: Callable[..., Path],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """A real process, stopped in the middle of a long video: every line whole, the video playable."""
    bundle = toy_bundle(tmp_path / "bundle", size=128, depth=30)
    frames = 3000
    video = write_video(tmp_path / "line.avi", frames)
    folder = tmp_path / "out"
    out, saved = folder / "results.jsonl", folder / "marked.mp4"
    arguments = ["--bundle", bundle.path, "--source", video, "--out", out, "--save", saved, "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "realnet_edge", "run", *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while process.poll() is None and not (out.exists() and out.read_bytes().count(b"\n") >= 5):
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()

    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    summary = json.loads(stdout)
    text = out.read_text()
    assert summary["ended"] == "stopped"
    assert text.endswith("\n")
    assert 5 <= len(_lines(text)) == summary["frames"] < frames
    assert _count_frames(saved) == summary["frames"]
    assert sorted(path.name for path in folder.iterdir()) == ["marked.mp4", "results.jsonl"]


def test_an_engine_that_takes_no_single_image_gets_batches_or_is_refused(
    run: Callable[..., Result], workspace: Path, parts: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(workspace / "toy" / "bundles" / "onnxruntime-fp32")
    files = {name: bundle.path / name for name in bundle.manifest.files}
    wide = write_bundle(tmp_path / "wide", files, dataclasses.replace(bundle.manifest, batch=(2, 8)))
    for arguments in (["--bundle", wide.path], ["--category", "toy", "--fallback", wide.path]):
        done = run(*arguments, "--source", parts)
        assert done.exit_code == 2
        assert "takes 2 to 8 images at a time; give so many" in " ".join(done.stderr.split())
        assert not done.stdout
    plain = _lines(run("--bundle", bundle.path, "--source", parts).stdout)
    # Groups of fewer than the engine takes are filled up.
    filled = _lines(run("--bundle", wide.path, "--source", parts, "--batch", 3).stdout)
    assert [(line["id"], line["verdict"]) for line in filled] == [(x["id"], x["verdict"]) for x in plain]
    scores = [[line["score"] for line in lines if line["score"] is not None] for lines in (filled, plain)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert len(scores[0]) == 10


def test_fallbacks_bring_their_own_threshold_and_must_be_of_the_category(
    run: Callable[..., Result], workspace: Path, parts: Path
) -> None:
    bundles = workspace / "toy" / "bundles"
    first, second = (load_bundle(bundles / f"{backend}-fp32") for backend in ("openvino", "onnxruntime"))
    with chain([first, second], threshold=0.125, threads=1) as engines:
        assert (engines.bundle, engines.threshold) == (first.id, 0.125)
        assert second.manifest.threshold
        assert engines._choices[1].threshold == second.manifest.threshold.value != 0.125

    done = run("--category", "toy", "--source", parts, "--fallback", bundles / "onnxruntime-fp32")
    assert done.exit_code == 0, done.stderr
    other = run(
        "--category", "toy", "--source", parts, "--fallback", workspace / "none/bundles/onnxruntime-fp32"
    )
    assert other.exit_code == 1
    assert "is for 'none', not for 'toy'" in other.stderr
