"""Parts that lie in any direction: aligned from training to overlays, through the commands."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.cli.align import with_alignment
from realnet_edge.cli.main import cli
from realnet_edge.data import load_category
from realnet_edge.presets import preset

NETWORK = """--backbone tf_efficientnet_lite0 --image-size 128 --taps 1 --planes 16 --widths 16 --rrs-max 8
    --rrs-mean 8 --group-width 0 --attention-limit 64 --align auto"""
SHORT = """--steps 2 --minutes 0 --batch 4 --validate-every 1 --afs-batches 1 --statistics-batches 1
    --warmup 0 --workers 0 --threads 1"""
# Height and width of the files: a camera's, not square.
SIZE = (150, 200)


def run(command: str, *more: str) -> Result:
    result = CliRunner().invoke(cli, [*command.split(), *more], catch_exceptions=False)
    assert result.exit_code in (0, 3), result.output
    return result


def nail(rng: np.random.Generator, spot: bool) -> tuple[Image.Image, tuple[float, float]]:
    """A dark nail in any direction, with or without a bright spot on its head; and the spot's x and y."""
    height, width = SIZE
    picture = Image.new("RGB", (width, height), (200, 200, 200))
    middle = (width // 2, height // 2)
    picture.paste((70, 70, 70), (middle[0] - 55, middle[1] - 14, middle[0] - 35, middle[1] + 14))
    picture.paste((70, 70, 70), (middle[0] - 35, middle[1] - 6, middle[0] + 55, middle[1] + 6))
    if spot:
        picture.paste((250, 250, 250), (middle[0] - 49, middle[1] - 5, middle[0] - 39, middle[1] + 5))
    angle = float(rng.uniform(0, 360))
    turned = picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=(200, 200, 200))
    noise = rng.normal(0, 3, (height, width, 3))
    noisy = np.clip(np.asarray(turned) + noise, 0, 255).astype(np.uint8)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return Image.fromarray(noisy), (middle[0] - 44 * cosine, middle[1] + 44 * sine)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`nails`: 40 good ones to train; 3 good ones and 3 with a spot to test on."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("data")
    for folder, count in (("train/good", 40), ("test/good", 3), ("test/spot", 3)):
        (root / "nails" / folder).mkdir(parents=True)
        for number in range(count):
            picture, place = nail(rng, folder == "test/spot")
            picture.save(root / "nails" / folder / f"{number}.png")
            if folder == "test/spot":
                mask = np.zeros(SIZE, np.uint8)
                x, y = (round(value) for value in place)
                mask[y - 4 : y + 5, x - 4 : x + 5] = 255
                target = root / "nails" / "ground_truth" / "spot" / f"{number}_mask.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(target)
    return root


def test_aligned_from_training_to_overlays(data: Path, tmp_path: Path) -> None:
    place = ["--category", "nails", "--workspace", str(tmp_path / "ws")]
    said = run(f"train {NETWORK} {SHORT}", "--data", str(data), *place).stderr
    assert "alignment: parts of up to 1" in said
    root = tmp_path / "ws" / "nails"
    with Image.open(root / "alignment.png") as sheet:
        assert sheet.height == 8 * 128 + 7 * 6
    stated: dict[str, Any] = json.loads((root / "checkpoint" / "checkpoint.json").read_text())["model"]
    height, width = stated["align_from"]
    assert stated["align"][1] > 2 * stated["align"][0]
    # In the proportion of the files, and no larger.
    assert abs(height / width - 0.75) < 0.02
    assert width <= 256

    run("build --precision fp32 --backend onnxruntime", *place)
    rows = json.loads(run("bench --backend onnxruntime --runs 2 --json", *place).stdout)["rows"]
    engine = next(row for row in rows if row["backend"] == "onnxruntime")
    assert engine["pixel_auroc"] is not None
    assert engine["drift_map_max_abs"] < 1e-4

    shown = tmp_path / "shown"
    source = str(data / "nails" / "test" / "spot")
    command = "run --threshold 0 --precision fp32 --json"
    found = json.loads(run(command, *place, "--source", source, "--save", str(shown)).stdout)
    assert (found["defects"], found["not_inspected"]) == (3, 0)
    assert len(list(shown.rglob("*.*"))) == 3


def test_the_preview_shows_strips_and_the_check_says_that_there_will_be_some(
    data: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    found = run(
        "synth preview --category nails --align 192x64 --source cutpaste --images 1 --json",
        *("--data", str(data), "--out", str(sheet)),
    )
    assert json.loads(found.stdout)["align"] == [64, 192]
    assert "Alignment: parts of up to 1" in found.stderr
    with Image.open(sheet) as drawn:
        assert drawn.size == (6 * 192 + 5 * 6, 24 + 24 + 64)
        # The nail lies along its strip: dark in the middle, background above and below.
        strip = np.asarray(drawn.convert("L"))[48:, :192].astype(float)
    assert strip[28:36, 60:130].mean() < 100
    assert strip[:6].mean() > 180
    advice = json.loads(run("data check --category nails --json --data", str(data)).stdout)["advice"]
    assert advice[0].startswith("parts are aligned: they stand free, ")
    # 40 images hold 9 out; what the default rate takes is 49.
    assert advice[1].startswith(
        "a threshold set on 9 held-out images guarantees a false-positive rate of 10.0%"
    )
    assert advice[1].endswith("takes 49, so about 200 more good images.")


def test_small_strips_are_told_of_before_a_training(data: Path) -> None:
    nails = load_category(data, "nails").train
    edge = preset("edge").model
    assert with_alignment(edge, (192, 384), False, nails)[1] == []
    (said,) = with_alignment(edge, (64, 64), False, nails)[1]
    assert said.startswith("parts are shrunk 2.")
    assert "in strips of 64 x 64: defects narrower than" in said


def test_strips_are_neither_cut_into_tiles_nor_turned_unsaid(data: Path, tmp_path: Path) -> None:
    place = ["--data", str(data), "--category", "nails", "--out", str(tmp_path / "sheet.png")]
    arguments = ["synth", "preview", *place, "--align", "auto", "--tiles", "1x2"]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 2
    assert "--align and --tiles contradict each other" in refused.stderr
    upright = CliRunner().invoke(cli, ["synth", "preview", *place, "--align", "64x192"])
    assert upright.exit_code == 2
    assert "give width x height, such as 192x64" in " ".join(upright.stderr.split())
    trained = run(
        f"train {NETWORK} {SHORT} --rotate 30 --category nails",
        *("--data", str(data), "--workspace", str(tmp_path / "ws")),
    )
    assert "Warning: --rotate 30 turns the strips" in trained.stderr
