"""`realnet-edge synth sample` and `synth strengths`: images from a diffusion model (SDAS)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.options import category_option, json_option, workspace_option
from realnet_edge.cli.sampling_options import make_sampler, open_classifier, open_model, sampling_options

if TYPE_CHECKING:
    from realnet_edge.diffusion.sampling import Request, Sampler
    from realnet_edge.diffusion.sia_folder import SiaFolder


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
    from realnet_edge.workspace import Workspace

    place = Workspace(workspace)
    target = out or place.category(category).sia
    checkpoint, position = open_model(place, category)
    classifier = open_classifier(place, how["guidance"])
    from realnet_edge.diffusion.sia_folder import SiaFolder, Strength, request_of

    ends = Strength(*strength)
    sampler, batch = make_sampler(checkpoint, classifier, **how)
    settings = {
        "category": category,
        "model_sha256": checkpoint.sha256,
        "classifier_sha256": classifier.sha256 if classifier else "",
        "strength": [ends.lowest, ends.highest],
        "seed": seed,
        "image_size": checkpoint.model.config.image_size,
        **sampler.settings(),
    }
    folder = SiaFolder(target, settings, overwrite)
    missing = folder.missing(count)
    say(f"{count - len(missing)} of {count} images are there, {len(missing)} to make, {batch} at a time")
    seconds = _fill(folder, missing, batch, sampler, lambda n: request_of(n, seed, ends, position))
    speed = len(missing) / seconds if missing else 0.0
    where = f"{sampler.compute.device.type} in {sampler.compute.arithmetic}"
    if missing:
        say(f"{len(missing)} images in {seconds:.0f} s: {speed:.2f} images a second, {where}")
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


def _fill(
    folder: SiaFolder, missing: Sequence[int], batch: int, sampler: Sampler, wanted: Callable[[int], Request]
) -> float:
    """Draw and write the missing images, with a bar; the seconds that it took."""
    from realnet_edge.cli.training_bar import progress_bar

    started = time.perf_counter()
    with progress_bar(shown=True) as bar:
        task = bar.add_task("images", total=len(missing))
        for first in range(0, len(missing), batch):
            numbers = missing[first : first + batch]
            requests = [wanted(number) for number in numbers]
            folder.add(numbers, requests, sampler.all(requests, batch))
            bar.update(task, advance=len(numbers))
    return time.perf_counter() - started


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
    place = Workspace(workspace)
    checkpoint, position = open_model(place, category)
    classifier = open_classifier(place, how["guidance"])
    from realnet_edge.diffusion.grid import sample_grid
    from realnet_edge.diffusion.sampling import Request
    from realnet_edge.diffusion.sia_folder import Strength

    for value in strengths:
        Strength(value, value)
    how["batch"] = how["batch"] or columns
    sampler, batch = make_sampler(checkpoint, classifier, **how)
    rows = []
    for value in strengths:
        requests = [Request(seed + column, value, position) for column in range(columns)]
        rows.append(sampler.all(requests, batch))
    write_picture(out, sample_grid(rows, [f"s = {value:g}" for value in strengths]))
    say(f"Wrote {out}: {columns} images each at s = {', '.join(f'{value:g}' for value in strengths)}.")
