"""Real runs on solar cells: figures are bench's own, nothing is done twice, kills lose nothing."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from realnet_edge.bench import BenchSettings, predict, run_bench
from realnet_edge.cli.main import cli
from realnet_edge.data import CategoryData
from realnet_edge.errors import ConfigError
from realnet_edge.experiments.output import write_experiment
from realnet_edge.experiments.place import Place
from realnet_edge.experiments.plan import Request, Run, make_plan
from realnet_edge.experiments.published import EXPERIMENTS
from realnet_edge.experiments.running import execute
from realnet_edge.experiments.settings import Settings
from realnet_edge.experiments.summary import summarise
from realnet_edge.export import TorchRunner
from realnet_edge.metrics import image_auroc
from realnet_edge.model.checkpoint import load_checkpoint
from realnet_edge.runtime.machine import describe_machine
from realnet_edge.training import Listeners
from realnet_edge.workspace import Workspace

MACHINE = describe_machine()


@pytest.fixture(scope="module")
def run(cells: CategoryData, tiny: Settings) -> Run:
    return Run(EXPERIMENTS["table1"].rows[-1], cells, tiny, None)


@pytest.fixture(scope="module")
def finished(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A workspace in which the run is finished."""
    place = Place.inside(tmp_path_factory.mktemp("workspace"))
    assert execute(run, place, MACHINE)
    return place


def test_the_row_says_what_was_done(run: Run, finished: Place, cells: CategoryData) -> None:
    (row,) = finished.results.rows().values()
    assert (row.key, row.category, row.seed, row.images) == (run.key, "cells", 0, 8)
    assert (row.steps, row.stopped, row.data_set, row.root) == (2, "steps", "", str(cells.root.resolve()))
    assert row.settings == json.loads(json.dumps(run.settings.to_dict()))
    assert MACHINE.cpu in row.device
    for package in ("realnet-edge", "torch", "timm", "numpy", "Python"):
        assert package in row.versions
    weights = finished.paths(run).checkpoint / "model.safetensors"
    assert row.size_gib == weights.stat().st_size / 2**30
    assert Workspace(finished.root.parent).categories() == []


def test_the_figures_are_those_of_bench(run: Run, finished: Place, cells: CategoryData) -> None:
    (row,) = finished.results.rows().values()
    settings = BenchSettings(data=cells.root, runs=1, warmup=0, threads=1)
    (expected,) = run_bench(Workspace(finished.paths(run).root.parent), "cells", settings).rows
    for name in (
        "image_auroc",
        "image_auroc_low",
        "image_auroc_high",
        "pixel_auroc",
        "au_pro",
        "pro_reference",
    ):
        assert getattr(row, name) is not None
        assert getattr(row, name) == pytest.approx(getattr(expected, name), abs=0.02)


def test_a_finished_run_is_not_done_again(run: Run, finished: Place) -> None:
    weights = finished.paths(run).checkpoint / "model.safetensors"
    before = (weights.stat().st_mtime_ns, finished.results.path.read_bytes())
    heard: list[str] = []
    assert execute(run, finished, MACHINE, Listeners(heard.append))
    assert (weights.stat().st_mtime_ns, finished.results.path.read_bytes()) == before
    assert heard == []


def test_a_trained_run_without_a_row_is_evaluated_only(run: Run, finished: Place) -> None:
    """What a kill between the checkpoint and the row leaves, with the training state not yet removed."""
    row = finished.results.rows()[run.key]
    finished.results.path.unlink()
    (finished.paths(run).training).mkdir()
    heard: list[str] = []
    assert execute(run, finished, MACHINE, Listeners(heard.append))
    assert heard == []
    again = finished.results.rows()[run.key]
    assert dataclasses.replace(again, finished=row.finished) == row
    assert not finished.paths(run).training.exists()


def test_a_run_of_another_process_is_left_to_it(run: Run, tmp_path: Path) -> None:
    place = Place.inside(tmp_path)
    folder = place.paths(run).root
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not execute(run, place, MACHINE)
    assert not place.results.path.exists()
    assert not place.paths(run).checkpoint.exists()


def test_checkpoints_go_when_they_are_not_wanted(run: Run, finished: Place) -> None:
    assert execute(run, finished, MACHINE, discard=True)
    assert not finished.paths(run).checkpoint.exists()
    assert execute(run, finished, MACHINE)
    assert not finished.paths(run).checkpoint.exists()


def test_torchrun_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="without torchrun"):
        execute(run, Place.inside(tmp_path), MACHINE)


def test_one_model_is_judged_on_each_category_by_itself(pair: Path, tiny: Settings, tmp_path: Path) -> None:
    request = Request(pair, tiny, categories=("cells", "panes"))
    plan = make_plan(EXPERIMENTS["tableS5"], request)
    place = Place.inside(tmp_path)
    assert execute(plan.runs[0], place, MACHINE)
    results = place.results.rows()
    (row,) = results.values()
    assert (row.category, row.images, set(row.by_category)) == ("all", 16, {"cells", "panes"})
    assert row.image_auroc_low is None
    checkpoint = load_checkpoint(place.paths(plan.runs[0]).checkpoint)
    with TorchRunner(checkpoint) as runner:
        for part in plan.categories:
            answers = predict(runner, [sample.path for sample in part.test], 4)
            labels = [sample.label for sample in part.test]
            assert row.by_category[part.name]["image_auroc"] == pytest.approx(
                100 * image_auroc(labels, answers.scores), abs=0.01
            )
            assert row.by_category[part.name]["image_auroc_low"] is not None
    text, _ = write_experiment(tmp_path, plan, results, "demo", [])
    mean = sum(figures["image_auroc"] for figures in row.by_category.values()) / 2
    assert row.image_auroc == pytest.approx(mean)
    assert f"| RealNet, source of the preset | - | - | {mean:.2f} / " in text
    assert "| RealNet (ResNet50, DTD) | 97.30 / 98.40 | - | not available" in text
    assert text.count("### ") == 2


