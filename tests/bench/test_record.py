from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.bench import BenchSettings, record_accuracy, run_bench
from realnet_edge.bench.predictions import predict
from realnet_edge.bench.reference import ReferenceStore
from realnet_edge.bench.testset import load_test_set
from realnet_edge.bundle import Bundle, load_bundle
from realnet_edge.errors import ConfigError
from realnet_edge.runtime import open_runner
from realnet_edge.workspace import Workspace

BuildBundle = Callable[..., Bundle]
QUICK = {"runs": 1, "warmup": 0, "threads": 1}


def test_recorded_accuracy_stands_in_where_pytorch_and_its_answers_are_gone(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    before = build_bundle("fp32")
    test = load_test_set(data_root, "part")
    with open_runner(before, 1) as runner:
        answers = predict(runner, test.paths, 4, diagnostics=True)
    folder = workspace.category("part").bench / "reference"
    ReferenceStore(folder).store(before.manifest.checkpoint_sha256, test.digest(), answers)
    measured = run_bench(workspace, "part", BenchSettings(data=data_root, batches=(2, 1), **QUICK))

    (written,) = record_accuracy(workspace, measured)

    stated = load_bundle(before.path).manifest
    assert stated == written.manifest
    assert stated.files == before.manifest.files
    assert stated.accuracy is not None
    assert stated.accuracy["engine"]["image_auroc"] == measured.rows[0].image_auroc
    assert (stated.accuracy["images"], stated.accuracy["images_sha256"]) == (16, test.digest())
    shutil.rmtree(folder)
    (row,) = run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK)).rows
    assert row.verdict == "pass"
    assert row.drift_au_pro_points == 0


def test_without_a_reference_nothing_is_recorded(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    before = build_bundle("fp32")
    result = run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))
    with pytest.raises(ConfigError, match="run the benchmark where the checkpoint and torch are"):
        record_accuracy(workspace, result)
    assert load_bundle(before.path).manifest_sha256 == before.manifest_sha256
