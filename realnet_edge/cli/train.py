"""`realnet-edge train`: from images of good parts to a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.backbones import BACKBONES
from realnet_edge.cli.align import align_option, refuse_tiles, turned_strips, with_alignment
from realnet_edge.cli.options import (
    category_option,
    data_option,
    json_option,
    source_option,
    training_options,
    workspace_option,
)
from realnet_edge.cli.pace import FEW_STEPS
from realnet_edge.cli.pairs import Pair
from realnet_edge.cli.preset_choice import chosen_preset, training_gpu
from realnet_edge.cli.tiles import (
    AUTO,
    SeenImages,
    chosen_grid,
    see_images,
    tile_grid,
    tile_options,
    with_grid,
)
from realnet_edge.cli.train_settings import read_numbers, refuse_test_set, settings_of
from realnet_edge.config import (
    CHECKPOINT_BY,
    RRS_ORDERS,
    SCORE_RULES,
    SELECTIONS,
    ModelConfig,
)
from realnet_edge.errors import ConfigError
from realnet_edge.preset_advice import Situation, describe_default, preset_advice
from realnet_edge.presets import DEFAULT_PRESET, PRESETS, preset
from realnet_edge.tile_advice import describe_choice

if TYPE_CHECKING:
    from realnet_edge.workspace import CategoryPaths


@click.command("train")
@data_option
@category_option
@workspace_option
@click.option(
    "--preset",
    "preset_name",
    type=click.Choice(list(PRESETS)),
    help="Settings to start from; the options below change single ones.  "
    f"[default: {DEFAULT_PRESET}; with --resume the one it began with]",
)
@click.option("--backbone", type=click.Choice(list(BACKBONES)), help="Feature extractor, by its timm name.")
@click.option(
    "--weights", type=click.Path(dir_okay=False, path_type=Path), help="File with its ImageNet weights."
)
@click.option(
    "--taps", callback=read_numbers, metavar="N,N", help="Tapped feature maps, finest first; 0 is stride 2."
)
@click.option(
    "--planes",
    callback=read_numbers,
    metavar="N,N",
    help="Channels that AFS keeps of each tap; widths and RRS follow in proportion, unless they are given.",
)
@click.option(
    "--selection",
    type=click.Choice(SELECTIONS),
    help="How channels become planes: AFS, or instead of it random channels or a random projection.",
)
@click.option("--widths", callback=read_numbers, metavar="N,N", help="Base width of each block's U-Net.")
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
@tile_options
@align_option
@click.option(
    "--match-exposure/--no-match-exposure",
    default=None,
    help="Bring every image to the training images' mean brightness.",
)
@click.option("--score-rule", type=click.Choice(SCORE_RULES), help="How a map becomes an image score.")
@source_option("Anomaly source and how often it is drawn, such as nsa:0.5:")
@click.option(
    "--foreground",
    metavar="RULE",
    help='Foreground rule such as otsu:dark:6:6, "whole" or "auto": the published rule for a copy of a '
    "published data set, else one chosen from the images.",
)
@click.option("--rotate", type=float, metavar="DEGREES", help="Turn images by up to this much.")
@click.option("--flip/--no-flip", default=None, help="Mirror images at random.")
@click.option("--light", type=float, metavar="SHARE", help="Vary brightness, contrast by up to this share.")
@click.option("--noise", type=float, metavar="LEVELS", help="Noise on all images, up to so many grey levels.")
@training_options
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="Course of the rate.")
@click.option("--warmup", type=int, help="Steps over which the rate rises.")
@click.option("--seed", type=int, help="Seed of splits, weights, anomalies and order.")
@click.option(
    "--compile/--no-compile", default=None, help="Compile the U-Nets; minutes at first, then faster."
)
@click.option(
    "--feature-cache", type=int, metavar="MIB", help="Most memory for normal images' features; 0 for none."
)
@click.option("--resume", is_flag=True, help="Go on with an unfinished training of the same settings.")
@click.option("--overwrite", is_flag=True, help="Replace a finished or unfinished training.")
@click.option(
    "--checkpoint-by",
    type=click.Choice(CHECKPOINT_BY),
    default=CHECKPOINT_BY[0],
    hidden=True,
    expose_value=False,
    callback=refuse_test_set,
)
@json_option
def command(
    data: Path,
    category: str,
    workspace: Path,
    preset_name: str | None,
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
    from realnet_edge.cli.training_bar import TrainingBar
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data import load_category
    from realnet_edge.data.splits import split_sizes
    from realnet_edge.workspace import Workspace

    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other: give one of them.")
    given = {key: value for key, value in changes.items() if value is not None}
    tiles, overlap = given.pop("tiles", None), given.pop("tile_overlap", None)
    align = given.pop("align", None)
    paths = Workspace(workspace).category(category)
    name = chosen_preset(preset_name, paths, resume)
    model, synthesis, config = settings_of(preset(name), given)
    if tiles != AUTO:
        model = with_grid(model, tile_grid(model.image_size, tiles or model.tiles, overlap))
    need_training_packages("train")
    # Torch takes seconds to import: what is wrong with the folders is told before.
    found = load_category(data, category)
    seen = see_images(found.train, synthesis.foreground)
    # Aligned parts that are turned again would be cut off.
    by_default = preset(name).align and tiles is None and not found.parts and not synthesis.rotate
    model, advice = _geometry(model, seen, found.train, (align, by_default), (tiles, overlap))
    if model.align and synthesis.rotate:
        advice.append(f"Warning: {turned_strips(synthesis.rotate)}")
    from realnet_edge.training import Listeners, train
    from realnet_edge.training.distributed import environment_group

    trained = max(0, split_sizes(len(found.train))[0])
    situation = Situation(len(found.train), seen.size, training_gpu(config), trained)
    reason = "named with --preset" if preset_name else describe_default(situation)
    advice += [f"Advice: {line}" for line in preset_advice(situation, name, model, config)]
    is_main = environment_group().is_main
    if is_main:
        _introduce("" if preset_name or resume else f"preset: {reason}", found.gaps, advice)
    try:
        with TrainingBar(config, say, shown=is_main) as bar:
            checkpoint = train(
                found,
                paths,
                model,
                synthesis,
                config,
                weights=weights,
                resume=resume,
                overwrite=overwrite,
                listeners=Listeners(say, bar.update),
                preset={"name": name, "reason": reason},
            )
    except KeyboardInterrupt:
        if is_main:
            say(_interrupted(paths))
        raise
    if not is_main:
        return
    facts = {k: v for k, v in checkpoint.training.items() if k not in ("history", "model")}
    for line in _conclusion(facts, paths, category, workspace):
        say(line)
    if as_json:
        print_json({"checkpoint": str(paths.checkpoint), "training": facts})


def _introduce(preset: str, gaps: Sequence[str], advice: Sequence[str]) -> None:
    """What there is to say before anything is trained."""
    from realnet_edge.cli.output import say

    for line in [preset, *(f"Warning: {gap}" for gap in gaps), *advice]:
        if line:
            say(line)


def _geometry(
    model: ModelConfig,
    seen: SeenImages,
    paths: Sequence[Path],
    align: tuple[Pair | str | None, bool],
    tiles: tuple[Pair | str | None, int | None],
) -> tuple[ModelConfig, list[str]]:
    """The model with aligned parts or tiles, as they are wished for or the images ask, and what to say of it.

    Args:
        align: what `--align` says, and whether parts are aligned without it where images allow.
        tiles: what `--tiles` and `--tile-overlap` say.

    Raises:
        ConfigError: both are wished for, or sizes are not valid.
        DataError: parts that shall be aligned cannot be.
    """
    wanted, by_default = align
    refuse_tiles(wanted, tiles[0])
    model, lines = with_alignment(model, wanted, by_default, paths)
    if model.align:
        return model, lines
    model, advice = _suggest_tiles(model, seen, *tiles)
    return model, lines + advice


def _suggest_tiles(
    model: ModelConfig, seen: SeenImages, tiles: tuple[int, int] | str | None, overlap: int | None
) -> tuple[ModelConfig, list[str]]:
    """The model with its tiles, chosen from the images where that is wanted, and what to say about them."""
    lines = []
    if tiles == AUTO and seen.size is not None:
        model = with_grid(model, chosen_grid(seen.size, model.image_size, overlap))
        lines.append(describe_choice(seen.size, model.grid))
    advice = seen.advice(model.grid)
    return model, [*lines, f"Advice: {advice}"] if advice else lines


def _conclusion(facts: dict[str, Any], paths: CategoryPaths, category: str, workspace: Path) -> list[str]:
    """What to say of a finished training, and what comes next."""
    lines = [
        f"stopped by {facts['stopped']} after {facts['steps']} steps and {facts['minutes']:.1f} minutes; the "
        f"best validation (mean of image AUROC and pixel AP) was {facts['best_score']:.2f} at step "
        f"{facts['best_step']}"
    ]
    if facts["steps"] < FEW_STEPS:
        lines.append(
            f"Warning: after {facts['steps']} steps this model has hardly begun to learn; usable ones take "
            "about a thousand. Give more --minutes or --steps, or train on a faster or idle machine."
        )
    return [
        *lines,
        f"checkpoint: {paths.checkpoint}",
        f"curves:     {paths.root / 'training-curves.png'}",
        f"next:       realnet-edge build --category {category} --precision int8 --workspace {workspace}",
    ]


def _interrupted(paths: CategoryPaths) -> str:
    """What is left of a training that was stopped from outside."""
    from realnet_edge.training.state import read_settings

    saved = read_settings(paths.training)
    if saved is None:
        return (
            "interrupted before the first validation: nothing was saved. Begin again with the same command."
        )
    return f"interrupted; step {saved[0].step} is saved: go on with the same command and --resume."
