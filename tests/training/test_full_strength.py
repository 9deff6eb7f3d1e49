"""What makes training faster or smaller must not change what is learnt."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from realnet_edge.config import ModelConfig, SynthesisConfig, TrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.errors import ConfigError
from realnet_edge.model import RealNet
from realnet_edge.model.afs import channel_statistics
from realnet_edge.model.backbone import load_pretrained
from realnet_edge.model.unet import ReconstructionUNet
from realnet_edge.synthesis import ForegroundRule
from realnet_edge.training import OutOfMemoryError, TrainingDivergedError, frozen, train
from realnet_edge.training.compute import Compute, choose_compute, explained_memory
from realnet_edge.training.distributed import Group, environment_group
from realnet_edge.training.features import bytes_an_image, normal_features
from realnet_edge.training.frozen import folded
from realnet_edge.training.samples import AnomalyDataset, Batch, batches
from realnet_edge.training.step import Step
from realnet_edge.workspace import Workspace

MODEL = ModelConfig.for_backbone(
    "tf_efficientnet_lite0", image_size=64, planes=(8, 16, 16), widths=(8, 8, 24), rrs_max=8, rrs_mean=8
)
PLAIN = SynthesisConfig(source="patches:0.5,cutpaste:0.25,scratches:0.25")
TRAIN = TrainConfig(batch=8, learning_rate=1e-3, threads=1, device="cpu")


@pytest.fixture(scope="module")
def dataset(category: CategoryData) -> AnomalyDataset:
    return AnomalyDataset(category.train[:12], 64, PLAIN, ForegroundRule.parse("whole"), seed=3)


@functools.cache
def _start() -> RealNet:
    torch.manual_seed(0)
    model = RealNet(MODEL)
    load_pretrained(model.backbone, MODEL)
    images = model.inputs(torch.randint(0, 255, (8, 64, 64, 3), dtype=torch.uint8))
    statistics = channel_statistics(model.backbone, [images])
    for selection, (mean, deviation) in zip(model.selections(), statistics, strict=True):
        selection.mean.copy_(mean)
        selection.scale.copy_(1.0 / deviation)
    return model


def fresh() -> RealNet:
    """The same untrained network on real backbone weights, as often as it is needed."""
    return copy.deepcopy(_start()).train()


def drawn(dataset: AnomalyDataset, count: int = 3) -> list[Batch]:
    return list(batches(dataset, 0, count * TRAIN.batch, TRAIN.batch, workers=0))


def trained(dataset: AnomalyDataset, cache: int = 0, **changes: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Losses of three steps and the weights after them."""
    config = dataclasses.replace(TRAIN, **changes)
    model = fresh()
    compute = choose_compute(config)
    for unet in model.unets():
        unet.recompute = config.gradient_checkpointing
    step = Step(model, config, compute, Group())
    step.use_features(normal_features(model, dataset, cache, config.batch, compute))
    losses = [step(batch, config.learning_rate).numpy() for batch in drawn(dataset)]
    return np.array(losses), model.state_dict()


