"""The frame of the command line: lazy commands, errors, exit codes, quiet."""

from __future__ import annotations

import importlib
import json

import click
import pytest
from click.testing import CliRunner

from realnet_edge.cli.main import COMMANDS, LazyGroup, cli
from realnet_edge.cli.output import print_json, say, set_quiet
from realnet_edge.errors import ConfigError, DataError, GateError, RealnetEdgeError


def _group_with(monkeypatch: pytest.MonkeyPatch, command: click.Command) -> None:
    """Put `command` in the place of `env`, so that the real group runs it."""
    monkeypatch.setattr(importlib.import_module("realnet_edge.cli.env"), "command", command)


def _raising(error: Exception) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_loads_and_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"], prog_name="realnet-edge")
    assert result.exit_code == 0, result.output
    assert f"realnet-edge {name}" in result.output


def test_overview_lists_every_command() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    listed = result.output.split("Commands:")[1]
    assert [line.split()[0] for line in listed.splitlines() if line.strip()] == list(COMMANDS)


@pytest.mark.parametrize(
    ("error", "code"),
    [(DataError("no images"), 1), (ConfigError("bad size"), 2), (GateError("over budget"), 3)],
)
def test_own_error_is_its_message_and_code(
    monkeypatch: pytest.MonkeyPatch, error: RealnetEdgeError, code: int
) -> None:
    _group_with(monkeypatch, _raising(error))
    result = CliRunner().invoke(cli, ["env"])
    assert result.exit_code == code
    assert result.stderr == f"Error: {error}\n"
    assert result.stdout == ""


def test_debug_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _group_with(monkeypatch, _raising(DataError("no images")))
    assert isinstance(CliRunner().invoke(cli, ["--debug", "env"]).exception, DataError)


def test_foreign_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    _group_with(monkeypatch, _raising(ZeroDivisionError("a bug")))
    assert isinstance(CliRunner().invoke(cli, ["env"]).exception, ZeroDivisionError)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _group_with(monkeypatch, _raising(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")))
    result = CliRunner().invoke(cli, ["env"])
    assert result.exit_code == 1
    assert "'torch'" in result.stderr
    assert "pip install 'realnet-edge[train]'" in result.stderr


def test_missing_own_module_is_a_bug_and_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    _group_with(monkeypatch, _raising(ModuleNotFoundError("gone", name="realnet_edge.gone")))
    assert isinstance(CliRunner().invoke(cli, ["env"]).exception, ModuleNotFoundError)


def test_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli, ["nonsense"])
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


def test_module_without_a_command_is_refused() -> None:
    group = LazyGroup(name="group", lazy={"broken": ("json", "Has no command.")})
    assert isinstance(CliRunner().invoke(group, ["broken"]).exception, AttributeError)


def test_quiet_silences_text_but_not_results(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        say("for people [bold]")
        print_json({"value": 1})

    _group_with(monkeypatch, command)
    try:
        loud = CliRunner().invoke(cli, ["env"])
        quiet = CliRunner().invoke(cli, ["-q", "env"])
    finally:
        set_quiet(False)
    assert loud.stderr == "for people [bold]\n"
    assert quiet.stderr == ""
    assert json.loads(loud.stdout) == json.loads(quiet.stdout) == {"value": 1}


def test_json_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"value": float("nan")})
