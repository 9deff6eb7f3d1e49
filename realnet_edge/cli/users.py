"""`realnet-edge users`: the people who may sign in to the live page."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from realnet_edge.cli.output import print_json, say
from realnet_edge.errors import ConfigError

_file = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File that --web-users takes.",
)


@click.group("users")
def command() -> None:
    """Add, remove and list the people who may sign in to the live page of `run`.

    The file holds a name, a role and a salted scrypt hash of the password on each line. A line that runs
    takes changes up when it is started again.
    """


@command.command("add")
@click.argument("name")
@_file
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator"]),
    default="viewer",
    show_default=True,
    help="Operators change the threshold, viewers look.",
)
def add_user(name: str, file: Path, role: str) -> None:
    """Add NAME, or give it another password or role. The password is asked for, or read from a pipe."""
    from realnet_edge.monitor.users import SHORTEST_PASSWORD, User, read_users, write_users

    users = read_users(file) if file.exists() else {}
    if sys.stdin.isatty():
        text = f"Password, {SHORTEST_PASSWORD} characters at least"
        password = click.prompt(text, hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    known = name in users
    users[name] = User.new(name, role, password)
    write_users(file, users)
    say(f"{'Changed' if known else 'Added'} {role} {name} in {file}")


@command.command("remove")
@click.argument("name")
@_file
def remove_user(name: str, file: Path) -> None:
    """Remove NAME."""
    from realnet_edge.monitor.users import read_users, write_users

    users = read_users(file)
    if name not in users:
        raise ConfigError(f"{file}: no user {name}; it has {', '.join(users) or 'none'}.")
    del users[name]
    write_users(file, users)
    say(f"Removed {name} from {file}")


@command.command("list")
@_file
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
def list_users(file: Path, as_json: bool) -> None:
    """List names and roles."""
    from realnet_edge.monitor.users import read_users

    users = read_users(file)
    if as_json:
        print_json([{"name": user.name, "role": user.role} for user in users.values()])
        return
    for user in users.values():
        click.echo(f"{user.name}\t{user.role}")
