"""The benchmark as one HTML file that needs no network, no script and no second file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from itertools import groupby
from pathlib import Path

import realnet_edge
from realnet_edge.errors import DataError
from realnet_edge.files import atomic_path
from realnet_edge.report import figures, text
from realnet_edge.report.advice import Advice, advise
from realnet_edge.report.columns import COLUMNS, verdict
from realnet_edge.report.compare import find_reference
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.gallery import Picture, Section, gallery, webp
from realnet_edge.report.glossary import MEANINGS
from realnet_edge.report.overlay import heat_legend
from realnet_edge.report.page import page
from realnet_edge.report.rows import ResultRow
from realnet_edge.report.svg import inline_svg

_MARKS = {"pass": "\u2713 ", "fail": "\u2717 ", "reference": "", "unmeasured": "? "}


def write_report(
    path: Path,
    rows: Sequence[ResultRow],
    evaluations: Sequence[Evaluation],
    title: str | None = None,
    created: datetime | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report, atomically.

    Args:
        path: HTML file to write.
        rows: Result rows of one category, at least one.
        evaluations: Answers behind the rows; rows without one are shown in the table alone.
        title: Heading; the category's name if not given.
        created: Time of the measurement; now if not given.
        notes: What the reader must know beside the figures, a sentence each.

    Raises:
        DataError: no rows, rows of several categories, evaluations that were not measured on the
            same images, or a test image that cannot be read any more.
    """
    document = render(rows, evaluations, title, created, notes)
    with atomic_path(path) as temporary:
        temporary.write_text(document, encoding="utf-8")


