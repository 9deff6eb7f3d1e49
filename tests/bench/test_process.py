from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet_edge.bench.job import Job
from realnet_edge.bench.process import Worker
from realnet_edge.bench.testset import load_test_set
from realnet_edge.bundle import Bundle
from realnet_edge.errors import BackendError, BundleError, DataError

BuildBundle = Callable[..., Bundle]


def job(bundle: Bundle, data_root: Path, threads: int | None = 1) -> Job:
    return Job(bundle.path, True, threads, load_test_set(data_root, "part").paths[:2])


def test_a_worker_tells_what_it_opened_and_ends_with_its_block(
    tmp_path: Path, data_root: Path, build_bundle: BuildBundle
) -> None:
    with Worker("engine", job(build_bundle(batch=(1, 4)), data_root), tmp_path) as worker:
        facts = worker.facts
        pid = worker.pid
    assert facts.batch_range == (1, 4)
    assert facts.input_size == (64, 64)
    assert facts.tells_rrs
    assert facts.checkpoint_sha256 == "c" * 64
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_error_keeps_its_class_and_the_worker_goes_on(
    tmp_path: Path, data_root: Path, build_bundle: BuildBundle
) -> None:
    with Worker("engine", job(build_bundle(batch=(1, 4)), data_root), tmp_path) as worker:
        missing = {"batch": 1, "paths": [str(tmp_path / "none.png")], "out": str(tmp_path / "out.npz")}
        with pytest.raises(DataError, match=r"engine: .*none.png: no such image"):
            worker.call("predict", **missing)
        with pytest.raises(BackendError, match="engine: a batch of 9 images"):
            worker.call("time", batch=9, runs=1, warmup=0, threshold=None)
        answer = worker.call("time", batch=2, runs=3, warmup=0, threshold=None)
    assert len(answer["engine_ms"]) == 3


def test_a_killed_process_is_reported_with_its_signal(
    tmp_path: Path, data_root: Path, build_bundle: BuildBundle
) -> None:
    with Worker("engine", job(build_bundle(), data_root), tmp_path) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(BackendError, match=r"engine: .*signal SIGKILL .*memory ran out"):
            worker.call("time", batch=1, runs=1, warmup=0, threshold=None)


def test_a_process_that_fails_shows_what_it_said(
    tmp_path: Path, data_root: Path, build_bundle: BuildBundle
) -> None:
    said = r"exit status 1.*\n(.*\n)*.*KeyError: 'dance'"
    with (
        Worker("engine", job(build_bundle(), data_root), tmp_path) as worker,
        pytest.raises(BackendError, match=said),
    ):
        worker.call("dance")


def test_a_bundle_that_cannot_be_opened_is_the_bundles_error(
    tmp_path: Path, data_root: Path, build_bundle: BuildBundle
) -> None:
    bundle = build_bundle()
    bundle.engine_path.unlink()
    with pytest.raises(BundleError, match=r"engine: .*model.onnx is missing"):
        Worker("engine", job(bundle, data_root), tmp_path)
