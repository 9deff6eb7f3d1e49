"""What `run` writes, and what it does when the disk is full."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plant_peers import small_disk

from realnet_edge.cli.main import cli


@pytest.fixture
def run(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    # What a watched folder remembers lies there, too.
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, ["run", "--bundle", str(bundle), *map(str, arguments)])

    return call


def test_a_table_and_the_frames_around_defects(
    run: Callable[..., Result], parts: Path, tmp_path: Path
) -> None:
    table, saved = tmp_path / "new" / "results.db", tmp_path / "saved"
    options = ["--sqlite", table, "--save", saved, "--around", 1, "--around-format", "png", "--save-limit", 1]
    done = run("--source", parts, *options)
    assert done.exit_code == 0, done.stderr
    assert f"--sqlite: makes the folder {table.parent}" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    with closing(sqlite3.connect(table)) as database:
        rows = database.execute("SELECT frame_id, verdict, score FROM results ORDER BY number").fetchall()
    assert rows == [(line["id"], line["verdict"], line["score"]) for line in lines]
    first, second = sorted(path for path in saved.iterdir() if path.is_dir())
    assert [path.name for path in sorted(first.iterdir())] == [f"{i:06d}_part{i}.png" for i in (1, 2, 3)]
    assert [path.name for path in sorted(second.iterdir())] == [f"{i:06d}_part{i}.png" for i in (5, 6, 7)]
    assert sorted(path.name for path in saved.glob("*.jpg")) == ["000002_part2.jpg", "000006_part6.jpg"]


def test_a_full_disk_stops_files_and_not_a_line(
    run: Callable[..., Result], parts: Path, tmp_path: Path
) -> None:
    try:
        disk = small_disk(tmp_path / "disk", "64k")
        with disk as folder:
            (folder / "ballast").write_bytes(bytes(60 * 1024))
            out, saved = folder / "results.jsonl", folder / "saved"
            options = ["--out", out, "--save", saved, "--save-all"]
            live = run("--source", f"watch:{parts}", "--limit", 11, *options)
            written = [json.loads(line)["index"] for line in out.read_text().splitlines()]
            files = run("--source", parts, *options)
    except OSError as error:
        pytest.skip(f"no small file system can be mounted here: {error}")
    assert live.exit_code == 0, live.stderr
    assert "11 frames (limit reached)" in live.stderr
    assert f"Alarm: {out}: cannot be written (No space left on device); results wait" in live.stderr
    assert f"Alarm: {saved}: pictures cannot be written (No space left on device)" in live.stderr
    assert "pictures could not be written" in live.stderr
    assert written == list(range(len(written)))
    assert f"{11 - len(written)} results were lost" in live.stderr
    assert files.exit_code == 1
    assert "No space left on device" in files.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep-days", "3"], "add --sqlite FILE"),
        (["--around", "3"], "--around is for pictures in a folder: add --save FOLDER"),
        (["--around", "3", "--save", "line.mp4"], "line.mp4 is a video; give a folder"),
        (["--save-limit", "3", "--save", "line.avi"], "line.avi is a video; give a folder"),
        (["--save-all", "--save-limit", "1"], "--save-all and --save-limit is for pictures in a folder"),
        (["--around-format", "png", "--save", "folder"], "add --around FRAMES"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Callable[..., Result], parts: Path, options: list[str], message: str
) -> None:
    done = run("--source", parts, *options)
    assert done.exit_code == 2
    assert message in done.stderr
