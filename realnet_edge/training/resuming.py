"""What a training must not overwrite, and what an unfinished one must find unchanged to go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from realnet_edge.config import CHECKPOINT_BY, UNSTORED, UNSTORED_MODEL
from realnet_edge.data import CategoryData
from realnet_edge.errors import CheckpointError
from realnet_edge.files import recover_folder
from realnet_edge.training.state import read_settings
from realnet_edge.workspace import CategoryPaths

# May change without changing the result.
_FREE = ("workers",)


def refuse_to_lose(
    paths: CategoryPaths, settings: dict[str, Any], resume: bool, overwrite: bool
) -> dict[str, Any] | None:
    """Nothing finished or half done is replaced unless the user says so.

    Args:
        settings: nested settings of the training that is about to begin.

    Returns:
        The settings of the unfinished training that is resumed, None for one from the start.

    Raises:
        CheckpointError: a training is in the way, none is there to resume, or it has other settings.
    """
    recover_folder(paths.training)
    unfinished = read_settings(paths.training) if not overwrite else None
    if resume:
        if unfinished is None:
            raise CheckpointError(
                f"no unfinished training in {paths.training} to resume. Leave --resume out."
            )
        # What trainings meant that were begun before these settings existed.
        before = {"checkpoint_by": CHECKPOINT_BY[0], **unfinished[1]}
        for group, values in (("model", UNSTORED_MODEL), ("train", UNSTORED)):
            before[group] = {**values, **before.get(group, {})}
        differing = _differences(before, settings)
        if differing:
            raise CheckpointError(
                f"the unfinished training in {paths.training} was started with other settings: "
                f"{'; '.join(differing)}. Give the same options, or start again with --overwrite."
            )
        return unfinished[1]
    if overwrite:
        return None
    if unfinished is not None:
        raise CheckpointError(
            f"an unfinished training lies in {paths.training} (step {unfinished[0].step}). "
            "Go on with --resume, or start again with --overwrite."
        )
    if paths.checkpoint.exists():
        raise CheckpointError(f"{paths.checkpoint} holds a finished checkpoint. Replace it with --overwrite.")
    return None


def refuse_changed_images(before: dict[str, Any], now: dict[str, Any], category: CategoryData) -> None:
    """Other images are other splits: one already trained on could decide the threshold.

    Args:
        before, now: splits of the training that is resumed, and of the run that resumes it.

    Raises:
        CheckpointError: the good images are not those that the training began with.
    """
    if before == now:
        return
    old, new = (
        {name for part in ("train", "held_out", "calibration") for name in splits[part]}
        for splits in (before, now)
    )
    raise CheckpointError(
        f"the good images in {category.root} changed since this training began: {len(new - old)} are new, "
        f"{len(old - new)} are gone. Put them back as they were, or start again with --overwrite."
    )


def discard_leftovers(training: Path, keep_state: bool) -> None:
    """Remove what kills left behind: half-written states, and the state of a training that begins anew."""
    for folder in training.parent.glob(f".{training.name}.*"):
        shutil.rmtree(folder, ignore_errors=True)
    if not keep_state:
        shutil.rmtree(training, ignore_errors=True)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Settings that differ, as "name was A, is B"; those of one group only where it is there in both."""
    found = []
    for key, value in now.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            found += _differences(old, value)
        elif old != value and key not in _FREE:
            found.append(f"{key} was {old}, is {value}")
    return found