def test_features_known_beforehand_give_the_same_training(
    dataset: AnomalyDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, weights = trained(dataset)
    copied: list[nn.Module] = []

    def counted(network: nn.Module) -> nn.Module:
        copied.append(network)
        return folded(network)

    monkeypatch.setattr(frozen, "folded", counted)
    cached, same = trained(dataset, cache=64)
    # What computed them serves the steps, too.
    assert len(copied) == 1
    np.testing.assert_allclose(cached, plain, rtol=1e-5)
    torch.testing.assert_close(same, weights, rtol=1e-3, atol=2e-4)


def test_features_are_kept_only_of_images_that_stay_and_fit(
    category: CategoryData, dataset: AnomalyDataset
) -> None:
    model, compute = fresh(), choose_compute(TRAIN)
    needed = 12 * bytes_an_image(MODEL)
    assert needed == 12 * 4 * (8 * 16**2 + 16 * 8**2 + 16 * 4**2)
    kept = normal_features(model, dataset, 1, 5, compute)
    assert kept is not None
    picked = torch.tensor([11, 0, 0])
    expected = model.select(model.inputs(torch.from_numpy(dataset.images[[11, 0, 0]])))
    for block, wanted in zip(kept.of(picked), expected, strict=True):
        # The step's copy of the backbone has its BatchNorm folded.
        assert float((block - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    assert normal_features(model, dataset, 0, 5, compute) is None
    for changes in ({"flip": True}, {"noise": 0.5}, {"light": 0.1}, {"rotate": 90.0}):
        config = dataclasses.replace(PLAIN, **changes)
        varied = AnomalyDataset(category.train[:2], 64, config, ForegroundRule.parse("whole"), seed=3)
        assert normal_features(model, varied, 1000, 5, compute) is None


def test_gradient_checkpointing_keeps_less_and_changes_nothing(dataset: AnomalyDataset) -> None:
    plain, weights = trained(dataset)
    again, same = trained(dataset, gradient_checkpointing=True)
    np.testing.assert_array_equal(again, plain)
    assert all(torch.equal(same[key], weights[key]) for key in weights)

    def kept(recompute: bool) -> int:
        """Bytes that autograd keeps of one U-Net's forward pass for the way back."""
        unet = fresh().unets()[0]
        unet.recompute = recompute
        sizes: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            out = unet(torch.randn(2, 8, 64, 64))
        del out
        return sum(sizes.values())

    assert kept(True) < 0.4 * kept(False)


def without_batch_norm(model: RealNet) -> None:
    """BatchNorm sees a part at a time and is meant to: with fixed statistics the parts must add up."""
    for module in (*model.rrs.modules(), *model.discriminator.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def test_parts_of_a_batch_give_the_gradients_of_the_whole(dataset: AnomalyDataset) -> None:
    gradients = []
    for parts in (1, 2, 4):
        model = fresh()
        without_batch_norm(model)
        config = dataclasses.replace(TRAIN, accumulate=parts)
        step = Step(model, config, choose_compute(config), Group())
        found = step(drawn(dataset, 1)[0], 0.0)
        made = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        gradients.append((found, made))
    for found, made in gradients[1:]:
        torch.testing.assert_close(found, gradients[0][0], rtol=1e-6, atol=0)
        torch.testing.assert_close(made, gradients[0][1], rtol=1e-3, atol=1e-5)


def test_fp16_scales_its_losses_and_learns_the_same(dataset: AnomalyDataset) -> None:
    plain, _ = trained(dataset)
    half, weights = trained(dataset, precision="fp16")
    np.testing.assert_allclose(half, plain, rtol=0.02)
    assert not np.array_equal(half, plain)
    assert all(tensor.dtype != torch.float16 for tensor in weights.values())
    scaler = choose_compute(dataclasses.replace(TRAIN, precision="fp16")).scaler()
    assert scaler.is_enabled()
    assert scaler.get_scale() > 1000


def test_a_step_whose_loss_is_no_number_leaves_the_weights(dataset: AnomalyDataset) -> None:
    model = fresh()
    step = Step(model, TRAIN, choose_compute(TRAIN), Group())
    before = {key: value.clone() for key, value in model.named_parameters()}
    with torch.no_grad():
        before["discriminator.head.2.bias"][0] = float("nan")
        dict(model.named_parameters())["discriminator.head.2.bias"][0] = float("nan")
    found = step(drawn(dataset, 1)[0], 0.1)
    assert not torch.isfinite(found).all()
    torch.testing.assert_close(dict(model.named_parameters()), before, equal_nan=True, rtol=0, atol=0)


def test_channels_last_as_on_a_gpu_gives_the_same_training(
    dataset: AnomalyDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, weights = trained(dataset)
    monkeypatch.setattr(Compute, "unet_format", torch.channels_last)
    seen: list[bool] = []

    def look(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    handle = nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: look(module, inputs) if isinstance(module, ReconstructionUNet) else None
    )
    try:
        last, same = trained(dataset)
    finally:
        handle.remove()
    assert seen
    assert all(seen)
    np.testing.assert_allclose(last, plain, rtol=1e-4)
    torch.testing.assert_close(same, weights, rtol=1e-3, atol=5e-4)


def test_what_is_compiled_computes_the_same(dataset: AnomalyDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and guarded as with `torch.compile`'s own backend, which takes minutes on a CPU."""
    compiled: list[str] = []
    compile_module = nn.Module.compile

    def traced(module: nn.Module) -> None:
        compiled.append(type(module).__name__)
        # Tracing one U-Net takes seconds, and they are alike.
        if compiled.count(compiled[-1]) == 1:
            compile_module(module, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", traced)
    (batch,) = drawn(dataset, 1)

    def losses(config: TrainConfig) -> torch.Tensor:
        return Step(fresh(), config, choose_compute(config), Group())(batch, config.learning_rate)

    plain = losses(TRAIN)
    assert not compiled
    found = losses(dataclasses.replace(TRAIN, compile=True))
    assert compiled == ["ReconstructionUNet"] * len(MODEL.taps) + ["Discriminator"]
    np.testing.assert_allclose(found, plain, rtol=1e-5)


def test_running_out_of_memory_names_what_needs_less() -> None:
    """A real failure of the CPU's allocator; other errors pass unchanged."""
    advice = r"--gradient-checkpointing.*bf16.*--accumulate 2.*--batch"
    with pytest.raises(OutOfMemoryError, match=advice), explained_memory(TRAIN):
        torch.empty(1 << 60, dtype=torch.uint8)
    economical = dataclasses.replace(TRAIN, gradient_checkpointing=True, precision="bf16", accumulate=2)
    with pytest.raises(OutOfMemoryError, match=r"--accumulate 4") as caught, explained_memory(economical):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")
    assert "--gradient-checkpointing" not in str(caught.value)
    with pytest.raises(TrainingDivergedError), explained_memory(TRAIN):
        raise TrainingDivergedError("another error")


def test_devices_that_are_not_there_are_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="finds 0 GPUs"):
        choose_compute(dataclasses.replace(TRAIN, device="cuda"))
    assert choose_compute(dataclasses.replace(TRAIN, device="auto")).device.type == "cpu"


def test_processes_are_known_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert environment_group() == Group()
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ConfigError, match="WORLD_SIZE=None"):
        environment_group()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert environment_group() == Group(1, 2, 1)
    assert list(Group(1, 2, 1).part(range(8, 16))) == [12, 13, 14, 15]


def under_torchrun(category: CategoryData, workspace: Path) -> dict[str, Any]:
    """The real command in two processes that talk over gloo; what its checkpoint records of the training."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    command += ["-m", "realnet_edge", "train", "--json", "--data", str(category.root.parent)]
    command += ["--category", "cells", "--workspace", str(workspace), "--preset", "paper"]
    command += ["--backbone", "tf_efficientnet_lite0", "--image-size", "64", "--planes", "8,16,16"]
    command += ["--widths", "8,8,24", "--rrs-max", "8", "--rrs-mean", "8", "--batch", "8", "--steps", "4"]
    command += ["--validate-every", "2", "--afs-batches", "1", "--statistics-batches", "2", "--threads", "1"]
    command += ["--workers", "0", "--learning-rate", "1e-3", "--device", "cpu", "--patience", "0"]
    command += ["--ema", "0.5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    document = workspace / "cells" / "checkpoint" / "checkpoint.json"
    training: dict[str, Any] = json.loads(document.read_text())["training"]
    # One document: only one of the processes speaks.
    assert json.loads(done.stdout)["training"]["steps"] == training["steps"]
    return training


def test_two_processes_learn_what_one_does(category: CategoryData, tmp_path: Path) -> None:
    """Losses and validations at the same global batch, BatchNorm of all and averaged weights included."""
    two = under_torchrun(category, tmp_path / "two")
    config = dataclasses.replace(
        TRAIN, steps=4, validate_every=2, afs_batches=1, statistics_batches=2, workers=0, patience=0, ema=0.5
    )
    paths = Workspace(tmp_path / "one").category("cells")
    one = train(category, paths, MODEL, SynthesisConfig(), config).training
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["model"] == two["model"]
    for alone, together in zip(one["history"], two["history"], strict=True):
        for key, tolerance in (("reconstruction", 1e-4), ("segmentation", 1e-4), ("image_auroc", 0.01)):
            assert together[key] == pytest.approx(alone[key], rel=tolerance), key
    assert not (tmp_path / "two" / "cells" / "training").exists()


def test_a_batch_that_does_not_divide_is_refused(
    category: CategoryData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"accumulate is 3.*divisor of the batch"):
        dataclasses.replace(TRAIN, accumulate=3)
    with pytest.raises(ConfigError, match="at least 2 samples"):
        dataclasses.replace(TRAIN, accumulate=8)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "3"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="batch is 8, for 3 processes"):
        train(category, Workspace(tmp_path).category("cells"), MODEL, PLAIN, TRAIN)
