"""`realnet-edge service`: a line that starts with the machine and is kept alive."""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from realnet_edge.cli.output import say
from realnet_edge.cli.source import read_specs
from realnet_edge.cli.unit_file import Credential, UnitFile
from realnet_edge.errors import ConfigError
from realnet_edge.workspace import Workspace

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle

# Files that root alone need be able to read, by how their options are called.
_SECRET = re.compile(r"--.*(token|users|key|secret|password)")
# Files and folders that a line reads. What else is a path it writes.
_READ = re.compile(r"--(bundle|fallback|require-signature|workspace|genicam-producer|.*-ca|.*-cert)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ADDRESS = re.compile(r"(rtsps?|https?|mqtts?|watch):", re.IGNORECASE)


@dataclass(frozen=True)
class Given:
    """An option of `run` as it was written; `value` is None for a flag."""

    option: str
    value: str | None
    is_path: bool

    @property
    def is_secret(self) -> bool:
        return self.is_path and _SECRET.fullmatch(self.option) is not None

    @property
    def words(self) -> list[str]:
        """What of the command line it becomes."""
        if self.value is None:
            return [self.option]
        return [self.option, Credential(self.option[2:]) if self.is_secret else self.value]


# Relative names are below it.
_HERE = Given("", ".", True)


@click.command("service", context_settings={"ignore_unknown_options": True})
@click.option("--user", metavar="NAME", help="As whom it runs.  [default: whoever calls this]")
@click.option(
    "--watchdog",
    type=click.IntRange(5),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="A line that hangs for so long is ended and started anew.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="OPTIONS OF RUN")
def command(user: str | None, watchdog: int, options: tuple[str, ...]) -> None:
    """Print a systemd unit that does what `run` does with these options.

    \b
    realnet-edge service --category screw --source rtsp://camera/1 --out /var/lib/screw/results.jsonl \\
        | sudo tee /etc/systemd/system/screw.service
    sudo systemctl daemon-reload && sudo systemctl enable --now screw

    The bundle is loaded once, so that a unit that cannot start is not written. Relative paths mean what they
    mean here. A line that hangs is started anew, a camera that is away is waited for. Files of tokens, keys
    and users are passed on by systemd and may belong to root; variables that options name, ${NAME}, go into
    the file that the unit names.
    """  # noqa: D301  # click's own mark for lines that are kept
    context = _parsed(options)
    bundles = _bundles(context.params)
    given = list(_given(context, options))
    name = bundles[0].manifest.category
    runs_as = _user(user)
    unit = UnitFile(
        name=name,
        words=[sys.executable, "-m", "realnet_edge", "run", *(word for one in given for word in one.words)],
        user=runs_as,
        folder=Path.cwd(),
        writable=_writable(given, runs_as),
        private_tmp=not any(_is_temporary(Path(one.value or "")) for one in [*given, _HERE]),
        secrets={one.option[2:]: _absolute(one.value) for one in given if one.is_secret and one.value},
        variables=sorted({found for one in given for found in _VARIABLE.findall(one.value or "")}),
        devices=_devices(context.params["specs"], bundles),
        low_port=_has_low_port(next((one.value for one in given if one.option == "--web"), None)),
        watchdog_s=watchdog,
    )
    click.echo(str(unit), nl=False)
    if unit.user == "root":
        say("Warning: it would run as root, which no line needs: name another user with --user.")
    say(f"Write it to /etc/systemd/system/{name}.service, then: systemctl enable --now {name}")


def _parsed(options: Sequence[str]) -> click.Context:
    """The options as `run` reads them.

    Raises:
        ConfigError: one that makes no sense for what runs for ever.
    """
    from realnet_edge.cli import run

    context = run.command.make_context("run", list(options))
    for name in ("limit", "as_json"):
        if context.params[name]:
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            raise ConfigError(f"{option}: a service has no end at which it would count. Leave it out.")
    for spec in read_specs(context.params["specs"]).values():
        if Path(spec).exists() and not spec.startswith("/dev/"):
            raise ConfigError(
                f"--source {spec}: ends, and would be inspected again and again. For files that come give "
                "watch:FOLDER."
            )
    return context


def _given(context: click.Context, options: Sequence[str]) -> Iterator[Given]:
    """All that was given, as it was written; also what the environment of whoever calls gives."""
    read, _, _ = context.command.make_parser(context).parse_args(list(options))
    for parameter in context.command.params:
        name = parameter.name or ""
        value: Any = read.get(name)
        if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT:
            value = context.params[name]
        if value is None:
            continue
        is_path = isinstance(parameter.type, click.Path)
        for one in value if isinstance(value, list | tuple) else [value]:
            yield Given(parameter.opts[0], None if one is True else str(one), is_path)


def _bundles(options: dict[str, Any]) -> list[Bundle]:
    """What would be run, loaded and verified as `run` does it."""
    from realnet_edge.cli.engines import load_fallbacks, load_named

    names = ("category", "backend", "precision", "bundle_folder", "require_signature")
    category, backend, precision, folder, keys = (options[name] for name in names)
    first = load_named(Workspace(options["workspace"]), category, backend, precision, folder, keys)
    return [first, *load_fallbacks(options["fallback"], first, keys)]


def _user(given: str | None) -> str:
    name = given or os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    try:
        pwd.getpwnam(name)
    except KeyError as error:
        raise ConfigError(f"--user {name}: there is no such user here. Make one, or name another.") from error
    return name


def _is_temporary(path: Path) -> bool:
    return any(_absolute(path).is_relative_to(folder) for folder in ("/tmp", "/var/tmp"))  # noqa: S108


def _absolute(path: str | Path) -> Path:
    """From the root, and without the `..` that systemd refuses; what links point to may change later."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow them


def _writable(given: Sequence[Given], user: str) -> list[Path]:
    """The folder where it runs, for files that are named after the category; and those of options.

    Raises:
        ConfigError: one that is not there yet, and would have to be made in somebody else's.
    """
    from realnet_edge.camera import VIDEO_SUFFIXES

    here = Path.cwd()
    if here == here.parent:
        raise ConfigError(
            f"a service that runs in {here} could write everywhere: change to a folder of its own."
        )
    folders = {here}
    for one in given:
        if not one.is_path or one.value is None or one.is_secret or _READ.fullmatch(one.option):
            continue
        path = _absolute(one.value)
        is_folder = path.is_dir() or (one.option == "--save" and path.suffix.lower() not in VIDEO_SUFFIXES)
        folder = path if is_folder else path.parent
        if folder.is_relative_to(here):
            continue
        if not folder.is_dir() or folder == folder.parent:
            raise ConfigError(
                f"{one.option} {one.value}: a service writes to folders of its own alone, and {folder} is "
                f"none yet. Make one first: sudo install -d -o {user} FOLDER"
            )
        folders.add(folder)
    return sorted(folders)


def _devices(specs: Sequence[str], bundles: Sequence[Bundle]) -> str:
    from realnet_edge.bundle import GPU_BACKENDS

    if any(bundle.manifest.backend in GPU_BACKENDS for bundle in bundles):
        return "all"
    needed = {_device(spec) for spec in read_specs(specs).values()}
    return next(kind for kind in ("all", "video", "none") if kind in needed)


def _device(spec: str) -> str:
    if spec.startswith("/dev/v"):
        return "video"
    return "none" if _ADDRESS.match(spec) else "all"


def _has_low_port(web: str | None) -> bool:
    port = (web or "").rpartition(":")[2]
    return port.isdecimal() and 0 < int(port) < 1024
