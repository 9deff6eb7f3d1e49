"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from realnet_edge.config import DEVICES, PRECISIONS
from realnet_edge.errors import ConfigError
from realnet_edge.workspace import DEFAULT_WORKSPACE, WORKSPACE_VARIABLE


class FiniteRange(click.FloatRange):
    """A number within bounds. NaN is refused: as no comparison holds for it, click lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number: give one in the range {self._describe_range()}.", param, ctx)
        return number


# Public keys' files, one after the other as in PATH: what a machine requires of whatever command.
SIGNATURE_VARIABLE = "REALNET_EDGE_REQUIRE_SIGNATURE"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def adding(options: Sequence[Callable[[Any], Any]]) -> Callable[[_Command], _Command]:
    """A decorator that adds options to a command, shown in the order given."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def gathering(
    name: str, kind: type, options: Sequence[Callable[[Any], Any]]
) -> Callable[[_Command], _Command]:
    """A decorator that adds options to a command, which gets all of them as one argument.

    Args:
        name: of the argument.
        kind: a dataclass whose fields are the options' parameters.
        options: shown in the order given.
    """
    names = [field.name for field in dataclasses.fields(kind)]

    def add(command: _Command) -> _Command:
        @functools.wraps(command)
        def gathered(*arguments: Any, **given: Any) -> Any:
            return command(*arguments, **{name: kind(**{one: given.pop(one) for one in names})}, **given)

        return adding(options)(gathered)  # type: ignore[return-value]  # the same command, with its options

    return add


def read_token(option: str, file: Path) -> str:
    """The token that a file holds, for the option that names it.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"{option} {file}: cannot be read ({reason}).") from error


workspace_option = click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_WORKSPACE,
    envvar=WORKSPACE_VARIABLE,
    show_envvar=True,
    show_default=True,
    help="Folder that holds checkpoints, bundles and reports, one folder a category.",
)

category_option = click.option(
    "--category", required=True, metavar="NAME", help="Name of the part that is inspected."
)

_DATA_FOLDER = (
    "Give the folder in which those of the categories lie: parts, where images are in parts/NAME/good."
)


class _DataFolder(click.Path):
    """A folder that is there; of what is none it is said which one is meant."""

    def __init__(self) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """As `click.Path`; raises click.BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message} {_DATA_FOLDER}", param, ctx)


data_option = click.option(
    "--data",
    type=_DataFolder(),
    required=True,
    help="Folder that holds the category's images.",
)

trained_data_option = click.option(
    "--data",
    type=_DataFolder(),
    help="Folder that holds the category's images.  [default: the one it was trained on]",
)


def _none_if_empty(
    _context: click.Context, _parameter: click.Parameter, value: tuple[Path, ...]
) -> tuple[Path, ...] | None:
    """No key given means that none is required, which is another thing than an empty list of keys."""
    return value or None


# The command gets it as `require_signature`, None where no signature is asked for.
signature_option = click.option(
    "--require-signature",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    envvar=SIGNATURE_VARIABLE,
    show_envvar=True,
    callback=_none_if_empty,
    metavar="KEY",
    help="Load no bundle that is not signed by this Ed25519 public key (PEM file); repeatable, one suffices.",
)

tolerance_option = click.option(
    "--tolerance",
    type=FiniteRange(0, 1, min_open=True),
    default=1e-4,
    show_default=True,
    help="Largest difference of the exported graph's anomaly map from PyTorch.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document to standard output."
)


def _joined(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Several specifications as one; None without any. One that cannot be read is refused at once."""
    if not values:
        return None
    from realnet_edge.synthesis import parse_spec

    spec = ",".join(values)
    parse_spec(spec)
    return spec


def source_option(explanation: str) -> Callable[[_Command], _Command]:
    """`--source`, given once with all sources or once for each, as one specification."""
    return click.option(
        "--source",
        multiple=True,
        callback=_joined,
        metavar="NAME[:WEIGHT]",
        help=f"{explanation} patches, bends, chips, cutpaste[=rectangle|scar], scratches, nsa[=mvtec/screw], "
        "textures=FOLDER, sia=FOLDER; joined by commas, or repeat the option.",
    )


_QUALITY = (
    click.option(
        "--inception",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="InceptionV3's weights: pt_inception-2015-12-05-6726825d.pth for the published FID; or "
        "torchvision's.",
    ),
    click.option(
        "--lpips",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="LPIPS's linear weights, such as lpips/weights/v0.1/alex.pth.",
    ),
    click.option(
        "--lpips-network",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="torchvision's weights of the network they are of: AlexNet or VGG-16.",
    ),
)


# The files of the official networks by which synthetic images are measured.
quality_options = adding(_QUALITY)


# How long, how and on what a training runs; each is a field of `TrainConfig`.
_TRAINING = (
    click.option("--steps", type=int, help="Most optimiser steps."),
    click.option("--minutes", type=float, help="Most minutes of steps and validations; 0 for no limit."),
    click.option(
        "--patience", type=int, help="Validations without improvement before it stops; 0 for never."
    ),
    click.option("--batch", type=int, help="Images a step."),
    click.option("--learning-rate", type=float, help="Adam's peak rate."),
    click.option("--validate-every", type=int, help="Steps between validations and saved states."),
    click.option("--afs-batches", type=int, help="Batches over which AFS judges channels."),
    click.option(
        "--statistics-batches",
        type=int,
        help="Batches that BatchNorm statistics are averaged over; 0 for the last.",
    ),
    click.option(
        "--ema",
        type=float,
        metavar="DECAY",
        help="Keep an average of the weights over steps, such as 0.998 over about 500; 0 for none.",
    ),
    click.option(
        "--rank-noise",
        type=float,
        metavar="SPREAD",
        help="Exchange residual planes that rank alike at random, such as 0.1, so that rounding in engines "
        "matters less; 0 for never.",
    ),
    click.option(
        "--joint/--no-joint",
        default=None,
        help="Let the segmentation loss train the reconstruction, too, as published.",
    ),
    click.option("--workers", type=int, help="Processes that synthesise anomalies."),
    click.option("--threads", type=int, help="Threads of PyTorch; 0 for all cores."),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        help="What steps compute in; auto: 16 bit if the device has it.",
    ),
    click.option("--device", type=click.Choice(DEVICES), help="Where; auto: a GPU if there is one."),
    click.option(
        "--accumulate", type=int, metavar="PARTS", help="Compute each batch in so many parts: less memory."
    ),
    click.option(
        "--gradient-checkpointing/--no-gradient-checkpointing",
        default=None,
        help="Compute the U-Nets twice instead of keeping all they computed: less memory.",
    ),
)


# Of commands that train; none has a default but the preset's.
training_options = adding(_TRAINING)
