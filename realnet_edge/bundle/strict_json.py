"""JSON of somebody else's: one meaning or none."""

from __future__ import annotations

import json
from typing import Any

from realnet_edge.errors import BundleError


def parse_json(content: bytes) -> Any:
    """The document in UTF-8.

    Python's parser takes more than JSON, and of keys that come twice the last one: what one reader sees is
    not what another does. Here such a document is refused.

    Raises:
        BundleError: not UTF-8, not JSON, a key that comes twice, NaN or an infinity, a number of thousands of
            digits, half a character, or nested too deeply.
    """
    try:
        document = json.loads(
            content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
        # Halves of characters can be escaped, but never written down again.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
        return document
    except RecursionError as error:
        raise BundleError(
            "not JSON that anybody can read (nested too deeply). Build the bundle again."
        ) from error
    except ValueError as error:
        raise BundleError(f"not JSON ({error}). Build the bundle again.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise BundleError(f"the key {', '.join(twice)} comes twice in one object. Build the bundle again.")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
