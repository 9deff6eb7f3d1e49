"""`realnet-edge users`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realnet_edge.cli.main import cli
from realnet_edge.monitor.users import find, read_users


def users(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli, ["users", *arguments], input=typed)


def test_people_are_added_listed_and_removed(tmp_path: Path) -> None:
    file = str(tmp_path / "users")
    assert (
        users("add", "anna", "--file", file, "--role", "operator", typed="a good password\n").exit_code == 0
    )
    assert users("add", "bert", "--file", file, typed="another password\n").exit_code == 0
    listed = users("list", "--file", file, "--json")
    assert json.loads(listed.stdout) == [
        {"name": "anna", "role": "operator"},
        {"name": "bert", "role": "viewer"},
    ]
    assert users("list", "--file", file).stdout == "anna\toperator\nbert\tviewer\n"
    done = users("add", "anna", "--file", file, typed="a new password\n")
    assert "Changed viewer anna" in done.stderr
    found = read_users(tmp_path / "users")
    assert find(found, "anna", "a new password") is not None
    assert find(found, "anna", "a good password") is None
    assert users("remove", "anna", "--file", file).exit_code == 0
    assert list(read_users(tmp_path / "users")) == ["bert"]


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["add", "anna"], "short\n", "has 5 characters"),
        (["add", "an na"], "a good password\n", "names have up to 64 letters"),
        (["remove", "anna"], "", "cannot be read"),
        (["list"], "", "cannot be read"),
        (["add", "anna", "--role", "admin"], "a good password\n", "'admin' is not one of"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], typed: str, message: str) -> None:
    done = users(*arguments, "--file", str(tmp_path / "users"), typed=typed)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "password" not in done.stderr.replace("the password has", "")


def test_who_is_not_there_is_not_removed(tmp_path: Path) -> None:
    file = str(tmp_path / "users")
    users("add", "anna", "--file", file, typed="a good password\n")
    done = users("remove", "bert", "--file", file)
    assert done.exit_code == 2
    assert "no user bert; it has anna" in done.stderr
