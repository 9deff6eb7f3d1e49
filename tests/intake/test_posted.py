"""Parts whose pictures are posted, through the whole line and back."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from camera_peers import jpeg
from PIL import Image
from trigger_peers import ask
from waiting_peers import PATIENCE_S, wait

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Inspection, SingleEngine, run_line
from realnet_edge.intake import PostedSource
from realnet_edge.runtime import open_runner


class Running:
    """A line that inspects what is posted, in a thread of its own."""

    def __init__(self, engine: SingleEngine, source: PostedSource) -> None:
        self.results: list[Inspection] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.stop = threading.Event()
        self._thread = threading.Thread(
            target=run_line, args=(engine, source, [self._take, source], None, self.stop), daemon=True
        )
        self._thread.start()
        wait(lambda: source._open)

    def end(self) -> None:
        self.stop.set()
        self.go_on.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _take(self, inspection: Inspection) -> None:
        self.go_on.wait(PATIENCE_S)
        self.results.append(inspection)


@pytest.fixture
def source() -> Iterator[PostedSource]:
    with PostedSource("post://127.0.0.1:0") as opened:
        yield opened


@pytest.fixture
def line(source: PostedSource, toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Iterator[Running]:
    bundle = toy_bundle(tmp_path / "b")
    with open_runner(bundle) as runner:
        running = Running(SingleEngine(runner, 0.5, bundle.id), source)
        yield running
        running.end()


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_answer_is_the_parts_result(source: PostedSource, line: Running) -> None:
    code, good = ask(source.url, "/inspect?id=A17", jpeg(10))
    assert (code, good["id"], good["verdict"]) == (200, "A17", "good")
    code, defect = ask(source.url, "/inspect", png(255))
    assert (code, defect["verdict"], defect["source"]) == (200, "defect", source.name)
    assert [good, defect] == [inspection.to_dict() for inspection in line.results]


def test_a_picture_that_cannot_be_decoded_is_a_part_that_is_not_inspected(
    source: PostedSource, line: Running
) -> None:
    code, found = ask(source.url, "/inspect?id=half", jpeg(10)[:300])
    assert line.results[0].to_dict() == found
    assert (code, found["verdict"], found["score"]) == (200, "not_inspected", None)
    assert "half" in found["error"]


@pytest.mark.parametrize(
    ("path", "body", "code", "said"),
    [
        ("/inspect", b"GIF89a", 415, "neither JPEG nor PNG"),
        ("/inspect", b"", 415, "neither JPEG nor PNG"),
        ("/inspect?id=a%2Fb", jpeg(1), 422, "without slashes"),
        ("/trigger", jpeg(1), 404, "Nothing is here"),
    ],
)
def test_what_is_no_picture_is_refused(
    source: PostedSource, line: Running, path: str, body: bytes, code: int, said: str
) -> None:
    answered, document = ask(source.url, path, body)
    assert (answered, said in document["error"]) == (code, True)
    assert ask(source.url, "/inspect", jpeg(1), {"Content-Length": str(2**26)})[0] == 413
    line.end()
    assert line.results == []


def test_every_part_is_answered_once_whether_inspected_refused_or_cut_off_by_the_end(
    source: PostedSource, line: Running
) -> None:
    """An output holds the line up, so that pictures pile up; then the line stops."""
    line.go_on.clear()
    names = [f"part{number}" for number in range(30)]
    with ThreadPoolExecutor(len(names)) as pool:
        asked = [pool.submit(ask, source.url, f"/inspect?id={name}", jpeg(10)) for name in names]
        wait(lambda: any(one.done() for one in asked))
        wait(lambda: len(source._waiting) >= 8)
        assert ask(source.url, "/inspect?id=one-more", jpeg(10))[0] == 503
        threading.Timer(0.2, line.go_on.set).start()
        line.stop.set()
        answers = {name: one.result(PATIENCE_S) for name, one in zip(names, asked, strict=True)}
    line.end()
    taken = {name: document for name, (code, document) in answers.items() if code == 200}
    assert {code for code, _ in answers.values()} == {200, 503}
    assert sorted(inspection.frame.id for inspection in line.results) == sorted(taken)
    for inspection in line.results:
        assert taken[inspection.frame.id] == inspection.to_dict()
    verdicts = {document["verdict"] for document in taken.values()}
    assert verdicts == {"good", "not_inspected"}


def test_two_parts_of_one_id_at_once_are_one_too_many(source: PostedSource, line: Running) -> None:
    line.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, source.url, "/inspect?id=a", jpeg(10))
        wait(lambda: "a" in source._answers._expected)
        assert ask(source.url, "/inspect?id=a", jpeg(10))[0] == 409
        line.go_on.set()
        assert first.result(PATIENCE_S)[0] == 200
    # What has been answered may be sent again: its picture is its own.
    assert ask(source.url, "/inspect?id=a", jpeg(255))[1]["verdict"] == "defect"
