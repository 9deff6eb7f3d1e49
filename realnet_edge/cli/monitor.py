"""The live page that `run` shows beside its work."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from realnet_edge.cli.options import gathering, read_token
from realnet_edge.cli.output import say
from realnet_edge.cli.thresholds import Kept
from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from realnet_edge.camera import EngineChain, Inspection
    from realnet_edge.monitor import LineState
    from realnet_edge.monitor.access import Access
    from realnet_edge.monitor.tls import Certificate

# Names of variables, not tokens.
VIEWER_TOKEN = "REALNET_EDGE_WEB_TOKEN"  # noqa: S105
OPERATOR_TOKEN = "REALNET_EDGE_WEB_OPERATOR_TOKEN"  # noqa: S105


def _file(option: str, text: str) -> Callable[[Any], Any]:
    return click.option(option, type=click.Path(dir_okay=False, path_type=Path), help=text)


_OPTIONS = (
    click.option(
        "--web",
        metavar="HOST:PORT",
        help="Serve a live page with health and metrics there, 127.0.0.1:8080 for example.",
    ),
    _file(
        "--web-token",
        "File with a token that viewers have to bring; this, or users, where other machines reach the page. "
        f"Or set {VIEWER_TOKEN}.",
    ),
    _file(
        "--web-operator-token",
        f"File with a token of operators, who change the threshold on the page. Or set {OPERATOR_TOKEN}.",
    ),
    _file("--web-users", "File with people who sign in, as `realnet-edge users` writes it."),
    _file("--web-cert", "Serve the page by TLS: PEM file of the certificate and its chain."),
    _file("--web-key", "The certificate's key, a PEM file that is not encrypted."),
    _file(
        "--threshold-file",
        "Where thresholds that operators set are kept, and taken from at the next start.  "
        "[default: CATEGORY-threshold.json]",
    ),
)


@dataclass(frozen=True)
class Web:
    """What the options ask for; the fields are theirs."""

    web: str | None
    web_token: Path | None
    web_operator_token: Path | None
    web_users: Path | None
    web_cert: Path | None
    web_key: Path | None
    threshold_file: Path | None


# --web and its like, as one argument `web`.
monitor_options = gathering("web", Web, _OPTIONS)


def serve_state(
    stack: ExitStack, web: Web, state: LineState, engines: EngineChain, kept: Kept
) -> list[Callable[[Inspection], None]]:
    """Serve a line's pages until the stack closes; gives the sinks that keep them true.

    Args:
        stack: closes what is opened here.
        web: what is asked for; without `--web` nothing is served.
        state: what is shown.
        engines: whose threshold is shown and changed.
        kept: where changes of it are kept.

    Raises:
        ConfigError: an address, a token, users or a certificate that cannot be used.
    """
    if web.web is None:
        if unused := _given_without_page(web):
            raise ConfigError(f"{', '.join(unused)}: for a page that is served. Add --web HOST:PORT.")
        return []
    from realnet_edge.monitor import MonitorServer
    from realnet_edge.monitor.device import Device
    from realnet_edge.monitor.threshold import ThresholdControl
    from realnet_edge.serving import is_loopback

    access, certificate = _access(web), _certificate(web)
    control = ThresholdControl(engines, kept.file, kept.in_force, say)
    device = stack.enter_context(Device())
    server = MonitorServer(web.web, state, access, control, certificate, device)
    stack.enter_context(server)
    say(f"Live page: {server.url}" + ("?token=TOKEN, the first time" if access.viewer_token else ""))
    if certificate is None and not is_loopback(urlsplit(server.url).hostname):
        say("Warning: tokens and passwords go to it in the clear: add --web-cert and --web-key.")
    if not access.has_operators:
        if web.web_users:
            advice = f"{web.web_users} holds none; `realnet-edge users add NAME --role operator` does"
        else:
            advice = "add --web-operator-token or --web-users for that"
        say(f"Nobody can change the threshold there: {advice}.")
    return [state, server.metrics, control]


def _given_without_page(web: Web) -> list[str]:
    names = [field.name for field in fields(web) if field.name.startswith("web_")]
    return [f"--{name.replace('_', '-')}" for name in names if getattr(web, name) is not None]


def _access(web: Web) -> Access:
    from realnet_edge.monitor.access import Access
    from realnet_edge.monitor.users import read_users

    return Access(
        _token("--web-token", web.web_token, VIEWER_TOKEN),
        _token("--web-operator-token", web.web_operator_token, OPERATOR_TOKEN),
        read_users(web.web_users) if web.web_users else {},
    )


def _token(option: str, file: Path | None, variable: str) -> str | None:
    found = os.environ.get(variable)
    if file is None:
        return found
    if found is not None:
        raise ConfigError(f"{option} and {variable} are both given: which one is the token? Leave one out.")
    return read_token(option, file)


def _certificate(web: Web) -> Certificate | None:
    from realnet_edge.monitor.tls import Certificate

    if web.web_cert is None or web.web_key is None:
        if web.web_cert or web.web_key:
            raise ConfigError("TLS takes a certificate and its key: give both --web-cert and --web-key.")
        return None
    certificate = Certificate(web.web_cert, web.web_key)
    if problem := certificate.problem():
        say(f"Warning: the certificate {web.web_cert} {problem}; browsers will warn of the page.")
    return certificate
