"""Checkpoints in the official format: read through a pickle that may run nothing, and written back."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realnet_edge.config import ModelConfig
from realnet_edge.errors import CheckpointError
from realnet_edge.model import RealNet
from realnet_edge.model.official_checkpoint import read_official, write_official
from realnet_edge.model.official_pickle import read_pickle

Tensors = dict[str, Tensor]
OfCase = Callable[[dict[str, Any]], Tensors]


@pytest.fixture(scope="module", params=["resnet18-a", "resnet18-c"])
def case(golden: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((golden / f"{request.param}.json").read_text())
    return document


@pytest.fixture(scope="module")
def tensors(official_tensors: OfCase, case: dict[str, Any]) -> Tensors:
    return official_tensors(case)


@pytest.fixture(scope="module")
def c_tensors(official_tensors: OfCase, golden: Path) -> Tensors:
    return official_tensors(json.loads((golden / "resnet18-c.json").read_text()))


@pytest.fixture
def easydict(monkeypatch: pytest.MonkeyPatch) -> type:
    """The class that the official settings are kept in, under the name that their pickles ask for."""

    class EasyDict(dict):  # type: ignore[type-arg]
        def __init__(self, **entries: Any) -> None:
            super().__init__(**entries)
            self.__dict__.update(entries)

    module = ModuleType("easydict")
    EasyDict.__module__, EasyDict.__qualname__ = "easydict", "EasyDict"
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easydict", module)
    return EasyDict


def test_a_checkpoint_is_understood_from_its_tensors(
    case: dict[str, Any], tensors: dict[str, Tensor], easydict: type, tmp_path: Path
) -> None:
    facts = case["case"]
    settings = easydict(modes=facts["rrs_modes"], mode_numbers=facts["rrs_numbers"])
    document = {
        "epoch": 35,
        "arch": [easydict(name="backbone"), easydict(name="rrs", kwargs=settings)],
        "state_dict": tensors,
        "best_metric": np.float64(0.99),
    }
    path = tmp_path / "ckpt_best.pth.tar"
    torch.save(document, path)
    sys.modules.pop("easydict")  # who reads it need not have it
    found = read_official(path, image_size=facts["size"])
    config = found.config
    assert (config.backbone, config.taps) == ("resnet18", (1, 2, 3, 4))
    assert config.planes == tuple(facts["planes"])
    assert config.blocks == (() if facts["architecture"] == "A" else (2, 2))
    assert [config.rrs_max, config.rrs_mean] == facts["rrs_numbers"]
    assert (found.epoch, found.best_metric) == (35, 0.99)
    assert found.assumed == (f"images of {facts['size']} x {facts['size']} pixels",)
    weight = found.model.state_dict()["discriminator.reduce.0.weight"]
    assert torch.equal(weight, tensors["rrs.decoder1.1.weight"])


def test_what_is_written_is_what_was_read(
    case: dict[str, Any], tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path, again = tmp_path / "in.pth", tmp_path / "out.pth"
    torch.save({f"module.{key}": tensor for key, tensor in tensors.items()}, path)
    found = read_official(path, image_size=case["case"]["size"])
    # Nothing but tensors in the file: how RRS divides its planes is a guess, and is said to be one.
    assert "by their maximum" in found.assumed[0]
    write_official(again, found.model)
    written = torch.load(again, weights_only=True)
    assert set(written["state_dict"]) == set(tensors)
    assert all(torch.equal(written["state_dict"][key], tensor) for key, tensor in tensors.items())
    assert read_official(again, image_size=case["case"]["size"]).config == found.config


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "arch": Harmful()}, "harmful.pth")
    with pytest.raises(CheckpointError, match=r"it asks for (posix|nt)\.system"):
        read_official(Path("harmful.pth"))
    assert not Path("harmed").exists()


class Program(torch.nn.Module):
    """Fails where it is loaded: its own code runs then."""

    @torch.jit.export
    def __getstate__(self) -> bool:
        return self.training

    @torch.jit.export
    def __setstate__(self, state: bool) -> None:
        self.training = state
        raise RuntimeError("a program ran")

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_torchscript_program_is_not_started(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Program()), tmp_path / "program.pth")
    with pytest.raises(CheckpointError, match="it is a TorchScript program"):
        read_official(tmp_path / "program.pth")


def test_files_of_old_pytorch_are_read_by_the_same_rules(
    c_tensors: Tensors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"_use_new_zipfile_serialization": False}
    torch.save({"state_dict": c_tensors}, tmp_path / "old.pth", **old)
    assert read_official(tmp_path / "old.pth", image_size=128).config.backbone == "resnet18"
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "arch": Harmful()}, "harmful.pth", **old)
    with pytest.raises(CheckpointError, match=r"it asks for (posix|nt)\.system"):
        read_official(Path("harmful.pth"))
    assert not Path("harmed").exists()


def test_old_files_write_nothing_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old PyTorch wrote patches of changed sources, under a name of the file's choice, and unpacked tars."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return b"X" + struct.pack("<I", len(raw)) + raw

    monkeypatch.chdir(tmp_path)
    renamed = b"(N}(" + text("dump_patches") + b"\x88" + text("__name__") + text("planted") + b"utb"
    module = b"0(" + text("module") + b"h\x00" + text("x.py") + text("other\nsource") + b"tQ0}."
    with Path("stream.pth").open("wb") as file:
        head = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
        for part in (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, head):
            pickle.dump(part, file, protocol=2)
        file.write(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00" + renamed + module)
        pickle.dump([], file, protocol=2)
    with pytest.raises(CheckpointError, match="not read"):
        read_official(Path("stream.pth"))
    assert torch._utils._rebuild_tensor_v2.__name__ == "_rebuild_tensor_v2"

    mine = Path("mine.txt")
    mine.write_text("a secret")
    mine.chmod(0o600)
    with tarfile.open("linked.pth", "w") as archive:
        entry = tarfile.TarInfo("storages")
        entry.type, entry.linkname, entry.mode = tarfile.LNKTYPE, str(mine.absolute()), 0o777
        archive.addfile(entry)
    with pytest.raises(CheckpointError, match="it is a tar file"):
        read_official(Path("linked.pth"))
    assert mine.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"stream.pth", "linked.pth", "mine.txt"}


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numbers_of_either_numpy_are_read(kind: type, module: str, tmp_path: Path) -> None:
    torch.save({"metric": kind(3)}, tmp_path / "new.pth")
    theirs = zipfile.ZipFile(tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "named.pth", "w") as archive:
        for name in theirs.namelist():
            content = theirs.read(name)
            archive.writestr(name, re.sub(rb"numpy\._?core\.multiarray", module.encode(), content))
    assert read_pickle(tmp_path / "named.pth") == {"metric": 3}


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_official(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match="not read"):
        read_official(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        read_official(tmp_path / "list.pth")
    torch.save({"state_dict": {"fc.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"not a RealNet: no key .* \(its keys are fc.weight"):
        read_official(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("key", "replacement", "message"),
    [
        ("rrs.decoder2.0.bias", None, "'rrs.decoder2.0.bias' is missing"),
        (
            "recon.block1_recon.middle_block.1.qkv.weight",
            torch.zeros(3, 3, 1),
            "middle_block.1.qkv.weight' has",
        ),
        ("backbone.feature_extractor.layer2.0.conv1.weight", torch.zeros(1), "layer2.0.conv1.weight is not"),
        ("recon.block1_recon.input_blocks.0.weight", None, "input_blocks.0.weight' is missing"),
        ("rrs.decoder9.bias", torch.zeros(1), "'rrs.decoder9.bias' belongs to nothing"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(
    key: str, replacement: Tensor | None, message: str, c_tensors: Tensors, tmp_path: Path
) -> None:
    state = dict(c_tensors)
    state.pop(key, None)
    if replacement is not None:
        state[key] = replacement
    torch.save({"state_dict": state}, tmp_path / "broken.pth")
    with pytest.raises(CheckpointError, match=message):
        read_official(tmp_path / "broken.pth", image_size=128)


def test_planes_of_rrs_can_be_given_and_must_add_up(c_tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "plain.pth"
    torch.save(c_tensors, path)
    config = read_official(path, image_size=128, rrs_max=85).config
    assert (config.rrs_max, config.rrs_mean) == (85, 0)
    with pytest.raises(CheckpointError, match="takes 85 planes"):
        read_official(path, image_size=128, rrs_max=40, rrs_mean=40)


@pytest.mark.parametrize(
    ("backbone", "taps", "planes", "widths", "blocks", "finest"),
    [
        ("resnet34", (2, 3), (64, 64), (32, 32), (), 2),
        ("resnet50", (1, 2, 3, 4), (64, 128, 128, 64), (32, 64, 64, 32), (), 1),
        ("wide_resnet50_2", (1, 2), (64, 64), (32, 32), (), 1),
        # Architecture B.
        ("resnet18", (1, 2, 3), (32, 64, 32), (64,), (3,), 1),
        # There, layer1 is the tap at stride 2.
        ("efficientnet_b4", (0, 1, 2, 3), (16, 32, 32, 32), (32, 64, 64, 64), (), 1),
        ("efficientnet_b4", (1, 2, 3), (32, 32, 32), (32, 32, 32), (), 2),
    ],
)
def test_every_official_backbone_comes_back(
    backbone: str,
    taps: tuple[int, ...],
    planes: tuple[int, ...],
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    finest: int,
    tmp_path: Path,
) -> None:
    config = ModelConfig.for_backbone(backbone, taps=taps, planes=planes, widths=widths, blocks=blocks)
    model = RealNet(config).eval()
    write_official(tmp_path / "made.pth", model)
    names = torch.load(tmp_path / "made.pth", weights_only=True)["state_dict"]
    assert f"afs.indexes.block1_layer{finest}" in names
    found = read_official(tmp_path / "made.pth")
    assert found.config == config
    theirs = found.model.state_dict()
    assert all(torch.equal(theirs[key], tensor) for key, tensor in model.state_dict().items())


def test_what_the_official_network_has_not_is_listed(tmp_path: Path) -> None:
    sizes = {"image_size": 64, "taps": (1, 2), "planes": (16, 16), "widths": (16, 16), "rrs_max": 4}
    config = ModelConfig.for_backbone(
        "tf_efficientnet_lite0", group_width=4, match_exposure=True, rrs_mean=4, **sizes
    )
    with pytest.raises(CheckpointError) as caught:
        write_official(tmp_path / "ours.pth", RealNet(config))
    for reason in ("tf_efficientnet_lite0", "group_width is 4", "match_exposure", "standardise", "widths"):
        assert reason in str(caught.value)
    assert not list(tmp_path.iterdir())
