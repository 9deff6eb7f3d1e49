"""The live page that `run` shows beside its work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.options import adding
from realnet_edge.cli.output import say
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera import Inspection
    from realnet_edge.monitor import LineState


_OPTIONS = (
    click.option(
        "--web",
        metavar="HOST:PORT",
        help="Serve a live page with health and metrics there, 127.0.0.1:8080 for example.",
    ),
    click.option(
        "--web-token",
        "token_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with a token that requests have to bring; needed where other machines reach the page.",
    ),
)


# --web and --web-token.
monitor_options = adding(_OPTIONS)


def serve_state(
    stack: ExitStack, web: str | None, token_file: Path | None, state: LineState
) -> list[Callable[[Inspection], None]]:
    """Serve a line's pages until the stack closes; gives the sinks that keep them true.

    Args:
        web: HOST:PORT; None serves nothing.

    Raises:
        ConfigError: an address or a token that cannot be used.
    """
    if web is None:
        if token_file is not None:
            raise ConfigError("--web-token is for a page that is served: add --web HOST:PORT.")
        return []
    from realnet_edge.monitor import MonitorServer

    server = stack.enter_context(MonitorServer(web, state, _token(token_file)))
    say(f"Live page: {server.url}" + ("?token=TOKEN, the first time" if token_file else ""))
    return [state, server.metrics]


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigError(f"--web-token {file}: cannot be read ({error.strerror}).") from error
