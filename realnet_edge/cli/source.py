"""Where `run` takes its frames from: the options, and what is said of cameras that come and go."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from realnet_edge.cli.options import adding
from realnet_edge.cli.output import say
from realnet_edge.config import CAMERA_TIMEOUT_S
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera import Camera, CameraState
    from realnet_edge.cli.parts import Parts

_NAMED = re.compile(r"([A-Za-z0-9_-]+)=(.*)", re.DOTALL)
_TURNS = ("0", "90", "180", "270")

Region = tuple[int, int, int, int]
T = TypeVar("T")


class _Named(click.ParamType[tuple["str | None", T]], Generic[T]):
    """NAME=VALUE for one camera, or VALUE alone for all that have none of their own.

    Args:
        name: what is meant.
        read: gives the value; ValueError with the message where it cannot.
    """

    def __init__(self, name: str, read: Callable[[str], T]) -> None:
        self.name = name
        self._read = read

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str | None, T]:
        if isinstance(value, tuple):
            return value
        found = _NAMED.fullmatch(value)
        try:
            return (found[1], self._read(found[2])) if found else (None, self._read(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _region(text: str) -> Region:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not X,Y,WIDTH,HEIGHT in pixels, 100,80,640,480 for example.") from None
    return x, y, width, height


def _turn(text: str) -> int:
    if text not in _TURNS:
        raise ValueError(f"{text!r} is not one of {', '.join(_TURNS)}.")
    return int(text)


# What gives each picture once. Of a network camera two may look at different regions.
_ONE_READER = re.compile(r"watch:|post://|genicam:|csi(:\d+)?$|/dev/")

_OPTIONS = (
    click.option(
        "--source",
        "specs",
        required=True,
        multiple=True,
        metavar="[NAME=]SOURCE",
        help="Where frames come from, see above; repeatable with names, for several cameras on one engine.",
    ),
    click.option(
        "--timeout",
        type=float,
        default=CAMERA_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="Without a picture for so long a camera counts as lost and is connected to again.",
    ),
    click.option(
        "--region",
        "regions",
        type=_Named("region", _region),
        multiple=True,
        metavar="[NAME=]X,Y,W,H",
        help="Inspect this part of each picture only, in pixels of the picture as it comes; with a name for "
        "one of several cameras, without for all others.",
    ),
    click.option(
        "--rotate",
        "turns",
        type=_Named("rotate", _turn),
        multiple=True,
        metavar="[NAME=]0|90|180|270",
        help="Turn each picture, or its region, by so many degrees clockwise; with a name for one of several "
        "cameras, without for all others.",
    ),
)


# --source, --timeout, --region and --rotate.
source_options = adding(_OPTIONS)


def read_specs(specs: Sequence[str]) -> dict[str | None, str]:
    """What each camera is, by its name; None where the only one has none.

    A path that exists is one, whatever it looks like.

    Raises:
        ConfigError: several sources of which one has no name, or two have the same; one given twice that only
            one camera can have; a password.
    """
    from realnet_edge.camera.addresses import refuse_password

    pairs = [_split(spec) for spec in specs]
    for _, spec in pairs:
        refuse_password(spec, "--source")
    found = dict(pairs)
    for name, spec in pairs:
        if len(pairs) > 1 and name is None:
            raise ConfigError(
                f"--source {spec}: with several each needs a name of letters, digits, - and _, as in "
                "--source left=rtsp://HOST/PATH."
            )
    if len(found) < len(pairs):
        names = ", ".join(str(name) for name, _ in pairs)
        raise ConfigError(f"--source: two have the same name ({names}); give each its own.")
    taken = [spec for spec in found.values() if _ONE_READER.match(spec)]
    if twice := [spec for spec in taken if taken.count(spec) > 1]:
        raise ConfigError(f"--source {twice[0]}: given twice, and only one camera can have what comes there.")
    return found


def open_cameras(
    specs: Mapping[str | None, str],
    timeout_s: float,
    regions: Sequence[tuple[str | None, Region]] = (),
    turns: Sequence[tuple[str | None, int]] = (),
    on_state: Callable[[str | None, CameraState], None] = lambda name, state: None,
    parts: Parts | None = None,
) -> list[Camera]:
    """The cameras that the options name, each seen through the view that they ask for.

    Args:
        on_state: hears how it stands with a camera, after the user.
        parts: opens the sources, and says which of their frames are parts.

    Raises:
        ConfigError: a timeout or region that nothing can be done with, or for a camera that there is not.
    """
    from realnet_edge.camera import Camera, View, ViewedSource, open_source

    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise ConfigError(f"--timeout {timeout_s}: give a number of seconds above 0.")
    region_of = _by_camera("--region", regions, specs)
    turn_of = _by_camera("--rotate", turns, specs)

    opened: dict[str | None, Camera] = {}

    def tell(name: str | None, state: CameraState) -> None:
        say_state(_called(opened[name]), state)
        on_state(name, state)

    for name, spec in specs.items():
        opener = parts.open if parts else open_source
        source = opener(spec, timeout_s, partial(tell, name))
        view = View(region_of(name), turn_of(name) or 0)
        if not view.is_whole:
            source = ViewedSource(source, view, partial(_say_trouble, source.name))
        opened[name] = Camera(name, parts.of(source) if parts else source)
    if parts:
        parts.check()
    return list(opened.values())


def _split(spec: str) -> tuple[str | None, str]:
    if spec.strip() in ("", "watch:"):
        # A path of no characters is the folder where one happens to be.
        raise ConfigError(f"--source {spec!r}: names nothing. Give a folder, a camera or a stream's address.")
    found = _NAMED.fullmatch(spec)
    if not found or Path(spec).exists():
        return None, spec
    if not found[2]:
        raise ConfigError(f"--source {spec}: nothing follows the name. Give NAME=SOURCE.")
    return found[1], found[2]


def _by_camera(
    option: str, given: Sequence[tuple[str | None, T]], cameras: Mapping[str | None, str]
) -> Callable[[str | None], T | None]:
    """What an option says of a camera, by its name: its own value before the one for all."""
    values = dict(given)
    if len(values) < len(given):
        raise ConfigError(f"{option} is given twice for the same camera, or twice for all: give it once.")
    if unknown := [str(name) for name in values if name is not None and name not in cameras]:
        named = ", ".join(str(name) for name in cameras if name) or "none has a name"
        raise ConfigError(f"{option} {unknown[0]}=...: no such camera; those of --source: {named}.")
    return lambda name: values.get(name, values.get(None))


def _called(camera: Camera) -> str:
    """A camera as messages call it: by its address, which has no password."""
    return f"Camera {camera.name} ({camera.source.name})" if camera.name else f"Camera {camera.source.name}"


def say_state(what: str, state: CameraState) -> None:
    """Say that something is there, or why it is not and when it is tried again."""
    if state.phase == "live":
        say(f"{what}: connected")
    elif state.phase == "waiting":
        say(f"{what}: not there ({state.reason}); next try in {state.retry_in_s:.1f} s")


def _say_trouble(source: str, reason: str) -> None:
    say(f"Warning: {source}: {reason}; its frames are not inspected")
