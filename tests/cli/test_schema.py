"""The description of a result line, held against lines that real runs wrote."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from PIL import Image

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["schema"])
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def written(
    toy_bundle: Callable[..., Bundle],
    write_video: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines of images, one of them cut short, and of a video in one run; and the same as they are sent."""
    folder = tmp_path_factory.mktemp("lines")
    bundle = toy_bundle(folder / "bundle").path
    (folder / "parts").mkdir()
    for name, level in (("white", 255), ("black", 10)):
        Image.fromarray(np.full((40, 50, 3), level, np.uint8)).save(folder / "parts" / f"{name}.png")
    (folder / "parts" / "cut.png").write_bytes((folder / "parts" / "white.png").read_bytes()[:40])
    write_video(folder / "belt.avi", 3)
    done = CliRunner().invoke(
        cli,
        [
            *("run", "--bundle", str(bundle), "--threads", "1", "--outbox", str(folder / "outbox.db")),
            *("--source", f"left={folder / 'parts'}", "--source", f"right={folder / 'belt.avi'}"),
            # Nobody listens there: what is sent waits in the outbox.
            *("--webhook", "http://127.0.0.1:9/"),
        ],
    )
    assert done.exit_code == 0, done.stderr
    with sqlite3.connect(folder / "outbox.db") as database:
        sent = [json.loads(body) for (body,) in database.execute("SELECT body FROM message")]
    return [json.loads(line) for line in done.stdout.splitlines()], sent


def test_lines_of_every_verdict_are_as_described(
    written: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    validator: Draft202012Validator,
    schema: dict[str, Any],
) -> None:
    lines, sent = written
    assert {line["verdict"] for line in lines} == {"good", "defect", "not_inspected"}
    assert {line["camera"] for line in lines} == {"left", "right"}
    assert len(lines) == len(sent) == 6
    for line in [*lines, *sent]:
        validator.validate(line)
    # Nothing is written that is not described, and the other way round.
    described = set(schema["properties"])
    assert all(set(line) == described - {"uid"} == set(schema["required"]) for line in lines)
    assert all(set(line) == described for line in sent)
    described = set(schema["properties"]["latency_ms"]["properties"])
    assert all(set(line["latency_ms"]) == described for line in lines if line["latency_ms"])


def test_every_key_is_explained(schema: dict[str, Any]) -> None:
    of_latency = schema["properties"]["latency_ms"]["properties"]
    for name, about in {**schema["properties"], **of_latency}.items():
        assert about["description"].endswith("."), name


@pytest.mark.parametrize(
    ("verdict", "change"),
    [
        ("good", {"score": None}),
        ("good", {"score": 1.5}),
        ("good", {"error": "something"}),
        ("good", {"latency_ms": None}),
        ("good", {"latency_ms": {"decode": 1.0}}),
        ("good", {"verdict": "OK"}),
        ("good", {"timestamp": "yesterday"}),
        ("good", {"index": -1}),
        ("good", {"bundle": "toy"}),
        ("not_inspected", {"score": 0.1}),
        ("not_inspected", {"error": None}),
        ("not_inspected", {"verdict": "good"}),
    ],
)
def test_what_would_mislead_is_not_as_described(
    written: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    validator: Draft202012Validator,
    verdict: str,
    change: dict[str, Any],
) -> None:
    line = copy.deepcopy(next(line for line in written[0] if line["verdict"] == verdict))
    assert validator.is_valid(line)
    assert not validator.is_valid({**line, **change})
