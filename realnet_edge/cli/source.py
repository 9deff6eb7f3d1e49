"""Where `run` takes its frames from: the options, and what is said of a camera that comes and goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from realnet_edge.cli.options import adding
from realnet_edge.cli.output import say
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera import CameraState, Source


class _Region(click.ParamType[tuple[int, ...]]):
    name = "region"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 4:
            self.fail(f"{value!r} is not X,Y,WIDTH,HEIGHT in pixels, 100,80,640,480 for example.", param, ctx)
        return numbers


_OPTIONS = (
    click.option(
        "--source", "spec", required=True, metavar="SOURCE", help="Where frames come from, see above."
    ),
    click.option(
        "--timeout",
        type=float,
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="Without a picture for so long a camera counts as lost and is connected to again.",
    ),
    click.option(
        "--region",
        type=_Region(),
        metavar="X,Y,W,H",
        help="Inspect this part of each picture only, in pixels of the picture as it comes.",
    ),
    click.option(
        "--rotate",
        type=click.Choice(["0", "90", "180", "270"]),
        default="0",
        show_default=True,
        help="Turn each picture, or its region, by so many degrees clockwise.",
    ),
)


# --source, --timeout, --region and --rotate.
source_options = adding(_OPTIONS)


def open_viewed(
    spec: str,
    timeout_s: float,
    region: tuple[int, int, int, int] | None,
    rotate: str,
    on_state: Callable[[CameraState], None] = lambda state: None,
) -> Source:
    """The source that the options name, through the view that they ask for.

    Args:
        on_state: hears how it stands with a camera, after the user.

    Raises:
        ConfigError: a timeout or region that nothing can be done with.
    """
    from realnet_edge.camera import View, ViewedSource, open_source

    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise ConfigError(f"--timeout {timeout_s}: give a number of seconds above 0.")
    view = View(region, int(rotate))

    def tell(state: CameraState) -> None:
        _say_state(state)
        on_state(state)

    source = open_source(spec, timeout_s, tell)
    return source if view.is_whole else ViewedSource(source, view)


def _say_state(state: CameraState) -> None:
    if state.phase == "live":
        say("Camera: connected")
    elif state.phase == "waiting":
        say(f"Camera: not there ({state.reason}); next try in {state.retry_in_s:.1f} s")
