"""The benchmark in plain words: which engine to ship, how fast it is and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from realnet_edge.errors import DataError
from realnet_edge.report import text
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.rows import ResultRow


@dataclass(frozen=True)
class Advice:
    """What to do with a set of result rows.

    Attributes:
        row: The engine to ship; None when there is none.
        headline: One sentence.
        reasons: Sentences that stand behind it, the most important first.
    """

    row: ResultRow | None
    headline: str
    reasons: tuple[str, ...]


def advise(rows: Sequence[ResultRow], evaluations: Sequence[Evaluation] = ()) -> Advice:
    """Choose the fastest engine that keeps the accuracy budget.

    Args:
        rows: Result rows of one category, FP32 PyTorch's among them if it was measured.
        evaluations: Where the chosen row's answers are among them, misses and false alarms are counted.

    Raises:
        DataError: no rows, or rows of several categories.
    """
    categories = sorted({row.category for row in rows})
    if len(categories) != 1:
        raise DataError(f"advice is given for one category at a time; got {categories or 'no rows'}.")
    passed = [row for row in rows if row.verdict == "pass"]
    failed = [row for row in rows if row.verdict == "fail"]
    unknown = [row for row in rows if row.verdict == "unmeasured"]
    reference = next((row for row in rows if row.verdict == "reference"), None)
    if passed:
        best = _fastest(passed)
        reasons = [
            _speed(best, reference),
            _accuracy(best),
            *_decisions(best, evaluations),
            *_faster_failures(best, failed),
        ]
        return Advice(best, f"Ship {best.label}.", tuple(reasons))
    if failed:
        return Advice(
            None, f"Ship none of these engines yet: none kept {_budget(failed[0])}.", _closest(failed)
        )
    if unknown:
        best = _fastest(unknown)
        headline = f"{best.label} is the fastest, but what it costs in accuracy is unknown."
        why = "FP32 PyTorch was not measured beside it, so there is nothing to compare with."
        return Advice(
            best, headline, (why, _speed(best, None), _accuracy(best), *_decisions(best, evaluations))
        )
    return Advice(None, "Only FP32 PyTorch was measured: there is no engine to ship.", ())


def _fastest(rows: Sequence[ResultRow]) -> ResultRow:
    """By end-to-end rate where every row has one, else by the engine's own."""
    if all(row.e2e_fps is not None for row in rows):
        return max(rows, key=lambda row: row.e2e_fps or 0.0)
    return max(rows, key=lambda row: row.fps)


def _speed(row: ResultRow, reference: ResultRow | None) -> str:
    words = f"{text.rate(row.fps)} images a second by the engine alone"
    if row.e2e_fps is not None:
        words = f"{text.rate(row.e2e_fps)} images a second from encoded frame to decision ({words})"
    if reference is not None:
        words += f", {text.number(row.fps / reference.fps)} times FP32 PyTorch's engine rate"
    return f"It does {words}."


def _accuracy(row: ResultRow) -> str:
    parts = []
    for name, value, drift in (
        ("image AUROC", row.image_auroc, row.drift_image_auroc_points),
        ("pixel AUROC", row.pixel_auroc, row.drift_pixel_auroc_points),
        ("AU-PRO", row.au_pro, row.drift_au_pro_points),
    ):
        if value is not None:
            parts.append(f"{name} {text.number(value, 2)}%{_change(drift)}")
    if not parts:
        return "Its accuracy was not measured."
    words = f"Accuracy: {', '.join(parts)}"
    return f"{words}. It keeps {_budget(row)}." if row.verdict == "pass" else f"{words}."


def _change(points: float | None) -> str:
    if points is None:
        return ""
    if text.number(points, 2) == text.number(0.0, 2):
        return " (as FP32 PyTorch)"
    return f" ({text.number(abs(points), 2)} points {'below' if points < 0 else 'above'} FP32 PyTorch)"


def _budget(row: ResultRow) -> str:
    share = f"{100 * row.budget:g}%" if row.budget is not None else "the budgeted share"
    return f"{share} of FP32 PyTorch's accuracy"


def _decisions(row: ResultRow, evaluations: Sequence[Evaluation]) -> list[str]:
    words = []
    evaluation = next((item for item in evaluations if item.row == row), None)
    called = None if evaluation is None else evaluation.called_defect
    if evaluation is not None and called is not None:
        defects = evaluation.is_defect
        words.append(
            f"At its threshold of {text.small(row.threshold)} it finds {int((called & defects).sum())} of "
            f"{int(defects.sum())} defects and calls {int((called & ~defects).sum())} of "
            f"{int((~defects).sum())} good images a defect."
        )
    elif row.threshold is None:
        words.append("It has no threshold yet, so it scores images but decides nothing.")
    if row.drift_decisions_flipped is not None:
        count = row.drift_decisions_flipped
        images = "image gets" if count == 1 else "images get"
        words.append(f"{count or 'No'} {images} another decision than with FP32 PyTorch.")
    return words


def _faster_failures(best: ResultRow, failed: Sequence[ResultRow]) -> list[str]:
    names = [row.label for row in failed if row is _fastest([best, row])]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{', '.join(names)} {verb} faster, but lost more accuracy than the budget allows."]


def _closest(failed: Sequence[ResultRow]) -> tuple[str, ...]:
    known = [row for row in failed if row.drift_image_auroc_points is not None]
    if not known:
        return ()
    best = max(known, key=lambda row: row.drift_image_auroc_points or 0.0)
    return (
        f"The closest in image AUROC is {best.label}.",
        _accuracy(best),
        "Keep more of the network in higher precision, calibrate on more images, or accept a lower budget.",
    )
