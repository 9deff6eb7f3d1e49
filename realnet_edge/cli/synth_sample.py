"""`realnet-edge synth sample` and `synth strengths`: images from a diffusion model (SDAS)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from realnet_edge.cli.options import category_option, json_option, workspace_option
from realnet_edge.config import DEVICES, PRECISIONS
from realnet_edge.config.diffusion import DDIM_VARIANCES, SAMPLERS, SamplerConfig

if TYPE_CHECKING:
    from realnet_edge.diffusion.checkpoint import DiffusionCheckpoint
    from realnet_edge.diffusion.sampling import Sampler
    from realnet_edge.workspace import Workspace

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _read_strength(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[float, float]:
    """Read "0.15" or "0.1:0.2"."""
    lowest, _, highest = value.partition(":")
    try:
        return float(lowest), float(highest or lowest)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is neither a number nor two such as 0.1:0.2.") from error


def _read_strengths(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Read "0,0.1,0.5"."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 0,0.1,0.5.") from error


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
    click.option("--batch", type=click.IntRange(1), help="Images at a time.  [default: by the device]"),
    click.option("--precision", type=click.Choice(PRECISIONS), default="auto", show_default=True),
    click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True),
    click.option("--threads", type=int, default=0, help="Threads of PyTorch; 0 for all cores."),
    click.option(
        "--compile/--no-compile",
        "compile_network",
        default=False,
        help="Compile the network; a minute at first, then faster.",
    ),
)


def sampling_options(command: _Command) -> _Command:
    """Add the options of commands that sample."""
    for option in reversed(_SAMPLING):
        command = option(command)
    return command


@click.command("sample")
@category_option
@workspace_option
@click.option("--count", type=click.IntRange(1), required=True, help="Images that the folder shall hold.")
@click.option(
    "--strength",
    default="0.1:0.2",
    show_default=True,
    callback=_read_strength,
    metavar="S|LOW:HIGH",
    help="Anomaly strength, or the ends between which each image draws its own; 0 gives normal images.",
)
@sampling_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all images.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write.  [default: sia in the category's folder of the workspace]",
)
@click.option("--overwrite", is_flag=True, help="Replace the images that are there.")
@json_option
def sample(
    category: str,
    workspace: Path,
    count: int,
    strength: tuple[float, float],
    seed: int,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Write a folder of anomalous images, for `train --source sia=FOLDER`.

    The same command goes on where it was interrupted, and adds images when given a larger --count.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.training_bar import progress_bar
    from realnet_edge.workspace import Workspace

    place = Workspace(workspace)
    target = out or place.category(category).sia
    checkpoint, position = _open_model(place, category)
    from realnet_edge.diffusion.sia_folder import SiaFolder, Strength, request_of

    ends = Strength(*strength)
    sampler, batch = _sampler(checkpoint, **how)
    settings = {
        "category": category,
        "model_sha256": checkpoint.sha256,
        "strength": [ends.lowest, ends.highest],
        "seed": seed,
        "image_size": checkpoint.config.image_size,
        **sampler.settings(),
    }
    folder = SiaFolder(target, settings, overwrite)
    missing = folder.missing(count)
    say(f"{count - len(missing)} of {count} images are there, {len(missing)} to make, {batch} at a time")
    started = time.perf_counter()
    with progress_bar(shown=True) as bar:
        task = bar.add_task("images", total=len(missing))
        for first in range(0, len(missing), batch):
            numbers = missing[first : first + batch]
            requests = [request_of(number, seed, ends, position) for number in numbers]
            folder.add(numbers, requests, sampler.all(requests, batch))
            bar.update(task, advance=len(numbers))
    seconds = time.perf_counter() - started
    speed = len(missing) / seconds if missing else 0.0
    if missing:
        say(f"{len(missing)} images in {seconds:.0f} s: {speed:.2f} images a second, {_arithmetic(sampler)}")
    say(f"next: realnet-edge train --data DIR --category {category} --source patches:0.5,sia={target}:0.5")
    if as_json:
        print_json(
            {
                "folder": str(target),
                "images": count,
                "made": len(missing),
                "seconds": round(seconds, 3),
                "images_per_second": round(speed, 4),
                "settings": settings,
            }
        )


@click.command("strengths")
@category_option
@workspace_option
@click.option(
    "--strengths",
    default="0,0.1,0.2,0.5,1",
    show_default=True,
    callback=_read_strengths,
    metavar="S,S",
    help="One row of the sheet each.",
)
@click.option("--columns", type=click.IntRange(1, 64), default=8, show_default=True)
@sampling_options
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write, by its suffix PNG, JPEG, WebP or BMP.",
)
def strengths(
    category: str,
    workspace: Path,
    strengths: tuple[float, ...],
    columns: int,
    seed: int,
    out: Path,
    **how: Any,
) -> None:
    """Write a contact sheet by strength: a column has the same noise throughout, a row one strength."""
    from realnet_edge.cli.output import say
    from realnet_edge.cli.pictures import refuse_other_suffixes, write_picture
    from realnet_edge.workspace import Workspace

    refuse_other_suffixes("--out", out)
    checkpoint, position = _open_model(Workspace(workspace), category)
    from realnet_edge.diffusion.grid import sample_grid
    from realnet_edge.diffusion.sampling import Request
    from realnet_edge.diffusion.sia_folder import Strength

    for value in strengths:
        Strength(value, value)
    sampler, batch = _sampler(checkpoint, **{**how, "batch": how["batch"] or columns})
    rows = []
    for value in strengths:
        requests = [Request(seed + column, value, position) for column in range(columns)]
        rows.append(sampler.all(requests, batch))
    write_picture(out, sample_grid(rows, [f"s = {value:g}" for value in strengths]))
    say(f"Wrote {out}: {columns} images each at s = {', '.join(f'{value:g}' for value in strengths)}.")


def _open_model(workspace: Workspace, category: str) -> tuple[DiffusionCheckpoint, int]:
    """The category's own model, or the one of all categories, and where the category stands in it."""
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data.category import ALL
    from realnet_edge.errors import CheckpointError

    need_training_packages("synth sample", "diffusers")
    own = workspace.category(category).diffusion.checkpoint
    joint = workspace.category(ALL).diffusion.checkpoint
    if not own.is_dir() and not joint.is_dir():
        raise CheckpointError(
            f"no diffusion model of category {category!r} in {workspace.root}. Train it first, DIR being the "
            f"folder that holds its images: realnet-edge synth train --data DIR --category {category}"
        )
    from realnet_edge.diffusion.checkpoint import load_diffusion

    checkpoint = load_diffusion(own if own.is_dir() else joint)
    names = checkpoint.config.categories
    if category not in names:
        raise CheckpointError(
            f"the diffusion model knows no category {category!r}. It knows: {', '.join(names)}."
        )
    return checkpoint, names.index(category)


def _sampler(
    checkpoint: DiffusionCheckpoint,
    *,
    sampler: str,
    steps: int,
    ddim_variance: str,
    batch: int | None,
    precision: str,
    device: str,
    threads: int,
    compile_network: bool,
) -> tuple[Sampler, int]:
    """What draws, and how many images at a time."""
    from realnet_edge.diffusion.fast_sampling import Where, default_batch, fast_sampler

    config = SamplerConfig(sampler, steps, ddim_variance)
    made = fast_sampler(
        checkpoint.model, config, Where(device, precision), threads=threads, compiled=compile_network
    )
    return made, batch or default_batch(made.compute)


def _arithmetic(sampler: Sampler) -> str:
    return f"{sampler.compute.device.type} in {sampler.compute.arithmetic}"
