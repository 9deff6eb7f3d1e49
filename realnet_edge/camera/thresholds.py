"""The thresholds that operators have set: kept over restarts, each change on record."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge.camera.engines import check_threshold
from realnet_edge.camera.frames import utc_now
from realnet_edge.errors import ConfigError, RealnetEdgeError
from realnet_edge.files import atomic_path

_VERSION = 1


@dataclass(frozen=True)
class KeptThreshold:
    """A threshold that an operator has set for one bundle.

    Attributes:
        value: image score above which a part is a defect, in [0, 1].
        who: who set it.
        at: UTC time, ISO 8601.
    """

    value: float
    who: str
    at: str


@dataclass(frozen=True)
class Change:
    """One change as the record holds it.

    Attributes:
        at: UTC time, ISO 8601.
        who: who made it, and `address` from where.
        bundle: id of the bundle whose scores it is for; a bundle that is built anew has another one.
        old, new: thresholds before and after.
        own: whether the new one is the bundle's own again.
    """

    at: str
    who: str
    address: str
    bundle: str
    old: float
    new: float
    own: bool

    @classmethod
    def now(cls, who: str, address: str, bundle: str, old: float, new: float, own: bool) -> Change:
        return cls(utc_now(), who, address, bundle, old, new, own)


class ThresholdFile:
    """A small JSON file with what is in force by bundle, and beside it one line for every change ever made.

    Args:
        path: the file; neither it nor its record need be there. The record's name ends in `.audit.jsonl`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path.with_name(f"{path.stem}.audit.jsonl")

    def read(self) -> dict[str, KeptThreshold]:
        """What operators have set, by bundle id; empty without a file.

        Raises:
            ConfigError: the file cannot be read, or holds something else.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            return {bundle: _kept(entry) for bundle, entry in _entries(document).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
            raise ConfigError(
                f"{self.path}: cannot be read as thresholds of operators ({error}). Give another "
                "--threshold-file, or delete this one to go on with the bundles' own thresholds."
            ) from error

    def keep(self, change: Change) -> None:
        """Put a change on record and have it in force after a restart: both or neither.

        Raises:
            ConfigError: what is there already cannot be read.
            RealnetEdgeError: that could not be written.
        """
        kept = self.read()
        if change.own:
            kept.pop(change.bundle, None)
        else:
            kept[change.bundle] = KeptThreshold(change.new, change.who, change.at)
        document = {"schema_version": _VERSION, "thresholds": {name: vars(one) for name, one in kept.items()}}
        try:
            with atomic_path(self.path) as temporary:
                temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
                # Last, as the name is only given when this has succeeded.
                self._append(json.dumps(vars(change), ensure_ascii=False) + "\n")
        except OSError as error:
            raise RealnetEdgeError(
                f"{self.path}: the threshold cannot be kept ({error.strerror}), so it was not changed."
            ) from error

    def _append(self, line: str) -> None:
        """Write a line whole or not at all, and have it on the disk."""
        with self.record.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line.encode()) != len(line.encode()):
                    raise OSError(28, "the disk is full")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise


def _entries(document: Any) -> dict[str, Any]:
    if document["schema_version"] != _VERSION:
        raise ValueError(f"schema version {document['schema_version']}, not {_VERSION}")
    entries: dict[str, Any] = dict(document["thresholds"])
    return entries


def _kept(entry: Any) -> KeptThreshold:
    value = entry["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    check_threshold(float(value))
    return KeptThreshold(float(value), str(entry["who"]), str(entry["at"]))
