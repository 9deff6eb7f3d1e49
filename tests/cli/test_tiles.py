"""Parts on tall images, cut into two tiles: the whole line through the commands, and INT8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.bundle import load_bundle
from realnet_edge.cli.main import cli
from realnet_edge.imaging import load_batch
from realnet_edge.runtime import open_runner

SIZE = (112, 64)
NETWORK = """--backbone tf_efficientnet_lite0 --image-size 64 --taps 1 --planes 16 --widths 16 --rrs-max 8
    --rrs-mean 8 --group-width 0 --attention-limit 64 --tiles 2x1 --tile-overlap 16"""
SHORT = """--steps 2 --minutes 0 --batch 4 --validate-every 2 --afs-batches 1 --statistics-batches 1
    --warmup 0 --workers 0 --threads 1"""


def run(command: str, *more: str) -> Result:
    result = CliRunner().invoke(cli, [*command.split(), *more], catch_exceptions=False)
    assert result.exit_code in (0, 3), result.output
    return result


def document(command: str, *more: str) -> Any:
    return json.loads(run(command, *more, "--json").stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bars`: 40 dark bars on 224 x 128 pixels (height x width); 3 good ones and 3 with a hole to test on."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data")
    for folder, count in (("train/good", 40), ("test/good", 3), ("test/hole", 3), ("ground_truth/hole", 3)):
        (root / "bars" / folder).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(180, 220, (224, 128, 3), np.uint8)
            image[20:204, 40:88] = rng.integers(40, 90, (184, 48, 3), np.uint8)
            name = f"{number}.png"
            if folder == "test/hole":
                image[150:166, 50:66] = 230
            if folder == "ground_truth/hole":
                image = np.zeros((224, 128), np.uint8)
                image[150:166, 50:66] = 255
                name = f"{number}_mask.png"
            Image.fromarray(image).save(root / "bars" / folder / name)
    return root


@pytest.mark.slow
def test_two_tiles_from_training_to_overlays(data: Path, tmp_path: Path) -> None:
    place = ["--category", "bars", "--workspace", str(tmp_path / "ws")]
    checkpoint = tmp_path / "ws" / "bars" / "checkpoint" / "checkpoint.json"
    run(f"train {NETWORK} {SHORT}", "--data", str(data), *place)
    stated = json.loads(checkpoint.read_text())["model"]
    assert (stated["tiles"], stated["tile_overlap"]) == ([2, 1], 16)

    run("build --precision fp32 --backend onnxruntime", *place)
    built = document("build --precision int8 --backend openvino", *place)
    assert "int8" in built["manifest"]["arithmetic"]
    bundles = [tmp_path / "ws" / "bars" / "bundles" / name for name in ("onnxruntime-fp32", "openvino-int8")]
    images = load_batch(sorted((data / "bars" / "test" / "hole").iterdir()), SIZE)
    for bundle in map(load_bundle, bundles):
        assert (bundle.manifest.input.height, bundle.manifest.input.width) == SIZE
        assert bundle.manifest.threshold is not None
        with open_runner(bundle) as runner:
            assert runner.infer(images).anomaly_map.shape == (3, *SIZE)

    rows = document("bench --backend onnxruntime --runs 2", *place)["rows"]
    engine = next(row for row in rows if row["backend"] == "onnxruntime")
    assert engine["pixel_auroc"] is not None
    assert engine["drift_map_max_abs"] < 1e-4

    shown = tmp_path / "shown"
    source = str(data / "bars" / "test" / "hole")
    found = document("run --threshold 0 --precision fp32", *place, "--source", source, "--save", str(shown))
    assert (found["defects"], found["not_inspected"]) == (3, 0)
    pictures = sorted(shown.rglob("*.*"))
    assert len(pictures) == 3
    with Image.open(pictures[0]) as picture:
        assert picture.width >= 128
