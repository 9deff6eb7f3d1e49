"""The benchmark with FP32 PyTorch beside an engine exported from the same checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.bench import BenchSettings, run_bench
from realnet_edge.bundle import Bundle, InputSpec, write_bundle
from realnet_edge.config import ModelConfig
from realnet_edge.errors import BundleError
from realnet_edge.imaging import load_batch
from realnet_edge.workspace import Workspace

torch = pytest.importorskip("torch", reason="needs torch: FP32 PyTorch is the reference")

SIZE = 64
QUICK = {"runs": 2, "warmup": 1, "threads": 1}


@pytest.fixture
def trained(workspace: Workspace, data_root: Path, build_bundle: Callable[..., Bundle]) -> Bundle:
    """A checkpoint of a tiny RealNet with random weights, and an ONNX Runtime bundle exported from it."""
    from realnet_edge.export import onnx_from_checkpoint
    from realnet_edge.model import RealNet
    from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

    torch.manual_seed(5)
    changes = {"planes": (32, 32), "widths": (32, 32), "rrs_max": 16, "rrs_mean": 16}
    config = ModelConfig.for_backbone("resnet18", taps=(1, 2), image_size=SIZE, **changes)
    model = RealNet(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Layers that start at zero would make every map flat.
            if not parameter.any():
                parameter.normal_(0, 0.1)
    folder = workspace.category("part").checkpoint
    data = {"root": str(data_root / "part"), "layout": "mvtec"}
    save_checkpoint(folder, Checkpoint(model.eval(), config, "part", {}, data, {}))
    checkpoint = load_checkpoint(folder)

    images: npt.NDArray[np.uint8] = load_batch(
        sorted((data_root / "part/test/square").iterdir()), (SIZE, SIZE)
    )
    path = workspace.category("part").onnx / "model.onnx"
    onnx_from_checkpoint(checkpoint, path, images)
    template = build_bundle(checkpoint=checkpoint.sha256)
    manifest = dataclasses.replace(template.manifest, input=InputSpec(SIZE, SIZE))
    return write_bundle(template.path, {"model.onnx": path}, manifest)


def test_the_reference_runs_and_a_faithful_engine_passes(workspace: Workspace, trained: Bundle) -> None:
    settings = BenchSettings(batches=(1, 4), budget=0.999, **QUICK)
    result = run_bench(workspace, "part", settings)

    assert [(row.backend, row.batch) for row in result.rows] == [
        ("pytorch", 1),
        ("pytorch", 4),
        ("onnxruntime", 1),
        ("onnxruntime", 4),
    ]
    assert result.notes == ()
    for row in result.rows[:2]:
        assert row.verdict == "reference"
        assert "torch" in row.versions
        assert row.size_mb is not None
        assert row.drift_map_max_abs is None
    for row in result.rows[2:]:
        assert row.verdict == "pass"
        assert row.drift_map_max_abs is not None
        assert row.drift_map_max_abs < 1e-4
        assert row.drift_rrs_rank_swaps is not None
        assert row.drift_rrs_rank_swaps < 1
        assert row.drift_score_spearman == pytest.approx(1.0, abs=1e-3)
    assert trained.manifest.threshold is not None
    assert result.rows[2].threshold == trained.manifest.threshold.value
    # The answers are kept, and are the same when they are not computed again.
    (stored,) = (workspace.category("part").bench / "reference").iterdir()
    written = stored.stat().st_mtime_ns
    again = run_bench(workspace, "part", dataclasses.replace(settings, batches=(1,)))
    assert again.rows[0].image_auroc == result.rows[0].image_auroc
    assert stored.stat().st_mtime_ns == written


def test_a_bundle_of_an_older_checkpoint_is_refused(
    workspace: Workspace, trained: Bundle, build_bundle: Callable[..., Bundle]
) -> None:
    build_bundle("int8", checkpoint="e" * 64)
    with pytest.raises(BundleError, match="onnxruntime-int8 was built from checkpoint eeeeeeeeeeee"):
        run_bench(workspace, "part", BenchSettings(precisions=("int8",), **QUICK))
    assert trained.path.is_dir()
