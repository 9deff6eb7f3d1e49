"""Thresholds that operators have set in earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realnet_edge.cli.output import say

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle
    from realnet_edge.camera.thresholds import KeptThreshold, ThresholdFile


@dataclass(frozen=True)
class Kept:
    """What was set, and where it is kept.

    Attributes:
        file: takes changes.
        in_force: by bundle id, of this run's bundles; without the one that the command line overrules.
    """

    file: ThresholdFile
    in_force: dict[str, KeptThreshold]


def kept_thresholds(path: Path | None, bundles: Sequence[Bundle], given: float | None) -> Kept:
    """The thresholds that operators have set for these bundles; what is in force, and what is not, is said.

    Args:
        path: the file; None for the category's own.
        bundles: the first decides, the others stand in for it.
        given: the command line's threshold, for the first.

    Raises:
        ConfigError: the file cannot be read.
    """
    from realnet_edge.camera.thresholds import ThresholdFile

    file = ThresholdFile(path or Path(f"{bundles[0].manifest.category}-threshold.json"))
    found = file.read()
    in_force = {bundle.id: found[bundle.id] for bundle in bundles if bundle.id in found}
    if given is not None and (overruled := in_force.pop(bundles[0].id, None)):
        say(
            f"The operator's threshold {overruled.value:.4f} in {file.path} gives way to --threshold {given}."
        )
    for bundle, kept in in_force.items():
        say(
            f"An operator's threshold is in force: {kept.value:.4f} for {bundle}, set by {kept.who} at "
            f"{kept.at} ({file.path})"
        )
    if found and not in_force and given is None:
        say(f"{file.path} holds thresholds of operators for other builds; the bundle's own is in force.")
    return Kept(file, in_force)
