"""Reading and writing which sources make anomalies, and how often: "nsa:0.5,textures=/data/dtd:0.5"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from realnet_edge.config import DEFAULT_SOURCE
from realnet_edge.errors import ConfigError

# Those that need nothing but the category's own images.
OWN_SOURCES = ("patches", "bends", "chips", "cutpaste", "scratches", "nsa")
# What follows a name after "=": a folder, or one of a source's own choices, which can be left out.
FOLDER_SOURCES = ("textures", "sia")
CHOICES = {"cutpaste": "rectangle|scar", "nsa": "PUBLISHED"}
FORMS = (
    *(f"{name}[={CHOICES[name]}]" if name in CHOICES else name for name in OWN_SOURCES),
    *(f"{name}=FOLDER" for name in FOLDER_SOURCES),
)


@dataclass(frozen=True)
class Part:
    """One source of a mixture.

    Attributes:
        name: one of `OWN_SOURCES` or `FOLDER_SOURCES`.
        choice: the folder, or the source's own choice; empty without one.
        weight: positive; how often it is drawn, relative to the others.
    """

    name: str
    choice: str
    weight: float

    @property
    def head(self) -> str:
        """The part without its weight."""
        return f"{self.name}={self.choice}" if self.choice else self.name

    def __str__(self) -> str:
        return f"{self.head}:{self.weight:g}"


def parse_spec(spec: str) -> list[Part]:
    """Read parts joined by commas, `NAME[=FOLDER or choice][:WEIGHT]`; a part without a weight has weight 1.

    Raises:
        ConfigError: an unknown name, a folder too few or too many, a weight that is no positive number, or a
            source given twice.
    """
    parts: list[Part] = []
    for text in spec.split(","):
        part = _part(text.strip(), spec)
        if any(part.head == seen.head for seen in parts):
            raise ConfigError(
                f"source '{part.head}' appears twice in '{spec}'. Give it once with one weight."
            )
        parts.append(part)
    return parts


def format_spec(parts: Sequence[Part]) -> str:
    """The specification that `parse_spec` reads as these parts."""
    return ",".join(str(part) for part in parts)


def _part(text: str, spec: str) -> Part:
    head, colon, tail = text.rpartition(":")
    if not colon:
        head, tail = text, "1"
    name, equals, choice = head.partition("=")
    takes = name in FOLDER_SOURCES or name in CHOICES
    needs = name in FOLDER_SOURCES
    known = name in OWN_SOURCES or name in FOLDER_SOURCES
    if not known or (equals and not (takes and choice)) or (needs and not choice):
        raise ConfigError(
            f"anomaly source '{text}' in '{spec}' is unknown. Valid: {', '.join(FORMS)}, each with a weight, "
            f"such as {DEFAULT_SOURCE}."
        )
    try:
        weight = float(tail)
    except ValueError as error:
        raise ConfigError(f"weight '{tail}' of source '{name}' is not a number. Write {name}:0.5.") from error
    if not (math.isfinite(weight) and weight > 0.0):
        raise ConfigError(f"weight {tail} of source '{name}' is not positive. Leave the source out instead.")
    return Part(name, choice, weight)
