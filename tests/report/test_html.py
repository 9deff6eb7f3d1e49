"""The HTML report: self-contained, well formed, accessible, and proof against hostile names."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from realnet_edge.data import load_category
from realnet_edge.errors import DataError
from realnet_edge.imaging import load_mask
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.html import render, write_report
from realnet_edge.report.rows import ResultRow

Evaluate = Callable[..., Evaluation]
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
VOID = {"meta", "img", "br", "link", "input"}
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;.png"


class Page(HTMLParser):
    """A parsed page: its elements, its text, and whether every element is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def evaluations(evaluate: Evaluate, row: ResultRow, reference_row: ResultRow) -> list[Evaluation]:
    return [evaluate(reference_row), evaluate(row, noise=0.01)]


def report(evaluations: list[Evaluation]) -> str:
    return render([item.row for item in evaluations], evaluations, created=NOW)


def test_says_what_to_ship_and_why(evaluations: list[Evaluation]) -> None:
    text = Page(report(evaluations)).text
    for words in ("Ship openvino-int8.", "41 FPS", "88.84%", "-0.28 points", "of 14", "2026-01-02 03:04 UTC"):
        assert words in text
    for words in ("AU-PRO", "PRO reference", "Decisions flipped", "Verdict and budget"):
        assert words in text
    for interval in ("71.2 to 99.4", "-1.3 to +0.6"):
        assert interval in text
    assert "Example CPU, 2 cores" in text
    assert "openvino 2026.4.0" in text


def test_notes_stand_below_the_table(evaluations: list[Evaluation]) -> None:
    rows = [item.row for item in evaluations]
    note = "PyTorch is not installed here: drift is against the recorded reference."
    source = render(rows, evaluations, created=NOW, notes=[note])
    assert source.index("</table>") < source.index(note) < source.index('id="figures"')


def test_nothing_is_fetched_and_nothing_runs(evaluations: list[Evaluation]) -> None:
    source = report(evaluations)
    page = Page(source)
    assert "http:" not in source
    assert "https:" not in source
    assert "@import" not in source
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/webp;base64,"))
    for target in re.findall(r"url\(([^)]*)\)", source):
        assert target.startswith("#")
    (policy,) = [a["content"] for a in page.all("meta") if "Policy" in a.get("http-equiv", "")]
    assert policy.startswith("default-src 'none'")


def test_every_image_decodes_and_has_words(evaluations: list[Evaluation]) -> None:
    images = Page(report(evaluations)).all("img")
    assert len(images) > 40
    for attributes in images:
        assert len(attributes["alt"]) > 5
        data = base64.b64decode(attributes["src"].partition(",")[2], validate=True)
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert max(image.size) <= 256


def test_figures_have_labels_and_ids_of_their_own(evaluations: list[Evaluation]) -> None:
    source = report(evaluations)
    page = Page(source)
    assert len(page.all("svg")) == 5
    assert all(len(attributes["aria-label"]) > 20 for attributes in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', source))
    assert used <= set(ids)


def test_table_has_headers_for_both_directions(evaluations: list[Evaluation]) -> None:
    page = Page(report(evaluations))
    scopes = [attributes.get("scope") for attributes in page.all("th")]
    assert scopes.count("col") == 3
    assert scopes.count("row") > 20
    assert None not in scopes
    assert page.all("html")[0]["lang"] == "en"
    assert any(attributes.get("name") == "viewport" for attributes in page.all("meta"))


def test_chosen_engine_is_the_first_column(evaluations: list[Evaluation]) -> None:
    source = report(evaluations)
    head = source[source.index("<thead>") : source.index("</thead>")]
    assert head.index("openvino") < head.index("pytorch")


def test_hostile_names_stay_text(evaluations: list[Evaluation]) -> None:
    hostile = [
        replace(
            item,
            names=(HOSTILE,) * len(item.names),
            row=replace(item.row, device=HOSTILE, versions=HOSTILE, category=HOSTILE, arithmetic=HOSTILE),
        )
        for item in evaluations
    ]
    source = render([item.row for item in hostile], hostile, title=HOSTILE, created=NOW, notes=[HOSTILE])
    page = Page(source)
    assert not page.all("script")
    assert all(attributes["src"].startswith("data:image/webp") for attributes in page.all("img"))
    assert not [a for _, a in page.elements if "onerror" in a]
    assert page.text.count(HOSTILE) > 20
    assert any(HOSTILE in attributes["alt"] for attributes in page.all("img"))


def test_category_without_masks(evaluate: Evaluate, row: ResultRow, reference_row: ResultRow) -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "pixel_auroc",
            "au_pro",
            "pro_reference",
            "drift_pixel_auroc_points",
            "drift_au_pro_points",
            "peak_memory_mb",
            "size_mb",
        )
    )
    pair = [
        evaluate(replace(reference_row, **nothing), with_masks=False),
        evaluate(replace(row, **nothing), with_masks=False),
    ]
    text = Page(report(pair)).text
    assert "None" not in text
    assert "nan" not in text
    assert "white line" not in text
    assert "pixel AUROC 9" not in text


