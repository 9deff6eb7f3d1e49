from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.bench.predictions import Predictions, predict
from realnet_edge.bench.reference import ReferenceStore, recorded_accuracy
from realnet_edge.bench.testset import load_test_set
from realnet_edge.bundle import Bundle
from realnet_edge.errors import DataError
from realnet_edge.runtime import open_runner


def answers(value: float = 0.5, indices: bool = True) -> Predictions:
    maps = np.full((2, 4, 4), value, np.float32)
    return Predictions(maps, maps[:, 0, 0], np.zeros((2, 3), np.int32) if indices else None)


@pytest.mark.parametrize("indices", [True, False])
def test_what_is_saved_is_loaded(tmp_path: Path, indices: bool) -> None:
    answers(0.25, indices).save(tmp_path / "p.npz")
    loaded = Predictions.load(tmp_path / "p.npz")
    assert loaded.maps.dtype == np.float32
    np.testing.assert_array_equal(loaded.maps, 0.25)
    assert (loaded.rrs_indices is not None) == indices
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match=r"p.npz: not readable predictions"):
        Predictions.load(tmp_path / "p.npz")


@pytest.mark.parametrize("batch", [1, 5, 16])
def test_the_batch_size_changes_no_answer(
    data_root: Path, build_bundle: Callable[..., Bundle], images: npt.NDArray[np.uint8], batch: int
) -> None:
    paths = load_test_set(data_root, "part").paths
    with open_runner(build_bundle(), 1) as runner:
        found = predict(runner, paths, batch, diagnostics=True)
        expected = runner.infer(images, diagnostics=True)
    np.testing.assert_allclose(found.maps, expected.anomaly_map, atol=1e-6)
    np.testing.assert_allclose(found.scores, expected.score, atol=1e-6)
    np.testing.assert_array_equal(found.rrs_indices, expected.rrs_indices)


def test_no_image_is_an_error(build_bundle: Callable[..., Bundle]) -> None:
    with open_runner(build_bundle(), 1) as runner, pytest.raises(DataError, match="no image"):
        predict(runner, (), 1)


def test_the_store_tells_checkpoints_and_images_apart(tmp_path: Path) -> None:
    store = ReferenceStore(tmp_path)
    store.store("a" * 64, "images", answers(0.25))
    found = store.load("a" * 64, "images")
    assert found is not None
    np.testing.assert_array_equal(found.maps, 0.25)
    assert store.load("b" * 64, "images") is None
    assert store.load("a" * 64, "other images") is None


def test_the_store_keeps_the_newest_and_survives_damage(tmp_path: Path) -> None:
    store = ReferenceStore(tmp_path, keep=2)
    for checkpoint in "abc":
        store.store(checkpoint * 64, "images", answers())
    assert len(list(tmp_path.iterdir())) == 2
    assert store.load("c" * 64, "images") is not None
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    assert store.load("c" * 64, "images") is None


def test_recorded_accuracy_is_read_from_the_manifest(build_bundle: Callable[..., Bundle]) -> None:
    reference = {"image_auroc": 97.5, "au_pro": None, "pixel_auroc": 98}
    manifest = build_bundle(accuracy={"reference": reference, "images_sha256": "a"}).manifest
    found = recorded_accuracy(manifest, "a")
    assert found is not None
    assert (found.image_auroc, found.pixel_auroc, found.au_pro) == (97.5, 98.0, None)
    assert recorded_accuracy(manifest, "b") is None
    assert recorded_accuracy(build_bundle(accuracy={"reference": reference}).manifest, "a") is None
    assert recorded_accuracy(build_bundle().manifest, "a") is None
    assert recorded_accuracy(None, "a") is None
