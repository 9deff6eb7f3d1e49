"""`reproduce --sia`: folders by strength, and what a folder says of its own."""

from __future__ import annotations

import json
from pathlib import Path

import click
from click.testing import CliRunner

from realnet_edge.cli.sia_option import sia_option


@click.command()
@sia_option
def show(sia: dict[str, Path]) -> None:
    click.echo(json.dumps({strength: str(folder) for strength, folder in sia.items()}))


def call(*values: str) -> tuple[int, str]:
    result = CliRunner().invoke(show, [part for value in values for part in ("--sia", value)])
    return result.exit_code, " ".join(result.output.split())


def folder(path: Path, strength: list[float] | None = None) -> Path:
    path.mkdir(parents=True)
    if strength is not None:
        document = {"format_version": 1, "strength": strength}
        (path / "manifest.json").write_text(json.dumps(document))
    return path


def test_folders_are_known_by_strength(tmp_path: Path) -> None:
    plain = folder(tmp_path / "s=1", [0.3, 0.3])
    none, both = folder(tmp_path / "none", [0.0, 0.0]), folder(tmp_path / "both")
    folder(both / "screw", [0.1, 0.2])
    code, text = call(str(plain), f"0={none}", f"0.1:0.2={both}")
    assert code == 0
    assert json.loads(text) == {"": str(plain), "0": str(none), "0.1:0.2": str(both)}
    assert call() == (0, "{}")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    folder(tmp_path / "mixed" / "screw", [0.1, 0.2])
    code, text = call(f"0.1={tmp_path / 'mixed'}")
    assert code == 2
    assert "states the strength [0.1, 0.2], and [0.1, 0.1] was said of it" in text
    code, text = call(f"0.4={tmp_path}")
    assert code == 2
    assert "STRENGTH=FOLDER, of 0, 0.1, 0.2, 0.1:0.2" in text
    # As from a variable that is not set.
    for empty in ("", "0.1="):
        code, text = call(empty)
        assert code == 2
        assert "'' is no folder" in text
    code, text = call(f"0.1={tmp_path}", f"0.1={tmp_path}")
    assert "second folder for the same rows" in text
    assert code == 2
