"""An ADM checkpoint in its own format, against a forward pass written straight from ADM's names."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from realnet_edge.config.diffusion import ClassifierConfig, DiffusionModelConfig
from realnet_edge.config.diffusion_training import DiffusionTrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.diffusion.adm import load_adm, load_adm_classifier
from realnet_edge.diffusion.classifier import NoisedClassifier
from realnet_edge.diffusion.noised_training import Start
from realnet_edge.diffusion.trainer import train_diffusion
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import CheckpointError
from realnet_edge.workspace import CategoryPaths

# Three levels, of which the second attends: each kind of block is there, with two heads.
CONFIG = DiffusionModelConfig(
    image_size=16, width=16, multipliers=(1, 2, 2), blocks=1, attention=(8,), head_width=16, groups=4,
    categories=("bolt", "nut"),
)  # fmt: skip
CLASSIFIER = ClassifierConfig(
    image_size=16, width=16, multipliers=(1, 2, 2), blocks=1, attention=(8,), head_width=16, groups=4,
    categories=("bolt", "nut"),
)  # fmt: skip
State = dict[str, Tensor]


def random(generator: torch.Generator, *shape: int) -> Tensor:
    fan_in = math.prod(shape[1:]) or 1
    return torch.randn(shape, generator=generator) / math.sqrt(fan_in)


def layer(state: State, generator: torch.Generator, name: str, *shape: int) -> None:
    state[f"{name}.weight"] = random(generator, *shape)
    state[f"{name}.bias"] = 0.1 * random(generator, shape[0])


def norm(state: State, generator: torch.Generator, name: str, width: int) -> None:
    state[f"{name}.weight"] = 1 + 0.1 * random(generator, width)
    state[f"{name}.bias"] = 0.1 * random(generator, width)


def residual(state: State, generator: torch.Generator, name: str, before: int, after: int) -> None:
    norm(state, generator, f"{name}.in_layers.0", before)
    layer(state, generator, f"{name}.in_layers.2", after, before, 3, 3)
    layer(state, generator, f"{name}.emb_layers.1", 2 * after, 64)
    norm(state, generator, f"{name}.out_layers.0", after)
    layer(state, generator, f"{name}.out_layers.3", after, after, 3, 3)
    if before != after:
        layer(state, generator, f"{name}.skip_connection", after, before, 1, 1)


def attention(state: State, generator: torch.Generator, name: str, width: int) -> None:
    norm(state, generator, f"{name}.norm", width)
    layer(state, generator, f"{name}.qkv", 3 * width, width, 1)
    layer(state, generator, f"{name}.proj_out", width, width, 1)


def made_trunk(g: torch.Generator) -> State:
    """What ADM's U-Net and its classifier have in common, for `CONFIG`, with random weights."""
    state: State = {}
    layer(state, g, "time_embed.0", 64, 16)
    layer(state, g, "time_embed.2", 64, 64)
    layer(state, g, "input_blocks.0.0", 16, 3, 3, 3)
    residual(state, g, "input_blocks.1.0", 16, 16)
    residual(state, g, "input_blocks.2.0", 16, 16)
    residual(state, g, "input_blocks.3.0", 16, 32)
    attention(state, g, "input_blocks.3.1", 32)
    residual(state, g, "input_blocks.4.0", 32, 32)
    residual(state, g, "input_blocks.5.0", 32, 32)
    residual(state, g, "middle_block.0", 32, 32)
    attention(state, g, "middle_block.1", 32)
    residual(state, g, "middle_block.2", 32, 32)
    return state


def made_checkpoint() -> State:
    """A state_dict as ADM's own code would save it for `CONFIG`."""
    g = torch.Generator().manual_seed(5)
    state = made_trunk(g)
    state["label_emb.weight"] = random(g, 10, 64)
    # Each takes the current planes and those kept on the way down.
    residual(state, g, "output_blocks.0.0", 64, 32)
    residual(state, g, "output_blocks.1.0", 64, 32)
    residual(state, g, "output_blocks.1.1", 32, 32)
    residual(state, g, "output_blocks.2.0", 64, 32)
    attention(state, g, "output_blocks.2.1", 32)
    residual(state, g, "output_blocks.3.0", 48, 32)
    attention(state, g, "output_blocks.3.1", 32)
    residual(state, g, "output_blocks.3.2", 32, 32)
    residual(state, g, "output_blocks.4.0", 48, 16)
    residual(state, g, "output_blocks.5.0", 32, 16)
    norm(state, g, "out.0", 16)
    layer(state, g, "out.2", 6, 16, 3, 3)
    return state


