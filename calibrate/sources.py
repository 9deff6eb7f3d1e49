"""What a build starts from: the checkpoint, its own images on disk, and its ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from realnet_edge import __version__
from realnet_edge.data import Splits, check_images, load_category
from realnet_edge.errors import CheckpointError, DataError
from realnet_edge.export import ExportReport, onnx_from_checkpoint
from realnet_edge.export.onnx_export import MIN_IMAGES, MODEL_NAME, TOLERANCE
from realnet_edge.export.report import read_report
from realnet_edge.files import sha256_file
from realnet_edge.imaging import load_batch
from realnet_edge.model.checkpoint import Checkpoint, load_checkpoint
from realnet_edge.workspace import CategoryPaths, Workspace, require_checkpoint

# Enough to meet every part of the graph at two batch sizes; PyTorch takes seconds an image on a large model.
PARITY_IMAGES = 4


@dataclass(frozen=True)
class Sources:
    """A trained category as it lies on disk.

    Attributes:
        paths: folders of the category.
        checkpoint: the trained model.
        held_out: files of the good images that only the threshold may use.
        calibration: files of the good images for INT8 ranges.
        calibration_list_sha256: hash of the calibration images' recorded names, one a line.
    """

    paths: CategoryPaths
    checkpoint: Checkpoint
    held_out: tuple[Path, ...]
    calibration: tuple[Path, ...]
    calibration_list_sha256: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return self.checkpoint.config.input_size


def open_sources(workspace: Workspace, category: str, data_root: Path | None = None) -> Sources:
    """Load a category's checkpoint and find the good images it was made with.

    Args:
        workspace: where the checkpoint lies.
        category: its name.
        data_root: folder that holds the category's images now, where they were moved since training.

    Raises:
        CheckpointError: nothing was trained here (the message gives the command), or it is damaged.
        DataError: recorded images are missing or unreadable; the message says how to name their folder.
    """
    paths = workspace.category(category)
    require_checkpoint(workspace, category)
    checkpoint = load_checkpoint(paths.checkpoint)
    splits = Splits.from_dict(checkpoint.splits)
    if not splits.held_out:
        raise CheckpointError(
            f"the checkpoint of {category} was imported without images. Engines are checked on good ones and "
            "get their threshold from them: import it again with --data DIR."
        )
    root = Path(checkpoint.data["root"]) if data_root is None else load_category(data_root, category).root
    names = [*splits.held_out, *splits.calibration]
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(names)} good images that training set aside for {category} are not "
            f"in {root} (the first is {missing[0]}). If they were moved, give their folder with --data DIR."
        )
    held_out, calibration = splits.paths(root, "held_out"), splits.paths(root, "calibration")
    check_images([*held_out, *calibration], 1, "threshold and calibration")
    digest = sha256("\n".join(splits.calibration).encode()).hexdigest()
    return Sources(paths, checkpoint, held_out, calibration, digest)


def ensure_onnx(
    sources: Sources, tolerance: float = TOLERANCE, force: bool = False
) -> tuple[Path, ExportReport, bool]:
    """The category's ONNX graph, exported anew unless the one at hand is of this very checkpoint.

    Args:
        sources: the trained category.
        tolerance: see `onnx_from_checkpoint`.
        force: export even if the file at hand fits.

    Returns:
        The ONNX file, its report, and whether it was exported now.

    Raises:
        ExportError: the export failed or differs from PyTorch.
        DataError: too few images to check it on.
    """
    path = sources.paths.onnx / MODEL_NAME
    report = read_report(path.parent)
    if not force and report is not None and _fits(report, path.parent, sources.checkpoint, tolerance):
        return path, report, False
    files = sources.calibration[:PARITY_IMAGES]
    if len(files) < MIN_IMAGES:
        raise DataError(
            f"the export is checked on at least {MIN_IMAGES} calibration images, this checkpoint has "
            f"{len(files)}: add good images and train again."
        )
    images = load_batch(files, sources.size)
    return path, onnx_from_checkpoint(sources.checkpoint, path, images, tolerance), True


def _fits(report: ExportReport, folder: Path, checkpoint: Checkpoint, tolerance: float) -> bool:
    """Whether files on disk are the report's, and the report is of this checkpoint and as strict as asked."""
    same = (
        report.checkpoint_sha256 == checkpoint.sha256
        and report.category == checkpoint.category
        and report.score_rule == checkpoint.score_rule
        and report.input_size == checkpoint.config.input_size
        and report.versions.get("realnet-edge") == __version__
        and all(found.map_max_abs <= tolerance for found in report.parity)
    )
    return same and all(
        (folder / name).is_file() and sha256_file(folder / name) == digest
        for name, digest in report.files.items()
    )