def test_dead_engine_with_empty_maps(evaluate: Evaluate, row: ResultRow, reference_row: ResultRow) -> None:
    reference, engine = evaluate(reference_row), evaluate(replace(row, verdict="fail"))
    dead = replace(engine, scores=np.zeros(22), maps=np.zeros_like(engine.maps))
    page = Page(report([reference, dead]))
    assert "Ship none" in page.text
    assert "14 of 14 are missed" in page.text


def test_only_good_images(evaluate: Evaluate, row: ResultRow) -> None:
    engine = evaluate(replace(row, image_auroc=None, verdict="unmeasured", threshold=None))
    good = replace(
        engine,
        paths=engine.paths[:8],
        names=engine.names[:8],
        labels=engine.labels[:8],
        scores=engine.scores[:8],
        maps=engine.maps[:8],
        masks=None,
    )
    page = Page(report([good]))
    assert "Highest-scored good images" in page.text
    assert "ROC" not in page.text.replace("AUROC", "")


def test_rows_without_evaluations(row: ResultRow, reference_row: ResultRow) -> None:
    page = Page(render([reference_row, row], [], created=NOW))
    assert "Ship openvino-int8." in page.text
    assert not page.all("svg")
    assert not page.all("img")
    assert "#figures" not in [attributes.get("href") for attributes in page.all("a")]


def test_evaluation_of_no_row_is_refused(evaluations: list[Evaluation]) -> None:
    with pytest.raises(DataError, match="openvino-int8"):
        render([evaluations[0].row], evaluations)


def test_written_whole_or_not_at_all(tmp_path: Path, evaluations: list[Evaluation]) -> None:
    path = tmp_path / "out" / "report.html"
    rows = [item.row for item in evaluations]
    write_report(path, rows, evaluations, created=NOW)
    written = path.read_text(encoding="utf-8")
    assert written == render(rows, evaluations, created=NOW)
    evaluations[1].paths[8].unlink()
    with pytest.raises(DataError):
        write_report(path, rows, evaluations)
    assert path.read_text(encoding="utf-8") == written
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_real_screws_stay_small(mvtec_root: Path, row: ResultRow, reference_row: ResultRow) -> None:
    samples = load_category(mvtec_root, "screw").test
    assert len(samples) == 160
    size = (256, 256)
    masks = np.stack([np.zeros(size, bool) if s.mask is None else load_mask(s.mask, size) for s in samples])
    rng = np.random.default_rng(3)
    maps = np.clip(masks * rng.uniform(0.2, 1, (160, 1, 1)) + 0.1 * rng.random((160, *size)), 0, 1)

    def evaluate(of: ResultRow, values: np.ndarray) -> Evaluation:
        return Evaluation(
            row=replace(of, images=160),
            paths=tuple(s.path for s in samples),
            names=tuple(f"{s.kind}/{s.path.name}" for s in samples),
            labels=np.array([s.label for s in samples]),
            scores=values.max(axis=(1, 2)),
            maps=values.astype(np.float16),
            masks=masks,
            engine_ms=rng.uniform(19, 22, 200),
            end_to_end_ms=rng.uniform(23, 27, 160),
        )

    pair = [evaluate(reference_row, maps), evaluate(row, np.clip(maps + 0.01, 0, 1))]
    source = report(pair)
    assert len(source) < 5_000_000
    assert "of 119" in Page(source).text
