"""An official checkpoint to a category of a workspace: weights, and images for threshold and calibration."""

from __future__ import annotations

from pathlib import Path

from realnet_edge.data import Splits, load_category, make_splits
from realnet_edge.files import sha256_file
from realnet_edge.model.checkpoint import Checkpoint, save_checkpoint
from realnet_edge.model.official_checkpoint import OfficialCheckpoint, read_official
from realnet_edge.training.resuming import discard_leftovers, refuse_to_lose
from realnet_edge.workspace import Workspace


def import_official(
    file: Path,
    workspace: Workspace,
    category: str,
    *,
    data_root: Path | None = None,
    image_size: int = 256,
    rrs: tuple[int | None, int | None] = (None, None),
    seed: int = 0,
    overwrite: bool = False,
) -> tuple[OfficialCheckpoint, Path]:
    """Read an official checkpoint and save it as the category's.

    Args:
        file: see `read_official`.
        workspace: where it goes.
        category: what it inspects.
        data_root: folder that holds the category's images. They are split as for training, though this
            network was trained on all of them; without, the checkpoint cannot be exported or built.
        image_size: side of its images in pixels.
        rrs: planes that RRS keeps by maximum and by mean, where the file is silent.
        seed: of the split.
        overwrite: replace a checkpoint or an unfinished training that is there.

    Returns:
        What was found, and the checkpoint's folder.

    Raises:
        CheckpointError: the category has a checkpoint or an unfinished training already, or as
            `read_official`.
        DataError: as `load_category` and `make_splits`.
    """
    paths = workspace.category(category)
    refuse_to_lose(paths, {}, resume=False, overwrite=overwrite)
    found = read_official(file, image_size, *rrs)
    splits, data = Splits((), (), (), seed), {"root": "", "layout": ""}
    if data_root is not None:
        images = load_category(data_root, category)
        splits = make_splits(images, seed)
        data = {"root": str(images.root.resolve()), "layout": images.layout}
    origin = {
        "file": file.name,
        "sha256": sha256_file(file),
        "epoch": found.epoch,
        "best_metric": found.best_metric,
        "assumed": list(found.assumed),
        # The official training knows no held-out images.
        "trained_on_all_good_images": True,
    }
    checkpoint = Checkpoint(
        found.model, found.config, category, splits.to_dict(), data, {}, {"imported": origin}
    )
    save_checkpoint(paths.checkpoint, checkpoint)
    # An unfinished training that was given up would take the imported checkpoint's place when resumed.
    discard_leftovers(paths.training, keep_state=False)
    return found, paths.checkpoint
