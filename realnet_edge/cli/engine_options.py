"""Options of `realnet-edge build` that only TensorRT's builder has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.options import adding
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.runtime.tensorrt import EngineOptions


def _read_batch(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, int, int] | None:
    """Reads 1:1:8 as (1, 1, 8); their order is checked with the other settings."""
    if value is None:
        return None
    try:
        low, best, high = (int(part) for part in value.split(":"))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: give three numbers, such as 1:1:8.") from error
    return low, best, high


# Each is a field of `EngineOptions` by its own name; none has a default but that of the field.
_OPTIONS = (
    click.option(
        "--batch",
        callback=_read_batch,
        metavar="MIN:OPT:MAX",
        help="TensorRT: batches it takes, quickest at OPT; instead of --max-batch.",
    ),
    click.option(
        "--workspace-limit",
        "workspace_mb",
        type=int,
        metavar="MIB",
        help="TensorRT: most GPU memory for a layer's scratch.",
    ),
    click.option(
        "--builder-level",
        type=int,
        metavar="0-5",
        help="TensorRT: 0 builds quickest, 5 runs quickest.  [default: 3]",
    ),
    click.option("--tf32", is_flag=True, default=None, help="TensorRT: FP32 layers multiply in TF32."),
    click.option(
        "--hardware-compatible",
        is_flag=True,
        default=None,
        help="TensorRT: an engine for all GPUs from Ampere on; slower.",
    ),
    click.option(
        "--version-compatible",
        is_flag=True,
        default=None,
        help="TensorRT: an engine for later releases of its major version, too.",
    ),
    click.option("--dla", is_flag=True, default=None, help="Refused, with the reason."),
)
_timing_cache = click.option(
    "--timing-cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="TensorRT: folder where measured kernels are kept.  [default: in the workspace]",
)
_rrs = click.option(
    "--rrs",
    metavar="HOW",
    default="auto",
    show_default=True,
    help="TensorRT: RRS by our own kernels (plugin), TensorRT's layers (native), or as there are kernels.",
)
_kernels = click.option(
    "--kernels",
    type=click.Path(file_okay=False, path_type=Path),
    help="TensorRT: folder of kernels compiled for --rrs plugin.  [default: .kernels in the workspace]",
)


# The command gets them as `timing_cache`, `rrs`, `kernels` and one keyword a field.
engine_options = adding((*_OPTIONS, _timing_cache, _rrs, _kernels))


def read_engine_options(given: dict[str, Any], max_batch: int, max_batch_given: bool) -> EngineOptions | None:
    """Settings from what was given; None where nothing was.

    Raises:
        ConfigError: a value that the builder refuses, or two that say the same.
    """
    from realnet_edge.runtime.tensorrt import EngineOptions

    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return None
    if "batch" in changes and max_batch_given:
        raise ConfigError("--batch MIN:OPT:MAX states the largest batch: leave --max-batch out.")
    return EngineOptions(**{"batch": (1, 1, max_batch), **changes})
