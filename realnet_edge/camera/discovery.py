"""The state of a line as MQTT topics that Home Assistant finds by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from realnet_edge import __version__
from realnet_edge.camera.board import Standing
from realnet_edge.camera.results import DEFECT, GOOD, NOT_INSPECTED

_ODD_CHARACTERS = re.compile(r"[^A-Za-z0-9_-]+")
# Name, key within the state, and what Home Assistant is to make of it.
_ENTITIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Verdict", "verdict", {"device_class": "enum", "options": [GOOD, DEFECT, NOT_INSPECTED]}),
    ("Score", "score", {"state_class": "measurement", "suggested_display_precision": 3}),
    ("Threshold", "threshold", {"entity_category": "diagnostic", "suggested_display_precision": 3}),
    ("Line", "state", {"entity_category": "diagnostic"}),
    ("Frames", "frames", {"state_class": "total_increasing"}),
    ("Good", "good", {"state_class": "total_increasing"}),
    ("Defects", "defects", {"state_class": "total_increasing"}),
    ("Not inspected", "not_inspected", {"state_class": "total_increasing"}),
    ("Dropped", "dropped", {"state_class": "total_increasing"}),
)


def state_topic(base: str, camera: str | None) -> str:
    """Where the newest state of a camera is kept.

    Args:
        base: PREFIX/CATEGORY.
        camera: its name; None where it has none.
    """
    return f"{base}/state" if camera is None else f"{base}/{_ODD_CHARACTERS.sub('_', camera)}/state"


def state_of(standing: Standing) -> dict[str, Any]:
    """The newest result, without its latency, and the counts; null where there is none yet."""
    newest = standing.newest
    result = {} if newest is None else newest.to_dict()
    keys = ("index", "id", "source", "timestamp", "score", "threshold", "verdict", "error", "bundle")
    return {
        **{key: result.get(key) for key in keys},
        "frames": standing.frames,
        "good": standing.good,
        "defects": standing.defects,
        "not_inspected": standing.not_inspected,
        "dropped": standing.dropped,
        "state": standing.idle or "inspecting",
    }


def announcements(prefix: str, base: str, category: str, camera: str | None) -> Iterator[tuple[str, str]]:
    """Topics and documents that announce a camera's sensors, to be retained.

    Source: Home Assistant, MQTT integration, discovery by single component.

    Args:
        prefix: first part of the topics; Home Assistant's own is homeassistant.
        base: PREFIX/CATEGORY of the line.
        category: what is inspected.
        camera: its name; None where it has none.
    """
    node = _ODD_CHARACTERS.sub("_", f"{base}/{camera}" if camera else base)
    device = {
        "identifiers": [node],
        "name": f"{category} {camera}" if camera else category,
        "model": "realnet-edge",
        "sw_version": __version__,
    }
    shared = {
        "state_topic": state_topic(base, camera),
        "availability_topic": f"{base}/status",
        "device": device,
    }
    for name, key, more in _ENTITIES:
        sensor = {"name": name, "value_template": f"{{{{ value_json.{key} }}}}", **more}
        yield _announcement(prefix, "sensor", node, key, {**sensor, **shared})
    template = f"{{{{ 'OFF' if value_json.verdict in ('{GOOD}', None) else 'ON' }}}}"
    problem = {"name": "Reject", "value_template": template, "device_class": "problem"}
    yield _announcement(prefix, "binary_sensor", node, "reject", {**problem, **shared})


def _announcement(
    prefix: str, component: str, node: str, key: str, document: dict[str, Any]
) -> tuple[str, str]:
    topic = f"{prefix}/{component}/{node}/{key}/config"
    return topic, json.dumps({"unique_id": f"{node}_{key}", **document}, ensure_ascii=False)
