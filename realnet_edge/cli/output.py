"""Where output goes: one JSON document to standard output, everything meant for people to standard error."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print text for a person, unless `--quiet` was given. Nothing in it is taken for rich markup."""
    console.print(text, markup=False)


def set_quiet(quiet: bool) -> None:
    """Silence `say`, tables and progress bars, for the rest of the process or until set back."""
    console.quiet = quiet


def print_json(document: Any) -> None:
    """Print one JSON document to standard output. NaN and infinity are refused: they are not JSON.

    Raises:
        ValueError: the document holds a NaN or an infinity.
    """
    click.echo(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))
