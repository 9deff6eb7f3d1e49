"""Entry point of `realnet-edge`: a group that imports a command only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import click

from realnet_edge import __version__
from realnet_edge.cli.leaving import leave
from realnet_edge.cli.output import set_quiet
from realnet_edge.errors import DependencyError, RealnetEdgeError

# Command -> module and the one line that the overview shows. The line stands here, not in the
# command's own docstring, so that `realnet-edge --help` imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "data": ("realnet_edge.cli.data", "Check a data folder, or write the ELPV example."),
    "synth": ("realnet_edge.cli.synth", "Preview, learn, make and measure synthetic anomalies."),
    "train": ("realnet_edge.cli.train", "Train on images of good parts."),
    "import-checkpoint": ("realnet_edge.cli.import_checkpoint", "Bring an official RealNet checkpoint."),
    "export-checkpoint": ("realnet_edge.cli.export_checkpoint", "Write one for the official RealNet code."),
    "export": ("realnet_edge.cli.export", "Export a checkpoint to one ONNX graph."),
    "build": ("realnet_edge.cli.build", "Build an engine bundle at a wanted precision."),
    "bench": ("realnet_edge.cli.bench", "Measure every bundle: accuracy, drift and speed."),
    "reproduce": ("realnet_edge.cli.reproduce", "Run the paper's experiments beside its figures."),
    "run": ("realnet_edge.cli.run", "Score the frames of a folder, video or camera."),
    "schema": ("realnet_edge.cli.schema", "Print the description of a result line."),
    "service": ("realnet_edge.cli.service", "Print a systemd unit that runs a line for ever."),
    "users": ("realnet_edge.cli.users", "Add, remove and list who may sign in to the live page."),
    "verify": ("realnet_edge.cli.verify", "Check the hashes of a bundle."),
    "keygen": ("realnet_edge.cli.keygen", "Make a pair of keys to sign bundles with."),
    "sign": ("realnet_edge.cli.sign", "Sign a bundle."),
    "verify-signature": ("realnet_edge.cli.verify_signature", "Check who signed a bundle."),
    "env": ("realnet_edge.cli.env", "Show what this machine can do and what is missing."),
}

# Packages that the base installation leaves out, by the name they are imported under.
EXTRA_OF_PACKAGE = {
    "asyncua": "plc",
    "av": "camera",
    "cryptography": "sign",
    "diffusers": "train",
    "elpv_dataset": "demo",
    "genicam": "genicam",
    "harvesters": "genicam",
    "onnx": "train",
    "onnxscript": "train",
    "openvino": "openvino",
    "paho": "camera",
    "prometheus_client": "web",
    "pymodbus": "plc",
    "safetensors": "train",
    "starlette": "web",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "uvicorn": "web",
}


class LazyGroup(click.Group):
    """A click group whose commands are modules that expose `command`, imported when first needed."""

    def __init__(self, *args: object, lazy: Mapping[str, tuple[str, str]], **kwargs: object) -> None:
        """`lazy` maps a command's name to its module and its one-line help."""
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own parameters, passed through
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work: data first, machine last."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return its `command`; None for an unknown name."""
        if cmd_name not in self._lazy:
            return None
        command = importlib.import_module(self._lazy[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._lazy[cmd_name][0]}.command is not a click command.")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; one of our own errors becomes its message alone, unless `--debug` was given."""
        try:
            return _invoke_installed(super().invoke, ctx)
        except RealnetEdgeError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"Error: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error


def _invoke_installed(invoke: Callable[[click.Context], object], ctx: click.Context) -> object:
    """Call `invoke`; a package that only an extra brings becomes an error that names the extra."""
    try:
        return invoke(ctx)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF_PACKAGE:
            raise
        extra = EXTRA_OF_PACKAGE[package]
        raise DependencyError(
            f"this command needs the Python package {package!r}, which is not installed. "
            f"Install it with: pip install 'realnet-edge[{extra}]'"
        ) from error


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="realnet-edge", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
def cli(debug: bool, quiet: bool) -> None:
    """Find defects with RealNet: train on good parts, build engines, run them at the edge."""
    del debug  # the group reads it from the context when a command fails
    set_quiet(quiet)


def main() -> None:
    """Run the command line and exit: 0 good, 1 failed, 2 usage, 3 a budget or gate not met."""
    try:
        cli(prog_name="realnet-edge")
    except SystemExit as ending:
        leave(ending.code)
        raise
