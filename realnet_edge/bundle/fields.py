"""Strict reading of a JSON object: every key known, none missing, every type as stated."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from realnet_edge.errors import BundleError


class Fields:
    """One JSON object whose keys were checked; each reader names the key it could not accept.

    Args:
        document: what the JSON parser returned.
        where: path of the object inside the manifest, for messages ("manifest", "manifest.input").
        keys: the keys that must be there, and the only ones that may.

    Raises:
        BundleError: not an object, or a key is missing or unknown.
    """

    def __init__(self, document: object, where: str, keys: Collection[str]) -> None:
        if not isinstance(document, dict):
            raise BundleError(f"{where} is {_kind(document)}, expected an object with {', '.join(keys)}.")
        self._document: dict[str, Any] = document
        self._where = where
        missing = [key for key in keys if key not in document]
        unknown = sorted(str(key) for key in document if key not in keys)
        if missing or unknown:
            found = [f"missing {', '.join(missing)}"] if missing else []
            found += [f"unknown {', '.join(unknown)}"] if unknown else []
            raise BundleError(f"{where}: {'; '.join(found)}. The keys are {', '.join(keys)}.")

    def raw(self, key: str) -> Any:
        """The value as parsed, unchecked."""
        return self._document[key]

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._document[key]
        if not isinstance(value, str) or not value:
            raise self._refuse(key, "a non-empty string")
        return value

    def choice(self, key: str, valid: Collection[str]) -> str:
        """One of a fixed set of strings."""
        value = self._document[key]
        if not isinstance(value, str) or value not in valid:
            raise self._refuse(key, " or ".join(repr(name) for name in valid))
        return value

    def integer(self, key: str, minimum: int, maximum: int | None = None) -> int:
        """An integer of at least `minimum`, and of at most `maximum` where there is one."""
        value = self._document[key]
        if not _is_int(value) or value < minimum or (maximum is not None and value > maximum):
            limits = f"at least {minimum}" if maximum is None else f"{minimum} to {maximum}"
            raise self._refuse(key, f"an integer of {limits}")
        return int(value)

    def number(self, key: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        value = self._document[key]
        # No comparison with NaN holds; whole numbers may be too large to become a float.
        if not (isinstance(value, float) or _is_int(value)) or not low <= value <= high:
            raise self._refuse(key, f"a number in [{low:g}, {high:g}]")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of non-empty strings, at least one."""
        value = self._document[key]
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self._refuse(key, "a list of strings")
        return tuple(value)

    def integers(self, key: str, count: int, minimum: int) -> tuple[int, ...]:
        """A list of exactly `count` integers of at least `minimum`."""
        value = self._document[key]
        good = isinstance(value, list) and len(value) == count
        if not good or not all(_is_int(v) and v >= minimum for v in value):
            raise self._refuse(key, f"a list of {count} integers of at least {minimum}")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object with any content."""
        value = self._document[key]
        if not isinstance(value, dict):
            raise self._refuse(key, "an object")
        return dict(value)

    def names(self, key: str) -> dict[str, str]:
        """An object whose values are non-empty strings."""
        value = self.mapping(key)
        if not all(isinstance(name, str) and name for name in value.values()):
            raise self._refuse(key, "an object of non-empty strings")
        return value

    def digest(self, key: str) -> str:
        """A hexadecimal SHA-256."""
        value = self._document[key]
        if not is_digest(value):
            raise self._refuse(key, "a SHA-256 of 64 lower-case hexadecimal digits")
        return str(value)

    def _refuse(self, key: str, expected: str) -> BundleError:
        return BundleError(f"{self._where}.{key} is {_kind(self._document[key])}, expected {expected}.")


def is_digest(value: object) -> bool:
    """Whether `value` is a SHA-256 in lower-case hexadecimal."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _is_int(value: object) -> bool:
    # JSON's true would pass as 1 otherwise.
    return isinstance(value, int) and not isinstance(value, bool)


def _kind(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def field_names(cls: Any) -> tuple[str, ...]:
    """Names of a data class's fields, which are the keys of its JSON object."""
    return tuple(item.name for item in dataclasses.fields(cls))
