"""Settings as JSON values and back, and what to say of one that is not valid."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from realnet_edge.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_T = TypeVar("_T", bound="DataclassInstance")


def to_dict(config: DataclassInstance) -> dict[str, Any]:
    """A configuration as plain JSON values (tuples become lists)."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }


def from_dict(cls: type[_T], document: dict[str, Any]) -> _T:
    """The inverse of `to_dict`; unknown or missing keys are refused by name.

    Args:
        cls: a data class of settings.
        document: what `to_dict` gave.

    Raises:
        ConfigError: a key is unknown or missing, or a value is not valid.
    """
    names = {field.name for field in dataclasses.fields(cls)}
    unknown, missing = sorted(set(document) - names), sorted(names - set(document))
    if unknown or missing:
        raise ConfigError(f"{cls.__name__}: unknown settings {unknown}, missing settings {missing}.")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    return cls(**values)


def require(condition: bool, name: str, value: object, valid: str) -> None:
    """Refuse a value.

    Raises:
        ConfigError: the condition does not hold.
    """
    if not condition:
        raise ConfigError(f"{name} is {value!r}; valid: {valid}.")
