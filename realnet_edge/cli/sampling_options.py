"""What the commands that sample from a diffusion model share: their options, the model, the sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from realnet_edge.cli.options import adding
from realnet_edge.config import DEVICES, PRECISIONS
from realnet_edge.config.diffusion import DDIM_VARIANCES, SAMPLERS, SamplerConfig
from realnet_edge.workspace import ALL, Workspace

if TYPE_CHECKING:
    from realnet_edge.diffusion.checkpoint import ClassifierCheckpoint, DiffusionCheckpoint
    from realnet_edge.diffusion.sampling import Sampler


_SAMPLING = (
    click.option(
        "--sampler",
        type=click.Choice(SAMPLERS),
        default=SAMPLERS[0],
        show_default=True,
        help="iddpm as published, or ddim (paper, algorithm S1), where s of 0.01 to 0.03 does.",
    ),
    click.option("--steps", type=int, default=20, show_default=True, help="Steps from noise to image."),
    click.option(
        "--ddim-variance",
        type=click.Choice(DDIM_VARIANCES),
        default="learned",
        show_default=True,
        help="Variance that ddim adds s times.",
    ),
    click.option(
        "--guidance",
        type=float,
        default=0.0,
        show_default=True,
        metavar="SCALE",
        help="How much the classifier of `synth classifier` pushes images to their category; 1 as published, "
        "0 for none.",
    ),
    click.option("--batch", type=click.IntRange(1), help="Images at a time.  [default: by the device]"),
    click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True),
    click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True),
    click.option("--threads", type=int, default=0, help="Threads of PyTorch; 0 for all cores."),
    click.option(
        "--compile/--no-compile",
        "compile_network",
        default=False,
        help="Compile the network: minutes at first, worth it for thousands of images.",
    ),
)


# Of commands that sample.
sampling_options = adding(_SAMPLING)


def open_model(workspace: Workspace, category: str) -> tuple[DiffusionCheckpoint, int]:
    """The category's own model, or the one of all categories, and where the category stands in it."""
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.errors import CheckpointError

    need_training_packages("synth sample", "diffusers")
    own = workspace.category(category).diffusion.checkpoint
    joint = workspace.category(ALL).diffusion.checkpoint
    if not own.is_dir() and not joint.is_dir():
        raise CheckpointError(
            f"no diffusion model of category {category!r} in {workspace.root}. Train it first, DIR being the "
            f"folder that holds its images: realnet-edge synth train --data DIR --category {category}"
        )
    from realnet_edge.diffusion.checkpoint import DIFFUSION

    checkpoint = DIFFUSION.load(own if own.is_dir() else joint)
    names = checkpoint.model.config.categories
    if category not in names:
        raise CheckpointError(
            f"the diffusion model knows no category {category!r}. It knows: {', '.join(names)}."
        )
    return checkpoint, names.index(category)


def open_classifier(workspace: Workspace, guidance: float) -> ClassifierCheckpoint | None:
    """The workspace's classifier where guidance is asked for, else None."""
    if guidance == 0:
        return None
    from realnet_edge.diffusion.checkpoint import CLASSIFIER

    return CLASSIFIER.load(workspace.category(ALL).classifier.checkpoint)


def make_sampler(
    checkpoint: DiffusionCheckpoint,
    classifier: ClassifierCheckpoint | None,
    *,
    sampler: str,
    steps: int,
    ddim_variance: str,
    guidance: float,
    batch: int | None,
    precision: str,
    device: str,
    threads: int,
    compile_network: bool,
) -> tuple[Sampler, int]:
    """What draws, and how many images at a time."""
    from realnet_edge.diffusion.fast_sampling import Where, default_batch, fast_sampler

    made = fast_sampler(
        checkpoint.model,
        SamplerConfig(sampler, steps, ddim_variance, guidance),
        Where(device, precision),
        classifier=classifier.model if classifier else None,
        threads=threads,
        compiled=compile_network,
    )
    return made, batch or default_batch(made.compute)
