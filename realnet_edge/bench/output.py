"""The files of a benchmark: rows as JSON and CSV, the report, the answers, and pictures on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from realnet_edge.bench.harness import BenchResult
from realnet_edge.files import atomic_folder, write_json
from realnet_edge.imaging import load_image
from realnet_edge.report.evaluation import Evaluation
from realnet_edge.report.html import write_report
from realnet_edge.report.overlay import overlay
from realnet_edge.report.rows import write_csv

ROWS_JSON, ROWS_CSV, REPORT = "rows.json", "rows.csv", "report.html"


def write_bench(folder: Path, result: BenchResult, save_images: int = 0) -> None:
    """Replace `folder` by the files of this run, all or nothing.

    It holds rows.json (`rows` and `notes`), rows.csv, report.html, predictions/<engine>.npz (maps in
    float16, scores, labels, names) and, if asked for, images/<engine>/.

    Args:
        folder: where to write; what was there before goes.
        result: what `run_bench` gave.
        save_images: overlays an engine: half of them good images with the highest scores, half defects
            with the lowest, so mistakes come first.

    Raises:
        DataError: a test image can no longer be read.
    """
    with atomic_folder(folder) as target:
        write_json(target / ROWS_JSON, document(result))
        write_csv(target / ROWS_CSV, result.rows)
        write_report(target / REPORT, result.rows, result.evaluations, notes=result.notes)
        for evaluation in result.evaluations:
            name = f"{evaluation.row.name}-batch{evaluation.row.batch}"
            _save_predictions(target / "predictions" / f"{name}.npz", evaluation)
            if save_images:
                _save_images(target / "images" / name, evaluation, save_images)


def document(result: BenchResult) -> dict[str, object]:
    """The run as JSON values: the rows by the names of their columns, the notes, and the gate."""
    return {
        "category": result.category,
        "rows": [row.to_dict() for row in result.rows],
        "notes": list(result.notes),
        "budget_met": result.budget_met,
    }


def hardest(evaluation: Evaluation, count: int) -> list[int]:
    """Indices of the images that an engine found hardest, good ones and defects in turns."""
    good = np.flatnonzero(~evaluation.is_defect)
    defects = np.flatnonzero(evaluation.is_defect)
    good = good[np.argsort(-evaluation.scores[good], kind="stable")]
    defects = defects[np.argsort(evaluation.scores[defects], kind="stable")]
    turns = list(zip(good, defects, strict=False))
    rest = [*good[len(turns) :], *defects[len(turns) :]]
    return [int(index) for index in [*(i for pair in turns for i in pair), *rest][:count]]


def _save_predictions(path: Path, evaluation: Evaluation) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        maps=evaluation.maps.astype(np.float16),
        scores=evaluation.scores,
        labels=evaluation.labels,
        names=np.array(evaluation.names),
    )


def _save_images(folder: Path, evaluation: Evaluation, count: int) -> None:
    folder.mkdir(parents=True)
    for place, index in enumerate(hardest(evaluation, count)):
        picture = overlay(
            load_image(evaluation.paths[index]),
            evaluation.maps[index],
            label=evaluation.names[index],
            threshold=evaluation.row.threshold,
            mask=None if evaluation.masks is None else evaluation.masks[index],
            score=float(evaluation.scores[index]),
        )
        name = evaluation.names[index].replace("/", "-").rsplit(".", 1)[0]
        Image.fromarray(picture).save(folder / f"{place:03d}-{name}.png")