def made_classifier() -> State:
    """A classifier's state_dict as ADM's own code would save it, for ten classes of 4 x 4 positions."""
    g = torch.Generator().manual_seed(6)
    state = made_trunk(g)
    norm(state, g, "out.0", 32)
    state["out.2.positional_embedding"] = random(g, 32, 1 + 16)
    layer(state, g, "out.2.qkv_proj", 3 * 32, 32, 1)
    layer(state, g, "out.2.c_proj", 10, 32, 1)
    return state


class Reference:
    """ADM's network as functions of its state_dict, for the structure of `CONFIG`."""

    def __init__(self, state: State) -> None:
        self.state = state

    def __call__(self, x: Tensor, timesteps: Tensor) -> Tensor:
        # Where no category of ImageNet is meant, the mean over all stands for it.
        embedding = self.embedding(timesteps) + self.state["label_emb.weight"].mean(dim=0)
        h, kept = self.down(x, embedding)
        for number in range(6):
            h = torch.cat([h, kept.pop()], dim=1)
            h = self.residual(f"output_blocks.{number}.0", h, embedding)
            if number in (2, 3):
                h = self.attention(f"output_blocks.{number}.1", h)
            if number in (1, 3):
                h = self.residual(f"output_blocks.{number}.{1 if number == 1 else 2}", h, embedding, "up")
        return self.conv("out.2", F.silu(self.norm("out.0", h)))

    def classify(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Logits of the classifier: CLIP's attention pooling, whose queries, keys and values are apart."""
        h, _ = self.down(x, self.embedding(timesteps))
        flat = F.silu(self.norm("out.0", h)).flatten(2)
        tokens = torch.cat([flat.mean(dim=2, keepdim=True), flat], dim=2)
        tokens = tokens + self.state["out.2.positional_embedding"]
        weight, bias = self.state["out.2.qkv_proj.weight"], self.state["out.2.qkv_proj.bias"]
        q, k, v = (
            part.reshape(len(x) * 2, 16, -1) for part in F.conv1d(tokens, weight, bias).chunk(3, dim=1)
        )
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q, k) / math.sqrt(16), dim=-1)
        mixed = torch.einsum("bts,bcs->bct", weights, v).reshape(len(x), 32, -1)
        out = F.conv1d(mixed, self.state["out.2.c_proj.weight"], self.state["out.2.c_proj.bias"])
        return out[:, :, 0]

    def embedding(self, timesteps: Tensor) -> Tensor:
        frequencies = torch.exp(-math.log(10000) * torch.arange(8) / 8)
        angles = timesteps[:, None] * frequencies
        embedding = torch.cat([angles.cos(), angles.sin()], dim=1)
        return self.linear("time_embed.2", F.silu(self.linear("time_embed.0", embedding)))

    def down(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What the middle gives, and what was kept on the way down to it."""
        kept = [self.conv("input_blocks.0.0", x)]
        for number, way in ((1, ""), (2, "down"), (3, ""), (4, "down"), (5, "")):
            h = self.residual(f"input_blocks.{number}.0", kept[-1], embedding, way)
            kept.append(self.attention("input_blocks.3.1", h) if number == 3 else h)
        h = self.residual("middle_block.0", kept[-1], embedding)
        return self.residual("middle_block.2", self.attention("middle_block.1", h), embedding), kept

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 4, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def residual(self, name: str, x: Tensor, embedding: Tensor, way: str = "") -> Tensor:
        h = F.silu(self.norm(f"{name}.in_layers.0", x))
        if way == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        if way == "up":
            h, x = F.interpolate(h, scale_factor=2.0), F.interpolate(x, scale_factor=2.0)
        h = self.conv(f"{name}.in_layers.2", h)
        scale, shift = self.linear(f"{name}.emb_layers.1", F.silu(embedding))[:, :, None, None].chunk(
            2, dim=1
        )
        h = self.norm(f"{name}.out_layers.0", h) * (1 + scale) + shift
        h = self.conv(f"{name}.out_layers.3", F.silu(h))
        if f"{name}.skip_connection.weight" in self.state:
            x = self.conv(f"{name}.skip_connection", x)
        return x + h

    def attention(self, name: str, x: Tensor) -> Tensor:
        flat = self.norm(f"{name}.norm", x).flatten(2)
        weight, bias = self.state[f"{name}.qkv.weight"], self.state[f"{name}.qkv.bias"]
        qkv = F.conv1d(flat, weight, bias)
        # Head by head, each with its queries, keys and values.
        q, k, v = qkv.reshape(len(x) * 2, 3 * 16, -1).split(16, dim=1)
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q, k) / math.sqrt(16), dim=-1)
        mixed = torch.einsum("bts,bcs->bct", weights, v).reshape(flat.shape)
        out = F.conv1d(mixed, self.state[f"{name}.proj_out.weight"], self.state[f"{name}.proj_out.bias"])
        return x + out.reshape(x.shape)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adm.pt"
    torch.save(made_checkpoint(), path)
    return path


def test_a_loaded_network_computes_what_adm_computes(file: Path) -> None:
    model = NoisePredictor(CONFIG).eval()
    load_adm(model, file)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    timesteps = torch.tensor([3, 950])
    with torch.no_grad():
        found = model(images, timesteps, torch.tensor([0, 1]))
    expected = Reference(made_checkpoint())(images, timesteps)
    assert expected.abs().mean() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_loaded_classifier_computes_what_adm_s_computes(tmp_path: Path) -> None:
    torch.save(made_classifier(), tmp_path / "classifier.pt")
    model = NoisedClassifier(CLASSIFIER).eval()
    load_adm_classifier(model, tmp_path / "classifier.pt")
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    timesteps = torch.tensor([3, 950])
    with torch.no_grad():
        found = model(images, timesteps)
    # ImageNet's last layer gives way to one of our own categories, which begins at random.
    last = model.unet.conv_out.proj
    own = {"out.2.c_proj.weight": last.weight[:, :, None], "out.2.c_proj.bias": last.bias}
    expected = Reference({**made_classifier(), **own}).classify(images, timesteps)
    assert found.shape == (2, 2)
    assert (expected[0] - expected[1]).abs().max() > 0.02
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_u_net_is_no_classifier(tmp_path: Path) -> None:
    torch.save(made_checkpoint(), tmp_path / "adm.pt")
    with pytest.raises(CheckpointError, match=r"positional_embedding' is missing"):
        load_adm_classifier(NoisedClassifier(CLASSIFIER), tmp_path / "adm.pt")


def test_a_training_begins_from_it(file: Path, bolt: CategoryData, tmp_path: Path) -> None:
    config = DiffusionTrainConfig(
        steps=1, batch=2, accumulate=1, threads=1, device="cpu", precision="fp32", learning_rate=1e-4
    )
    structure = dataclasses.replace(CONFIG, categories=("",))
    trained = train_diffusion(bolt, CategoryPaths(tmp_path / "run"), structure, config, Start(init=file))
    assert trained is not None
    found = trained.model.state_dict()["unet.conv_in.weight"]
    # Adam's first step moves a weight by the learning rate at most.
    torch.testing.assert_close(found, made_checkpoint()["input_blocks.0.0.weight"], rtol=0, atol=1.1e-4)
    assert len(trained.training["init"]) == 64


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("missing", "'middle_block.1.qkv.weight' is missing"),
        ("more", "no place in this structure, 'output_blocks.6.0.skip'"),
        ("shape", "needs"),
    ],
)
def test_another_network_is_refused_by_name(tmp_path: Path, change: str, named: str) -> None:
    state = made_checkpoint()
    if change == "missing":
        del state["middle_block.1.qkv.weight"]
    elif change == "more":
        state["output_blocks.6.0.skip"] = torch.zeros(1)
    else:
        state["out.2.weight"] = torch.zeros(3, 16, 3, 3)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=named):
        load_adm(NoisePredictor(CONFIG), tmp_path / "other.pt")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    # What `torch.save` makes of any object: unpickling it would call print.
    torch.save({"x": print}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match=r"print"):
        load_adm(NoisePredictor(CONFIG), tmp_path / "evil.pt")


def test_the_paper_preset_has_the_published_network_s_size() -> None:
    # The public 256 x 256 network without its classes has 552,814,086 parameters; one category adds 1,024.
    from realnet_edge.diffusion.presets import DIFFUSION_PRESETS

    with torch.device("meta"):
        model = NoisePredictor(DIFFUSION_PRESETS["paper"].model)
    assert sum(p.numel() for p in model.parameters()) == 552_814_086 + 1024


def test_the_paper_preset_s_classifier_has_the_published_size() -> None:
    # The public 256 x 256 classifier has 54 M parameters, of which 513 are for each of its 1000 classes.
    from realnet_edge.diffusion.presets import CLASSIFIER_PRESETS

    with torch.device("meta"):
        model = NoisedClassifier(CLASSIFIER_PRESETS["paper"].model)
    assert len(model.config.categories) == 1
    assert round((sum(p.numel() for p in model.parameters()) + 999 * 513) / 1e6, 1) == 54.1
