"""The benchmark with FP32 PyTorch beside the engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from realnet_edge.bench import BenchSettings, run_bench
from realnet_edge.bench.predictions import Predictions
from realnet_edge.bench.reference import ReferenceStore
from realnet_edge.bench.testset import load_test_set
from realnet_edge.bundle import Bundle, write_bundle
from realnet_edge.config import ModelConfig
from realnet_edge.data import Splits
from realnet_edge.errors import BundleError
from realnet_edge.imaging import load_batch
from realnet_edge.workspace import Workspace

torch = pytest.importorskip("torch", reason="needs torch: FP32 PyTorch is the reference")

BuildBundle = Callable[..., Bundle]
SIZE = 64
QUICK = {"runs": 2, "warmup": 1, "threads": 1}


@pytest.fixture
def checkpoint(workspace: Workspace, data_root: Path) -> str:
    """SHA-256 of the checkpoint of a tiny RealNet with random weights, saved in the workspace."""
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
    splits = Splits(("train/good/000.png",), (), (), 0).to_dict()
    save_checkpoint(folder, Checkpoint(model.eval(), config, "part", splits, data, {}))
    return load_checkpoint(folder).sha256


def test_pytorch_is_the_reference_of_every_other_row(
    workspace: Workspace, build_bundle: BuildBundle, checkpoint: str
) -> None:
    build_bundle("fp32", checkpoint=checkpoint)
    # No data folder given: it is the one that the checkpoint recorded.
    result = run_bench(workspace, "part", BenchSettings(batches=(1, 4), **QUICK))

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
    reference, engine = result.evaluations[0], result.evaluations[2]
    difference = np.abs(reference.maps.astype(np.float32) - engine.maps.astype(np.float32))
    # The maps that are kept are rounded to half precision; the figures are not.
    assert engine.row.drift_map_max_abs == pytest.approx(difference.max(), abs=1e-3)
    assert engine.row.image_auroc is not None
    assert reference.row.image_auroc is not None
    stored = ReferenceStore(workspace.category("part").bench / "reference").load(
        checkpoint, result.images_sha256
    )
    assert stored is not None
    np.testing.assert_array_equal(stored.scores, reference.scores)
    points = engine.row.image_auroc - reference.row.image_auroc
    assert engine.row.drift_image_auroc_points == pytest.approx(points)


def test_stored_answers_of_pytorch_are_not_computed_again(
    workspace: Workspace, data_root: Path, checkpoint: str
) -> None:
    # Answers that the model would never give: only the store can be where they come from.
    test = load_test_set(data_root, "part")
    maps = np.random.default_rng(0).random((16, SIZE, SIZE)).astype(np.float32)
    answers = Predictions(maps, maps[:, 0, 0], None)
    ReferenceStore(workspace.category("part").bench / "reference").store(checkpoint, test.digest(), answers)
    result = run_bench(workspace, "part", BenchSettings(backends=("pytorch",), **QUICK))
    np.testing.assert_array_equal(result.evaluations[0].scores, maps[:, 0, 0])


def test_pytorch_is_the_reference_of_batches_that_it_does_not_take(
    workspace: Workspace, build_bundle: BuildBundle, checkpoint: str
) -> None:
    build_bundle("fp32", checkpoint=checkpoint, batch=(1, 40))
    steps: list[tuple[int, int, str]] = []

    result = run_bench(
        workspace, "part", BenchSettings(batches=(33,), **QUICK), lambda *step: steps.append(step)
    )

    (row,) = result.rows
    assert (row.backend, row.batch) == ("onnxruntime", 33)
    assert row.drift_map_max_abs is not None
    assert row.verdict in ("pass", "fail")
    assert result.reference is not None
    assert result.notes == ("pytorch-fp32 takes 1 to 32 images at once, so it has no row for 33.",)
    assert "accuracy of pytorch-fp32, batch 32" in [what for _, _, what in steps]
    assert max(done for done, _, _ in steps) == steps[0][1] - 1


def test_a_bundle_of_an_older_checkpoint_is_refused(
    workspace: Workspace, build_bundle: BuildBundle, checkpoint: str
) -> None:
    build_bundle("int8", checkpoint="e" * 64)
    with pytest.raises(BundleError, match=f"int8 was built from checkpoint eeeeeeeeeeee.*{checkpoint[:12]}"):
        run_bench(workspace, "part", BenchSettings(**QUICK))


@pytest.mark.slow
def test_an_exported_engine_keeps_what_pytorch_computes(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle, checkpoint: str
) -> None:
    from realnet_edge.export import onnx_from_checkpoint
    from realnet_edge.model.checkpoint import load_checkpoint

    images = load_batch(sorted((data_root / "part/test/square").iterdir()), (SIZE, SIZE))
    path = workspace.category("part").onnx / "model.onnx"
    onnx_from_checkpoint(load_checkpoint(workspace.category("part").checkpoint), path, images)
    template = build_bundle(checkpoint=checkpoint)
    write_bundle(template.path, {"model.onnx": path}, dataclasses.replace(template.manifest))

    result = run_bench(workspace, "part", BenchSettings(batches=(1, 4), budget=0.999, **QUICK))

    for row in result.rows[2:]:
        assert row.verdict == "pass"
        assert row.drift_map_max_abs is not None
        assert row.drift_map_max_abs < 1e-4
        assert row.drift_rrs_rank_swaps is not None
        assert row.drift_rrs_rank_swaps < 1
        assert row.drift_score_spearman == pytest.approx(1.0, abs=1e-3)
