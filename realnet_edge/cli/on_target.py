"""`realnet-edge build --prepare` and `--on-target`: one machine prepares what another builds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from realnet_edge.cli.built import tell_built
from realnet_edge.cli.step_bar import step_bar
from realnet_edge.errors import BundleError, ConfigError
from realnet_edge.workspace import Workspace

if TYPE_CHECKING:
    from realnet_edge.calibrate import BuildOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])

# All others were settled when the bundle was prepared. TensorRT's own, by the names of their fields, too.
_SETTLED_HERE = ("on_target", "workspace", "fpr", "timing_cache", "rrs", "require_signature", "as_json")

_prepare = click.option(
    "--prepare", is_flag=True, help="Build nothing: write what another machine builds the engine from."
)
_on_target = click.option(
    "--on-target",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Build the engine of a prepared bundle on this machine.",
)


def on_target_options(command: _Command) -> _Command:
    """Add the options; the command gets them as `prepare` and `on_target`."""
    return _prepare(_on_target(command))


def is_given(context: click.Context, name: str) -> bool:
    """Whether a parameter of the command was given, and is not merely at its default."""
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


def write_prepared(
    workspace: Workspace,
    category: str,
    precision: str,
    backend: str,
    data: Path | None,
    options: BuildOptions,
    as_json: bool,
) -> None:
    """Prepare a bundle and say what to do with it."""
    from realnet_edge.calibrate import prepare_bundle
    from realnet_edge.cli.output import print_json, say

    with step_bar() as progress:
        bundle = prepare_bundle(
            workspace, category, precision, backend, data_root=data, options=options, progress=progress
        )
    size = sum(file.stat().st_size for file in bundle.path.iterdir()) / 1e6
    say(f"{bundle.path}: prepared for {backend} {precision}, {size:.0f} MB with the held-out good images")
    prepared = bundle.manifest.preparation
    if prepared is not None and prepared.kernels:
        say(f"With kernels of ours for RRS on SM {', '.join(prepared.kernels)}")
    command = f"realnet-edge build --on-target {bundle.path.name}"
    say(f"Copy the folder to the machine that shall run it, and there: {command}")
    if as_json:
        print_json({"path": str(bundle.path), "manifest": bundle.manifest.to_dict()})


def build_prepared(
    context: click.Context, folder: Path, workspace: Workspace, engine: dict[str, Any]
) -> None:
    """Build a prepared bundle here and tell what came of it.

    Args:
        context: of the command, whose parameters were given or not.
        folder: the prepared bundle.
        workspace: where the finished bundle goes.
        engine: settings of TensorRT's builder by name, None where not given.

    Raises:
        ConfigError: an option that was settled when the bundle was prepared.
        BundleError: no such folder.
    """
    given = [name for name in context.params if is_given(context, name)]
    # TF32 is a precision: the limits that the engine is held to depend on it.
    settled = sorted(set(given) - ({*_SETTLED_HERE, *engine} - {"tf32"}))
    if settled:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in settled)
        raise ConfigError(
            f"{names}: settled when the bundle was prepared, so it cannot be given with --on-target. "
            "Leave it out, or prepare the bundle again with it."
        )
    if not folder.is_dir():
        raise BundleError(
            f"{folder}: no such prepared bundle. Make one with `realnet-edge build --prepare` where it was "
            "trained, and copy its folder here."
        )
    from realnet_edge.calibrate import TargetOptions, build_on_target
    from realnet_edge.cli.output import say

    options = TargetOptions(
        target_fpr=context.params["fpr"] if "fpr" in given else None,
        engine={name: value for name, value in engine.items() if value is not None},
        timing_cache=context.params["timing_cache"],
        rrs=context.params["rrs"] if "rrs" in given else None,
        require_signature=context.params["require_signature"],
    )
    with step_bar() as progress:
        bundle = build_on_target(folder, workspace, options, progress, say)
    if context.params["require_signature"] is not None:
        say(f"This bundle is new and not signed yet: sign it with realnet-edge sign {bundle.path}")
    tell_built(bundle, context.params["as_json"])