def test_rows_of_the_ablation_run_and_are_compared(pair: Path, tiny: Settings, tmp_path: Path) -> None:
    """The base, which tables of the paper have too, and averaged weights."""
    averaging = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, statistics_batches=1))
    plan = make_plan(EXPERIMENTS["ablation"], Request(pair, averaging, categories=("cells",)))
    place = Place.inside(tmp_path)
    chosen = {run.row.name: run for run in plan.runs if run.row.name in ("base", "ema")}
    for run in chosen.values():
        assert execute(run, place, MACHINE)
    results = place.results.rows()
    rows = {name: results[run.key] for name, run in chosen.items()}
    assert [rows[name].settings["train"]["ema"] for name in ("base", "ema")] == [0.0, 0.998]
    summaries = {summary.row.name: summary for summary in summarise(plan, results)}
    for metric, difference in zip(plan.experiment.metrics, summaries["ema"].differences, strict=True):
        assert difference is not None
        assert difference.mean == getattr(rows["ema"], metric) - getattr(rows["base"], metric)
    text, _ = write_experiment(tmp_path, plan, results, "demo", [])
    assert "| weights averaged, EMA 0.998 | " in text
    # The preset's source has no bends to leave out.
    assert "not available: the anomaly source" in text


def test_chosen_on_the_test_set_the_best_validation_is_the_figure(run: Run, tmp_path: Path) -> None:
    settings = dataclasses.replace(run.settings.train, steps=3, validate_every=1)
    chosen = dataclasses.replace(
        run, settings=dataclasses.replace(run.settings, train=settings), checkpoint_by="test-set"
    )
    place = Place.inside(tmp_path)
    heard: list[str] = []
    assert execute(chosen, place, MACHINE, Listeners(heard.append))
    (row,) = place.results.rows().values()
    training = load_checkpoint(place.paths(chosen).checkpoint).training
    assert row.checkpoint_by == training["checkpoint_by"] == "test-set"
    assert row.image_auroc is not None
    assert row.pixel_auroc is not None
    assert training["best_score"] == pytest.approx((row.image_auroc + row.pixel_auroc) / 2, abs=0.02)
    scores = [(entry["image_auroc"] + entry["pixel_auroc"]) / 2 for entry in training["history"]]
    assert training["best_score"] == pytest.approx(max(scores))
    assert sum("TEST SET: image AUROC" in line for line in heard) == 3


@pytest.mark.slow
def test_kills_lose_nothing_and_double_nothing(cells: CategoryData, tmp_path: Path) -> None:
    """The real command, killed between its two runs, then during the second, then left to finish."""
    command = [sys.executable, "-m", "realnet_edge", "reproduce", "table3", "--preset", "demo"]
    command += ["--data", str(cells.root.parent), "--category", "cells", "--workspace", str(tmp_path)]
    command += ["--image-size", "64", "--steps", "6", "--minutes", "0", "--validate-every", "2"]
    command += [
        "--batch",
        "4",
        "--afs-batches",
        "1",
        "--statistics-batches",
        "0",
        "--workers",
        "0",
        "--threads",
        "1",
    ]
    results = Place.inside(tmp_path).results.path

    _kill_when(command, lambda: results.exists() and results.read_bytes().endswith(b"\n"))
    first = results.read_bytes()
    assert first.count(b"\n") == 1
    (trained,) = (tmp_path / "_reproduce/runs").glob("*/cells/checkpoint/model.safetensors")
    written = trained.stat().st_mtime_ns

    _kill_when(command, lambda: any((tmp_path / "_reproduce/runs").glob("*/cells/training/state.json")))
    assert results.read_bytes() == first

    listed = CliRunner().invoke(cli, [*command[3:], "--list"]).stderr
    assert "done         CutPaste, cells, seed 0" in listed
    assert "unfinished   RealNet, source of the preset, cells, seed 0" in listed

    resumed = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert "1 of 2 runs are done" in resumed.stderr
    assert "resumed at step" in resumed.stderr
    lines = results.read_bytes()
    assert lines.startswith(first)
    assert lines.count(b"\n") == 2
    assert trained.stat().st_mtime_ns == written
    rows = {row["name"]: row for row in json.loads(resumed.stdout)["rows"]}
    assert [row["steps"] for name in ("cutpaste", "own") for row in rows[name]["results"]] == [6, 6]
    assert "| CutPaste | 90.14 / 97.69 / 72.63 |" in (tmp_path / "_reproduce/table3-demo.md").read_text()


def _kill_when(command: list[str], ready: Callable[[], bool]) -> None:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while not ready() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
