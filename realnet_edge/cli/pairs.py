"""Two whole numbers or a word on the command line, such as "2x3" or "auto"."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

Pair = tuple[int, int]
ReadPair = Callable[[click.Context, click.Parameter, str | None], Pair | str | None]


def pair_or(words: tuple[str, ...], what: str) -> ReadPair:
    """A reader of "2x3" as (2, 3), in which some words stay as they are.

    Args:
        words: the words.
        what: what the numbers are with an example, for messages: "rows x columns, such as 2x3".
    """

    def read(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Pair | str | None:
        if value is None or value in words:
            return value
        match = re.fullmatch(r"(\d+)x(\d+)", value)
        if match is None:
            raise click.BadParameter(f"{value!r} is neither {' nor '.join((*words, what))}.")
        return int(match[1]), int(match[2])

    return read
