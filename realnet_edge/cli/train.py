"""`realnet-edge train`: from images of good parts to a checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.backbones import BACKBONES
from realnet_edge.cli.options import category_option, data_option, json_option, workspace_option
from realnet_edge.cli.tiles import AUTO, read_tiles, see_images, with_chosen_tiles, with_tiles
from realnet_edge.config import (
    ARCHITECTURES,
    PRECISIONS,
    RRS_ORDERS,
    SCORE_RULES,
    SELECTIONS,
    ModelConfig,
    SynthesisConfig,
    blocks_of,
    grouped,
)
from realnet_edge.errors import ConfigError
from realnet_edge.presets import DEFAULT_PRESET, PRESETS, preset
from realnet_edge.tile_advice import describe_choice

if TYPE_CHECKING:
    from realnet_edge.training.state import Progress


def _numbers(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Read "24,48,96" as a tuple of whole numbers."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 24,48,96.") from error


@click.command("train")
@data_option
@category_option
@workspace_option
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(list(PRESETS)),
    default=DEFAULT_PRESET,
    show_default=True,
    help="Settings to start from; the options below change single ones.",
)
@click.option("--backbone", type=click.Choice(list(BACKBONES)), help="Feature extractor, by its timm name.")
@click.option(
    "--weights", type=click.Path(dir_okay=False, path_type=Path), help="File with its ImageNet weights."
)
@click.option(
    "--taps", callback=_numbers, metavar="N,N", help="Tapped feature maps, finest first; 0 is stride 2."
)
@click.option("--planes", callback=_numbers, metavar="N,N", help="Channels that AFS keeps of each tap.")
@click.option(
    "--selection",
    type=click.Choice(SELECTIONS),
    help="How channels become planes: AFS, or instead of it random channels or a random projection.",
)
@click.option("--widths", callback=_numbers, metavar="N,N", help="Base width of each block's U-Net.")
@click.option(
    "--architecture",
    "blocks",
    metavar="A|B|C|N,N",
    help="Taps reconstructed together: A each alone, B all, C the first two and the rest; or how many each.",
)
@click.option(
    "--group-width", type=int, help="Fewest channels a group in the U-Nets; 1 is published, 0 one group."
)
@click.option("--attention-limit", type=int, help="Most positions that U-Nets attend over; 0 for no limit.")
@click.option("--rrs-max", type=int, help="Residual planes kept by their maximum.")
@click.option("--rrs-mean", type=int, help="Residual planes kept by their mean.")
@click.option(
    "--rrs-order",
    type=click.Choice(RRS_ORDERS),
    help="Kept planes one after the other by rank, or each in a place of its own.",
)
@click.option("--image-size", type=int, help="Side in pixels of the square the network sees: input or tile.")
@click.option(
    "--tiles",
    callback=read_tiles,
    metavar="ROWSxCOLUMNS|auto",
    help="Cut images into tiles, for small defects on large images; auto: as many as their size asks for, up "
    "to 4x4. An image takes as many times as long as it has tiles.",
)
@click.option(
    "--tile-overlap",
    type=int,
    metavar="PIXELS",
    help="Pixels of the input that neighbouring tiles share.  [default: an eighth of a tile]",
)
@click.option(
    "--match-exposure/--no-match-exposure",
    default=None,
    help="Bring every image to the training images' mean brightness.",
)
@click.option("--score-rule", type=click.Choice(SCORE_RULES), help="How a map becomes an image score.")
@click.option(
    "--source", metavar="SPEC", help="Anomaly sources and weights: patches:0.5,textures=FOLDER:0.5."
)
@click.option(
    "--foreground", metavar="RULE", help='Foreground rule such as otsu:dark:6:6, "whole" or "auto".'
)
@click.option("--rotate", type=float, metavar="DEGREES", help="Turn images by up to this much.")
@click.option("--flip/--no-flip", default=None, help="Mirror images at random.")
@click.option("--light", type=float, metavar="SHARE", help="Vary brightness, contrast by up to this share.")
@click.option("--noise", type=float, metavar="LEVELS", help="Noise on all images, up to so many grey levels.")
@click.option("--steps", type=int, help="Most optimiser steps.")
@click.option("--minutes", type=float, help="Most minutes of training; 0 for no limit.")
@click.option("--patience", type=int, help="Validations without improvement before it stops; 0 for never.")
@click.option("--batch", type=int, help="Images a step.")
@click.option("--learning-rate", type=float, help="Adam's peak rate.")
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="Course of the rate.")
@click.option("--warmup", type=int, help="Steps over which the rate rises.")
@click.option("--validate-every", type=int, help="Steps between validations and saved states.")
@click.option("--afs-batches", type=int, help="Batches over which AFS judges channels.")
@click.option(
    "--statistics-batches",
    type=int,
    help="Batches that BatchNorm statistics are averaged over; 0 for the last.",
)
@click.option("--seed", type=int, help="Seed of splits, weights, anomalies and order.")
@click.option("--workers", type=int, help="Processes that synthesise anomalies.")
@click.option("--threads", type=int, help="Threads of PyTorch; 0 for all cores.")
@click.option(
    "--precision", type=click.Choice(PRECISIONS), help="What steps compute in; auto: bf16 if the CPU has it."
)
@click.option("--resume", is_flag=True, help="Go on with an unfinished training of the same settings.")
@click.option("--overwrite", is_flag=True, help="Replace a finished or unfinished training.")
@json_option
def command(
    data: Path,
    category: str,
    workspace: Path,
    preset_name: str,
    weights: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Train RealNet on a category's good images.

    Nothing of the test images is looked at: the checkpoint is chosen on good images that were set
    aside and on synthetic anomalies. A state is saved at every validation; after an interruption
    the same command with --resume goes on from there.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data import load_category
    from realnet_edge.workspace import Workspace

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other: give one of them.")
    base = preset(preset_name)
    given = {key: value for key, value in changes.items() if value is not None}
    tiles, overlap = given.pop("tiles", None), given.pop("tile_overlap", None)
    model = _model_config(base.model, _taken(given, ModelConfig))
    if tiles != AUTO:
        model = with_tiles(model, tiles, overlap)
    synthesis = dataclasses.replace(base.synthesis, **_taken(given, SynthesisConfig))
    config = dataclasses.replace(base.train, **given)
    need_training_packages("train")
    from realnet_edge.training import train

    paths = Workspace(workspace).category(category)
    found = load_category(data, category)
    seen = see_images(found.train, synthesis.foreground)
    if tiles == AUTO and seen.size is not None:
        model = with_chosen_tiles(model, seen.size, overlap)
        say(describe_choice(seen.size, model.grid))
    if not resume and (advice := seen.advice(model.grid)):
        say(f"Advice: {advice}")
    with _Bar(config.steps, config.minutes) as bar:
        checkpoint = train(
            found,
            paths,
            model,
            synthesis,
            config,
            weights=weights,
            resume=resume,
            overwrite=overwrite,
            say=say,
            report=bar.update,
        )
    facts = {k: v for k, v in checkpoint.training.items() if k not in ("history", "model")}
    say(
        f"stopped by {facts['stopped']} after {facts['steps']} steps and {facts['minutes']:.1f} minutes; "
        f"the best validation was {facts['best_score']:.2f} at step {facts['best_step']}"
    )
    say(f"checkpoint: {paths.checkpoint}\ncurves:     {paths.root / 'training-curves.png'}")
    say(f"next:       realnet-edge build --category {category} --precision fp16 --workspace {workspace}")
    if as_json:
        print_json({"checkpoint": str(paths.checkpoint), "training": facts})


def _taken(given: dict[str, Any], settings: type[ModelConfig] | type[SynthesisConfig]) -> dict[str, Any]:
    """Take out of `given` the options that are settings of this class."""
    names = [field.name for field in dataclasses.fields(settings)]
    return {name: given.pop(name) for name in names if name in given}


def _model_config(base: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    """Apply options to the preset's model; another backbone or other taps bring their own sizes."""
    backbone = changes.get("backbone", base.backbone)
    same_taps = backbone == base.backbone and "taps" not in changes
    if "blocks" in changes:
        known = base.taps if same_taps else BACKBONES[backbone].default_taps
        blocks = _blocks(changes["blocks"], len(changes.get("taps", known)))
        changes = {**changes, "blocks": blocks}
        if same_taps:
            # A block is as wide as its taps' own U-Nets were together.
            widths = tuple(sum(parts) for parts in grouped(base.widths, blocks))
            changes = {"widths": widths, **changes}
    if same_taps:
        return dataclasses.replace(base, **changes)
    kept = (
        "image_size",
        "score_rule",
        "match_exposure",
        "group_width",
        "attention_limit",
        "rrs_order",
        "selection",
    )
    settings = {**{key: getattr(base, key) for key in kept}, **changes}
    return ModelConfig.for_backbone(**{**settings, "backbone": backbone})


def _blocks(architecture: str, taps: int) -> tuple[int, ...]:
    """An architecture's letter, or numbers such as 2,2, as `ModelConfig.blocks`."""
    if architecture in ARCHITECTURES:
        return blocks_of(architecture, taps)
    try:
        return tuple(int(part) for part in architecture.split(","))
    except ValueError as error:
        raise ConfigError(
            f"architecture is {architecture!r}; valid: {', '.join(ARCHITECTURES)}, or how many taps each "
            "block takes, such as 2,2."
        ) from error


class _Bar:
    """Progress with an estimate on a terminal; nothing elsewhere, where the milestones are enough."""

    def __init__(self, steps: int, minutes: float) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        from realnet_edge.cli.output import console

        self._steps = steps
        self._minutes = minutes
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or console.quiet,
        )
        self._task = self._bar.add_task("training", total=1.0)

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, reconstruction: float, segmentation: float) -> None:
        done = progress.step / self._steps
        if self._minutes > 0:
            done = max(done, progress.minutes / self._minutes)
        text = f"step {progress.step}  losses {reconstruction:.3f} {segmentation:.4f}"
        self._bar.update(self._task, completed=min(1.0, done), description=text)
