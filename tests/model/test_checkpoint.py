"""Checkpoints: what is written comes back, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError
from realnet_edge.files import read_json, sha256_file, write_json
from realnet_edge.model import RealNet
from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

CONFIG = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, planes=(8, 16, 16), widths=(8, 8, 24), rrs_max=6, rrs_mean=5
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = RealNet(CONFIG)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.randn_like(tensor).abs() * 0.1)
    splits = {"train": ["a.png"], "held_out": ["b.png"], "calibration": ["c.png"], "seed": 3}
    checkpoint = Checkpoint(
        model,
        CONFIG,
        "screw",
        splits,
        {"root": "/data/screw", "layout": "mvtec"},
        {"rule": "whole"},
        {"steps": 5},
    )
    save_checkpoint(tmp_path / "checkpoint", checkpoint)
    checkpoint.model.eval()
    with torch.no_grad():
        torch.save(checkpoint.model(torch.ones(2, 3, 64, 64)).logits, tmp_path / "logits.pt")
    return tmp_path / "checkpoint"


def test_round_trip(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.config == CONFIG
    assert (loaded.category, loaded.score_rule) == ("screw", "avgpool16")
    assert loaded.splits["held_out"] == ["b.png"]
    assert loaded.data == {"root": "/data/screw", "layout": "mvtec"}
    assert (loaded.foreground, loaded.training) == ({"rule": "whole"}, {"steps": 5})
    assert loaded.sha256 == sha256_file(folder / "model.safetensors")
    assert not loaded.model.training
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.model(torch.ones(2, 3, 64, 64)).logits, torch.load(folder.parent / "logits.pt")
        )


def test_nothing_in_it_is_a_pickle(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "model.safetensors"]


def test_changed_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="changed or damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("change", ["drop", "shape", "extra"])
def test_weights_that_do_not_fit_name_the_first_tensor(folder: Path, change: str) -> None:
    path = folder / "model.safetensors"
    state = load_file(path)
    if change == "drop":
        del state["rrs.norm.running_mean"]
    elif change == "shape":
        state["rrs.norm.running_mean"] = torch.zeros(3)
    else:
        state["rrs.norm.surplus"] = torch.zeros(3)
    save_file(state, path)
    write_json(
        folder / "checkpoint.json",
        {**read_json(folder / "checkpoint.json"), "weights_sha256": sha256_file(path)},
    )
    with pytest.raises(CheckpointError, match=r"rrs\.norm\.(running_mean|surplus)"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "version 99"),
        ({"model": {**CONFIG.to_dict(), "colour": "red"}}, "colour"),
        ({"model": {**CONFIG.to_dict(), "rrs_max": -1}}, "rrs_max is -1"),
    ],
)
def test_a_document_that_does_not_fit(folder: Path, change: dict[str, object], message: str) -> None:
    path = folder / "checkpoint.json"
    write_json(path, {**read_json(path), **change})
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_missing_and_unreadable(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="realnet-edge train"):
        load_checkpoint(tmp_path / "nothing")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors: missing"):
        load_checkpoint(folder)
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load_checkpoint(folder)