def render(
    rows: Sequence[ResultRow],
    evaluations: Sequence[Evaluation],
    title: str | None = None,
    created: datetime | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The report's HTML; see `write_report`."""
    advice = advise(rows, evaluations)
    strangers = [item.row.label for item in evaluations if item.row not in rows]
    if strangers:
        raise DataError(
            f"evaluations of {', '.join(strangers)} belong to none of the rows; give their rows too."
        )
    heading = title or f"{rows[0].category}: engine benchmark"
    shown = _shown(advice, evaluations)
    sections = [] if shown is None else gallery(shown, find_reference(evaluations))
    parts = [
        _header(heading, rows, created or datetime.now(timezone.utc), bool(evaluations), bool(sections)),
        "<main>",
        _verdict(advice, shown),
        _table(rows, advice.row, notes),
        _figures(evaluations, shown),
        _gallery(sections, shown),
        _meanings(),
        "</main>",
        _footer(rows),
    ]
    return page(heading, "\n".join(part for part in parts if part))


def _shown(advice: Advice, evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """Whose scores and pictures are shown: the chosen engine's, else any engine's, else the reference's."""
    chosen = [item for item in evaluations if item.row == advice.row]
    engines = [item for item in evaluations if item.row.verdict != "reference"]
    return next(iter([*chosen, *engines, *evaluations]), None)


def _header(heading: str, rows: Sequence[ResultRow], created: datetime, drawn: bool, pictures: bool) -> str:
    links = [("table", "Results", True), ("figures", "Figures", drawn), ("pictures", "Images", pictures)]
    links.append(("meaning", "What the figures mean", True))
    items = "".join(f'<li><a href="#{name}">{words}</a></li>' for name, words, there in links if there)
    devices = ", ".join(dict.fromkeys(row.device for row in rows))
    images = max(row.images for row in rows)
    when = created.strftime("%Y-%m-%d %H:%M %Z").strip()
    return (
        f'<header><h1>{escape(heading)}</h1>\n<p class="soft">Category {escape(rows[0].category)}, '
        f"{images} test images, measured {escape(when)} on {escape(devices)}</p>\n"
        f'<nav aria-label="Sections"><ul>{items}</ul></nav></header>'
    )


def _verdict(advice: Advice, shown: Evaluation | None) -> str:
    kind = "" if advice.row is not None else " stop"
    if advice.row is not None and advice.row.verdict == "pass":
        kind = " ship"
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in advice.reasons)
    tiles = "" if advice.row is None else _tiles(advice.row, shown)
    return (
        f'<section class="card verdict{kind}" aria-label="Verdict"><h2>{escape(advice.headline)}</h2>\n'
        f"<ul>{reasons}</ul>{tiles}</section>"
    )


def _tiles(row: ResultRow, shown: Evaluation | None) -> str:
    """The four figures that decide: rate, latency, accuracy, what the threshold does."""
    end_to_end = row.e2e_fps is not None
    fps, p50, p99 = (
        (row.e2e_fps, row.e2e_ms_p50, row.e2e_ms_p99)
        if end_to_end
        else (row.fps, row.latency_ms_p50, row.latency_ms_p99)
    )
    where = "end to end" if end_to_end else "engine alone"
    tiles = [
        ("Throughput", f"{text.rate(fps)} FPS", where),
        ("Latency, median", f"{text.milliseconds(p50)} ms", f"{where}, p99 {text.milliseconds(p99)} ms"),
    ]
    if row.image_auroc is not None:
        drift = row.drift_image_auroc_points
        note = "drift unknown" if drift is None else f"{text.points(drift)} points against FP32 PyTorch"
        tiles.append(("Image AUROC", f"{text.number(row.image_auroc, 2)}%", note))
    called = shown.called_defect if shown is not None and shown.row == row else None
    if shown is not None and called is not None:
        found, alarms = int((called & shown.is_defect).sum()), int((called & ~shown.is_defect).sum())
        total = int(shown.is_defect.sum())
        tiles.append(
            ("Defects found", f"{found} of {total}", f"{alarms} of {len(called) - total} false alarms")
        )
    cells = "".join(
        f"<div><dt>{name}</dt><dd><b>{escape(value)}</b>{escape(note)}</dd></div>"
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _table(rows: Sequence[ResultRow], chosen: ResultRow | None, notes: Sequence[str]) -> str:
    # On a phone only the first columns are in view: the engine to ship is one of them.
    rows = sorted(rows, key=lambda row: row is not chosen)
    marks = [' class="chosen"' if row is chosen else "" for row in rows]
    heads = "".join(
        f'<th scope="col"{mark}>{escape(row.label).replace("-", "<br>", 1)}</th>'
        for row, mark in zip(rows, marks, strict=True)
    )
    verdicts = "".join(
        f'<td{mark}><span class="{row.verdict}">{_MARKS[row.verdict]}{escape(verdict(row))}</span></td>'
        for row, mark in zip(rows, marks, strict=True)
    )
    lines = [f'<tr><th scope="row">verdict</th>{verdicts}</tr>']
    for group, columns in groupby(COLUMNS, key=lambda column: column.group):
        lines.append(f'<tr><th scope="colgroup" colspan="{len(rows) + 1}">{group}</th></tr>')
        for column in columns:
            cells = "".join(
                f"<td{mark}>{escape(column.show(row))}</td>" for row, mark in zip(rows, marks, strict=True)
            )
            lines.append(f'<tr><th scope="row">{column.name}</th>{cells}</tr>')
    remarks = "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)
    return (
        '<section id="table"><h2>Results</h2><p class="soft">One column an engine; a dash is what was not '
        "measured. Accuracy and drift come from the same run as the speed.</p>\n"
        '<div class="card scroll" role="region" aria-label="Results of all engines" tabindex="0"><table>\n'
        f'<thead><tr><th scope="col">engine</th>{heads}</tr></thead>\n<tbody>{"".join(lines)}</tbody>'
        f"</table></div>{remarks}</section>"
    )


def _figures(evaluations: Sequence[Evaluation], shown: Evaluation | None) -> str:
    if shown is None:
        return ""
    reference = find_reference(evaluations)
    engines = [item for item in evaluations if item is not reference]
    both = bool(shown.is_defect.any()) and not bool(shown.is_defect.all())
    name = shown.row.label
    drawn = [
        (
            "Latency",
            "2nd to 98th percentile of the calls; the dot is the median. Left is faster.",
            figures.latency_figure(evaluations),
        )
    ]
    if both:
        words = (
            "Defects found against good images rejected, at every threshold; dots are at the set threshold."
        )
        drawn.append(("ROC", words, figures.roc_figure(evaluations)))
    words = f"Image scores of {name}. The better the two kinds part, the fewer mistakes at any threshold."
    drawn.append(("Scores", words, figures.score_figure(shown)))
    if reference is not None and engines:
        words = "The same image in FP32 PyTorch and in the engine. Shaded: the decision changed."
        drawn.append(("Score drift", words, figures.drift_figure(reference, engines)))
        words = "How far each image's anomaly map departs from FP32 PyTorch's, at its worst pixel."
        drawn.append(("Map drift", words, figures.map_difference_figure(reference, engines)))
    cards = "".join(
        f'<figure class="card"><figcaption><b>{heading}</b><span class="soft">{escape(words)}</span>'
        f"</figcaption>{inline_svg(svg, f'f{index}', f'{heading}. {words}')}</figure>"
        for index, (heading, words, svg) in enumerate(drawn)
    )
    return f'<section id="figures"><h2>Figures</h2><div class="figures">{cards}</div></section>'


def _gallery(sections: Sequence[Section], shown: Evaluation | None) -> str:
    if shown is None or not sections:
        return ""
    outline = " The white line is the marked defect." if shown.masks is not None else ""
    legend = _image(webp(heat_legend(256, 14)), "Colour scale of the anomaly maps, from 0 to 1")
    blocks = "".join(_section(section) for section in sections)
    return (
        f'<section id="pictures"><h2>Images, as {escape(shown.row.label)} sees them</h2>'
        f'<div class="legend">{legend}<span class="soft">Anomaly map, the same scale for every image.'
        f"{outline}</span></div>{blocks}</section>"
    )


def _section(section: Section) -> str:
    cards = "".join(_picture(picture) for picture in section.pictures)
    return (
        f'<h3>{escape(section.title)}</h3><p class="soft">{escape(section.note)}</p>'
        f'<div class="pictures">{cards}</div>'
    )


def _picture(picture: Picture) -> str:
    views = "".join(f"<div>{_image(data, alt)}{escape(words)}</div>" for words, alt, data in picture.views)
    decision, *facts = picture.facts
    kind = "wrong" if picture.wrong else "right"
    return (
        f'<figure class="card"><div class="views">{views}</div><figcaption><b>{escape(picture.name)}</b>'
        f'<span class="{kind}">{escape(decision)}</span>, {escape(", ".join(facts))}</figcaption></figure>'
    )


def _image(data: bytes, alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/webp;base64,{base64.b64encode(data).decode()}">'


def _meanings() -> str:
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in MEANINGS)
    return (
        '<section id="meaning"><h2>What the figures mean</h2>'
        f'<div class="card"><dl class="words">{entries}</dl></div></section>'
    )


def _footer(rows: Sequence[ResultRow]) -> str:
    entries = "".join(
        f"<dt>{escape(row.label)}</dt><dd>{escape(row.device)}; {escape(row.versions)}; "
        f"batch {row.batch}</dd>"
        for row in rows
    )
    return (
        f'<footer><h2>Devices and versions</h2><dl class="words">{entries}</dl>'
        f"<p>Made by realnet-edge {escape(realnet_edge.__version__)}.</p></footer>"
    )
