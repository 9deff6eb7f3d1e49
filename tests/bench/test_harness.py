"""The whole benchmark on real engines in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from realnet_edge.bench import BenchSettings, run_bench
from realnet_edge.bench.predictions import predict
from realnet_edge.bench.reference import ReferenceStore
from realnet_edge.bench.testset import load_test_set
from realnet_edge.bundle import Bundle
from realnet_edge.data import Splits
from realnet_edge.errors import BundleError, ConfigError, DataError
from realnet_edge.files import write_json
from realnet_edge.runtime import open_runner
from realnet_edge.workspace import Workspace

BuildBundle = Callable[..., Bundle]
QUICK = {"runs": 4, "warmup": 1, "threads": 1}


def test_rows_hold_accuracy_and_speed_of_every_bundle(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    build_bundle("int8", gain=0.9)
    steps: list[tuple[int, int, str]] = []

    result = run_bench(
        workspace,
        "part",
        BenchSettings(data=data_root, batches=(1, 3), **QUICK),
        lambda *step: steps.append(step),
    )

    assert [(row.precision, row.batch) for row in result.rows] == [
        ("int8", 1),
        ("int8", 3),
        ("fp32", 1),
        ("fp32", 3),
    ]
    for row, evaluation in zip(result.rows, result.evaluations, strict=True):
        assert row.images == 16
        assert row.image_auroc is not None
        assert row.image_auroc > 80
        assert None not in (row.pixel_auroc, row.au_pro, row.pro_reference)
        assert row.latency_ms_p50 <= row.latency_ms_p90 <= row.latency_ms_p99
        # Decoding and resizing come on top of the engine.
        assert evaluation.engine_ms.shape == evaluation.end_to_end_ms.shape == (4,)
        assert row.fps == pytest.approx(1000 * row.batch * 4 / evaluation.engine_ms.sum())
        assert row.peak_memory_mb is not None
        assert 20 < row.peak_memory_mb < 2000
        assert "onnxruntime" in row.versions
        assert row.threshold == 0.25
        assert evaluation.maps.dtype == np.float16
        assert evaluation.masks is not None
        assert evaluation.names[0] == "good/000.png"
    assert [done for done, _, _ in steps] == list(range(len(steps)))
    assert {total for _, total, _ in steps} == {len(steps)}
    # Nothing to compare with: said, and not taken for a pass.
    assert {row.verdict for row in result.rows} == {"unmeasured"}
    assert "FP32 PyTorch did not run: there is no checkpoint" in result.notes[0]


def store_reference(workspace: Workspace, data_root: Path, bundle: Bundle, images: int | None = None) -> None:
    """Keep a bundle's own answers as if FP32 PyTorch had given them."""
    test = load_test_set(data_root, "part", images)
    with open_runner(bundle, 1) as runner:
        answers = predict(runner, test.paths, 4, diagnostics=True)
    store = ReferenceStore(workspace.category("part").bench / "reference")
    store.store(bundle.manifest.checkpoint_sha256, test.digest(), answers)


def test_drift_is_measured_against_stored_answers(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    store_reference(workspace, data_root, build_bundle("fp32"))
    build_bundle("int8", gain=0.5)

    result = run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))

    rows = {row.precision: row for row in result.rows}
    same, halved = rows["fp32"], rows["int8"]
    assert (same.drift_map_max_abs, same.drift_decisions_flipped, same.drift_rrs_rank_swaps) == (0, 0, 0)
    assert same.drift_score_spearman == pytest.approx(1.0)
    assert same.verdict == "pass"
    # Half the brightness: order and AUROC stay, the largest map value halves, decisions flip.
    assert halved.drift_map_max_abs is not None
    assert 0.2 < halved.drift_map_max_abs < 0.5
    assert halved.drift_image_auroc_points == 0
    assert halved.drift_decisions_flipped is not None
    assert halved.drift_decisions_flipped > 2
    assert halved.verdict == "pass"
    assert "stored answers" in result.notes[0]
    assert not result.failed


def test_an_engine_that_turns_the_order_around_fails_the_budget(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    store_reference(workspace, data_root, build_bundle("fp32"))
    build_bundle("int8", gain=-1.0)

    result = run_bench(workspace, "part", BenchSettings(data=data_root, precisions=("int8",), **QUICK))

    (row,) = result.failed
    assert row.image_auroc is not None
    assert row.image_auroc < 50
    assert row.drift_image_auroc_points is not None
    assert row.drift_image_auroc_points < -30


def test_the_accuracy_recorded_in_the_bundle_stands_in_for_pytorch(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    images = load_test_set(data_root, "part").digest()
    reference = {"image_auroc": 99.0, "pixel_auroc": None}
    build_bundle("fp32", accuracy={"reference": reference, "images_sha256": images})

    result = run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))

    (row,) = result.rows
    assert row.image_auroc is not None
    assert row.drift_image_auroc_points == pytest.approx(row.image_auroc - 99.0)
    assert row.drift_map_max_abs is None
    assert row.verdict == ("pass" if row.image_auroc >= 0.99 * 99.0 else "fail")
    assert "as recorded in the bundle" in result.notes[0]


