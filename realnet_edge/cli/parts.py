"""Which frames of `run` are parts: triggers, pictures that are sent, and files that were inspected before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.options import gathering, read_token
from realnet_edge.cli.output import say
from realnet_edge.cli.source import say_state
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera import CameraState, Inspection, Source
    from realnet_edge.camera.inspected import Inspected
    from realnet_edge.camera.triggers import Trigger
    from realnet_edge.intake import PostedSource

_POST, _BY_CAMERA = "post://", "camera"

_FILE = click.Path(dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--trigger",
        metavar="ADDRESS",
        help="Inspect one picture of each camera for each part announced there: mqtt://HOST/TOPIC, "
        "mqtts://USER:${VARIABLE}@HOST:PORT/TOPIC, or http://127.0.0.1:PORT/ for POST /trigger; each message "
        'is the part\'s id or {"id": "A17"}. "camera" where each picture is a part, for the camera itself is '
        "triggered.",
    ),
    click.option(
        "--trigger-wait",
        type=float,
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="A part whose picture does not come for so long is not inspected.",
    ),
    click.option(
        "--trigger-delay",
        type=float,
        default=0.0,
        show_default=True,
        metavar="SECONDS",
        help="So long after its message a part is in front of the camera.",
    ),
    click.option(
        "--trigger-token",
        type=_FILE,
        help="File with a token that HTTP requests with parts have to bring; needed where other machines "
        "reach the address of --trigger or post://.",
    ),
    click.option(
        "--trigger-ca",
        type=_FILE,
        help="Certificates that the trigger's broker's has to be signed by; else the system's.",
    ),
    click.option(
        "--inspected",
        type=_FILE,
        help="File that remembers which files of watched folders were inspected, so that a restart takes "
        "none of them again.  [default: CATEGORY-inspected.db]",
    ),
    click.option(
        "--genicam-producer",
        type=_FILE,
        help="The camera maker's GenTL producer, *.cti, for genicam:SERIAL; else those in "
        "GENICAM_GENTL64_PATH.",
    ),
)


@dataclass(frozen=True)
class PartOptions:
    """What the options ask for; the fields are theirs."""

    trigger: str | None = None
    trigger_wait: float = 1.0
    trigger_delay: float = 0.0
    trigger_token: Path | None = None
    trigger_ca: Path | None = None
    inspected: Path | None = None
    genicam_producer: Path | None = None


# --trigger and its like, as one argument `parts`.
part_options = gathering("parts", PartOptions, _OPTIONS)


class Parts:
    """Opens sources as the options ask for, and what announces parts to them.

    Args:
        stack: closes what is opened here.
        options: what is asked for.
        category: names the file that remembers.
        on_trigger: hears how it stands with the trigger's broker, after the user.

    Attributes:
        sinks: to be called with each result.

    Raises:
        ConfigError: options that contradict each other, or cannot be met.
    """

    def __init__(
        self,
        stack: ExitStack,
        options: PartOptions,
        category: str,
        on_trigger: Callable[[CameraState], None] = lambda state: None,
    ) -> None:
        self.sinks: list[Callable[[Inspection], None]] = []
        self._stack, self._options, self._category = stack, options, category
        token = options.trigger_token
        self._token = None if token is None else read_token("--trigger-token", token)
        self._on_trigger = on_trigger
        self._trigger = self._opened_trigger()
        self._memory: Inspected | None = None
        self._posts = False

    def open(self, spec: str, timeout_s: float, on_state: Callable[[CameraState], None]) -> Source:
        """A source, one of `open_source` or post://HOST:PORT."""
        from realnet_edge.camera import open_source
        from realnet_edge.camera.opening import WATCH
        from realnet_edge.camera.watched import WatchedFolder

        if spec.startswith(_POST):
            return self._posted(spec)
        memory = self._remembering() if spec.startswith(WATCH) else None
        source = open_source(spec, timeout_s, on_state, self._options.genicam_producer, memory)
        if isinstance(source, WatchedFolder):
            self.sinks.append(source)
        return source

    def of(self, source: Source) -> Source:
        """The source's frames that are parts: all of them, or those that a trigger asks for."""
        if self._options.trigger == _BY_CAMERA:
            if not source.live:
                raise ConfigError(f"{source.name}: --trigger {_BY_CAMERA} is for cameras, not for files.")
            source.triggered = True
        if self._trigger is None:
            return source
        from realnet_edge.camera.triggered import TriggeredSource

        return TriggeredSource(source, self._trigger, self._options.trigger_wait, self._options.trigger_delay)

    def check(self) -> None:
        """All sources are open: options that none of them needed are a mistake.

        Raises:
            ConfigError: there is one.
        """
        options = self._options
        over_http = self._posts or (options.trigger or "").startswith("http")
        over_tls = (options.trigger or "").startswith("mqtts")
        for name, value, needed, remedy in (
            (
                "--trigger-token",
                options.trigger_token,
                over_http,
                "--trigger http://... or a source post://...",
            ),
            ("--trigger-ca", options.trigger_ca, over_tls, "--trigger mqtts://..."),
            ("--inspected", options.inspected, self._memory, "a source watch:FOLDER"),
        ):
            if value is not None and not needed:
                raise ConfigError(f"{name} is for {remedy}: nothing here uses it.")

    def _opened_trigger(self) -> Trigger | None:
        from realnet_edge.camera.addresses import filled_in, refuse_password, shown

        address = self._options.trigger
        if address is None or address == _BY_CAMERA:
            return None
        scheme = address.partition("://")[0].lower()
        if scheme == "http":
            from realnet_edge.intake import HttpTrigger

            trigger = self._stack.enter_context(HttpTrigger(address, self._token))
            say(f"Trigger: POST {trigger.url}trigger")
            return trigger
        if scheme in ("mqtt", "mqtts"):
            from realnet_edge.camera.mqtt_trigger import MqttTrigger

            refuse_password(address, "--trigger")
            return MqttTrigger(filled_in(address, "--trigger"), self._options.trigger_ca, self._tell)
        raise ConfigError(
            f"--trigger {shown(address)}: valid are mqtt://HOST/TOPIC, mqtts://HOST/TOPIC, "
            f"http://127.0.0.1:PORT/ and {_BY_CAMERA}."
        )

    def _tell(self, state: CameraState) -> None:
        say_state("Trigger", state)
        self._on_trigger(state)

    def _posted(self, spec: str) -> PostedSource:
        from realnet_edge.intake import PostedSource

        self._posts = True
        source = self._stack.enter_context(PostedSource(spec, self._token))
        say(f"Parts: POST {source.url}")
        self.sinks.append(source)
        return source

    def _remembering(self) -> Inspected:
        from realnet_edge.camera.inspected import Inspected

        if self._memory is None:
            path = self._options.inspected or Path(f"{self._category}-inspected.db")
            self._memory = self._stack.enter_context(Inspected(path))
        return self._memory
