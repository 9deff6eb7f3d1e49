"""The graphs for TensorRT on real screws, after a short training, as the benchmark of that name has them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from realnet_edge.cli.main import cli

# Two taps of images of 64 x 64: a minute of training, and a model that is no good but is a trained one.
TRAINING = {
    "preset": "demo",
    "image-size": 64,
    "taps": "1,2",
    "planes": "16,24",
    "widths": "8,8",
    "rrs-max": 12,
    "rrs-mean": 12,
    "steps": 120,
    "minutes": 0,
    "validate-every": 60,
    "workers": 0,
}
# Points of image AUROC that a well-trained network may lose. Of one that is hardly trained the loss is known
# to points only: after 201 steps, on 160 images (benchmarks/results), +0.3 at fp16, from -1.1 to 1.9, and
# -0.1 at int8, from -3.5 to 3.3. So the 95% interval, paired on the images, has to reach what is allowed.
ALLOWED = {"fp16": 0.1, "int8": 0.5}


@pytest.mark.slow
def test_rounding_costs_a_trained_network_next_to_nothing(
    repository: Path, mvtec_root: Path, tmp_path: Path
) -> None:
    place = ["--workspace", str(tmp_path / "workspace"), "--category", "screw"]
    settings = [f"--{name}={value}" for name, value in TRAINING.items()]
    trained = CliRunner().invoke(cli, ["train", "--data", str(mvtec_root), *place, *settings])
    assert trained.exit_code == 0, trained.output
    rows = tmp_path / "rows.csv"
    script = repository / "benchmarks" / "tensorrt_numerics.py"
    done = subprocess.run(
        [sys.executable, str(script), *place, "--data", str(mvtec_root), "--out", str(rows)],
        capture_output=True,
        text=True,
        check=False,
    )
    # 3 says that a bound for well-trained networks was missed.
    assert done.returncode in (0, 3), done.stderr
    found = {row["precision"]: row for row in csv.DictReader(rows.open(newline=""))}
    assert list(found) == ["fp32", "fp16", "int8"]
    assert float(found["fp32"]["map_max_abs"]) <= 1e-4
    assert float(found["fp32"]["image_auroc_drift"]) == 0.0
    for precision, allowed in ALLOWED.items():
        low, high = (float(found[precision][f"image_auroc_drift_{end}"]) for end in ("low", "high"))
        assert low <= allowed, precision
        assert high >= -allowed, precision
    assert int(found["int8"]["int8_layers"]) > int(found["int8"]["float_layers"]) > 0
    assert found["fp16"]["int8_layers"] == "0"
    # Rounding that is really done shows.
    off = [float(found[precision]["map_mean_abs"]) for precision in ("fp32", "fp16", "int8")]
    assert off == sorted(off)
    assert off[0] < 0.1 * off[1]