def test_the_accuracy_recorded_on_other_images_is_not_compared_with(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    images = load_test_set(data_root, "part").digest()
    build_bundle("fp32", accuracy={"reference": {"image_auroc": 99.0}, "images_sha256": images})

    result = run_bench(workspace, "part", BenchSettings(data=data_root, images=8, **QUICK))

    assert result.rows[0].verdict == "unmeasured"
    assert result.rows[0].drift_image_auroc_points is None
    assert "as recorded in the bundle is of other images" in result.notes[0]


def test_images_that_the_model_was_trained_with_are_not_tested_on(
    tmp_path: Path, workspace: Workspace, images: npt.NDArray[np.uint8], build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    data = tmp_path / "plain" / "part"
    for folder, pictures in (("good", images[:8]), ("defect", images[8:])):
        (data / folder).mkdir(parents=True)
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(data / folder / f"{index}.png")
    # The defects came after the training, and made test images of some of the good ones.
    splits = Splits(tuple(f"good/{index}.png" for index in range(8)), (), (), 0)
    write_json(workspace.category("part").checkpoint / "checkpoint.json", {"splits": splits.to_dict()})

    with pytest.raises(DataError, match="4 images that the model was trained with count as test images now"):
        run_bench(workspace, "part", BenchSettings(data=data.parent, **QUICK))


def test_bundles_of_different_checkpoints_are_not_compared(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    build_bundle("int8", checkpoint="d" * 64)
    with pytest.raises(BundleError, match="onnxruntime-fp32 was built from checkpoint cccccccccccc") as error:
        run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))
    command = "realnet-edge build --category part --precision fp32 --backend onnxruntime"
    assert f"`{command} --workspace {workspace.root}`" in str(error.value)


def test_a_changed_bundle_is_not_measured(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    bundle = build_bundle("fp32")
    bundle.engine_path.write_bytes(bundle.engine_path.read_bytes() + b"\0")
    with pytest.raises(BundleError, match=r"onnxruntime-fp32: .*model.onnx is changed"):
        run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))


def test_batches_that_no_engine_takes_are_named(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32", batch=(1, 2))
    build_bundle("int8", batch=(1, 1))
    result = run_bench(workspace, "part", BenchSettings(data=data_root, batches=(2, 9), **QUICK))
    assert [row.batch for row in result.rows] == [2]
    assert "fp32 takes 1 to 2 images at once, so it has no row for 9" in result.notes[0]
    # Named too where no batch size at all was left for it.
    assert "int8 takes 1 to 1 images at once, so it has no row for 2, 9" in result.notes[0]
    with pytest.raises(
        ConfigError, match=r"no engine takes batches of \(9,\): onnxruntime-int8 takes 1 to 1"
    ):
        run_bench(workspace, "part", BenchSettings(data=data_root, batches=(9,), **QUICK))


def test_one_engine_at_a_time_gives_the_same_accuracy(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle
) -> None:
    build_bundle("fp32")
    build_bundle("int8", gain=0.8)
    turns = run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))
    alone = run_bench(workspace, "part", BenchSettings(data=data_root, sequential=True, **QUICK))
    assert [row.pixel_auroc for row in alone.rows] == [row.pixel_auroc for row in turns.rows]


def test_an_engine_that_takes_no_small_batch_is_measured_on_every_image(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle, images: npt.NDArray[np.uint8]
) -> None:
    bundle = build_bundle("fp32", batch=(5, 6))
    build_bundle("int8")
    settings = BenchSettings(data=data_root, **QUICK)
    steps: list[tuple[int, int, str]] = []
    other, evaluation = run_bench(workspace, "part", settings, lambda *step: steps.append(step)).evaluations
    assert (other.row.batch, evaluation.row.batch) == (1, 5)
    assert [done for done, _, _ in steps] == list(range(steps[0][1]))
    with open_runner(bundle, 1) as runner:
        expected = runner.infer(images[[15, 0, 1, 2, 3]]).score
    # 16 images are three batches of five and one image: it must not be dropped nor mixed up.
    assert evaluation.scores[15] == pytest.approx(expected[0])


def test_without_bundle_and_checkpoint_the_command_that_builds_is_named(
    workspace: Workspace, data_root: Path
) -> None:
    command = f"realnet-edge build --category part --precision int8 --workspace {workspace.root}"
    with pytest.raises(BundleError, match=f"{command}$"):
        run_bench(workspace, "part", BenchSettings(data=data_root, **QUICK))


@pytest.mark.parametrize("option", [{"backends": ("onnx",)}, {"precisions": ("int4",)}])
def test_unknown_names_are_refused_with_the_valid_ones(
    workspace: Workspace, data_root: Path, build_bundle: BuildBundle, option: dict[str, tuple[str]]
) -> None:
    build_bundle("fp32")
    with pytest.raises(ConfigError, match="is unknown: use"):
        run_bench(workspace, "part", BenchSettings(data=data_root, **option))


def test_without_data_and_record_the_option_is_named(workspace: Workspace, build_bundle: BuildBundle) -> None:
    build_bundle("fp32")
    with pytest.raises(ConfigError, match="--data"):
        run_bench(workspace, "part", BenchSettings(**QUICK))
