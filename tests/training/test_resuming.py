"""What a resumed training must find as it was, and what beginning anew removes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realnet_edge.data import CategoryData, make_splits
from realnet_edge.errors import CheckpointError
from realnet_edge.files import write_json
from realnet_edge.training.resuming import discard_leftovers, refuse_changed_images, refuse_to_lose
from realnet_edge.workspace import CategoryPaths, Workspace

SETTINGS: dict[str, Any] = {"train": {"steps": 9, "workers": 1, "seed": 0}, "category": "cells"}


@pytest.fixture
def paths(tmp_path: Path) -> CategoryPaths:
    """A category with an unfinished training of SETTINGS."""
    found = Workspace(tmp_path).category("cells")
    found.training.mkdir(parents=True)
    write_json(found.training / "state.json", {"progress": {"step": 4}, "settings": SETTINGS})
    return found


def changed(**train: int) -> dict[str, Any]:
    return {**SETTINGS, "train": {**SETTINGS["train"], **train}}


def test_resuming_gives_the_settings_it_began_with(paths: CategoryPaths) -> None:
    assert refuse_to_lose(paths, SETTINGS, resume=True, overwrite=False) == SETTINGS
    assert refuse_to_lose(paths, changed(workers=3), resume=True, overwrite=False) == SETTINGS
    assert refuse_to_lose(paths, changed(seed=3), resume=False, overwrite=True) is None


def test_a_training_from_before_there_were_tiles_goes_on(paths: CategoryPaths) -> None:
    now = {**SETTINGS, "model": {"tiles": [1, 1], "tile_overlap": 0}}
    assert refuse_to_lose(paths, now, resume=True, overwrite=False) == SETTINGS
    with pytest.raises(CheckpointError, match=r"tiles was \[1, 1\], is \[2, 2\]"):
        refuse_to_lose(paths, {**SETTINGS, "model": {"tiles": [2, 2]}}, resume=True, overwrite=False)


def test_a_training_from_before_newer_settings_goes_on(paths: CategoryPaths) -> None:
    without = {**SETTINGS, "train": {**SETTINGS["train"], "ema": 0.0, "rank_noise": 0.0, "joint": True}}
    assert refuse_to_lose(paths, without, resume=True, overwrite=False) == SETTINGS
    averaged = {**SETTINGS, "train": {**SETTINGS["train"], "ema": 0.9}}
    with pytest.raises(CheckpointError, match=r"ema was 0\.0, is 0\.9"):
        refuse_to_lose(paths, averaged, resume=True, overwrite=False)
    noisy = {**SETTINGS, "train": {**SETTINGS["train"], "rank_noise": 0.1}}
    with pytest.raises(CheckpointError, match=r"rank_noise was 0\.0, is 0\.1"):
        refuse_to_lose(paths, noisy, resume=True, overwrite=False)


def test_how_the_checkpoint_is_chosen_must_not_change(paths: CategoryPaths) -> None:
    """Trainings that do not say so were begun when there was one way alone."""
    usual = {**SETTINGS, "checkpoint_by": "validation"}
    assert refuse_to_lose(paths, usual, resume=True, overwrite=False) == SETTINGS
    with pytest.raises(CheckpointError, match="checkpoint_by was validation, is test-set"):
        refuse_to_lose(paths, {**SETTINGS, "checkpoint_by": "test-set"}, resume=True, overwrite=False)


def test_a_changed_setting_is_named_with_both_values(paths: CategoryPaths) -> None:
    with pytest.raises(CheckpointError, match=r"settings: steps was 9, is 12; seed was 0, is 3\."):
        refuse_to_lose(paths, changed(steps=12, seed=3), resume=True, overwrite=False)


def test_an_unfinished_training_is_neither_replaced_nor_missed(paths: CategoryPaths, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"step 4.*--resume"):
        refuse_to_lose(paths, SETTINGS, resume=False, overwrite=False)
    with pytest.raises(CheckpointError, match="Leave --resume out"):
        refuse_to_lose(Workspace(tmp_path).category("bolts"), SETTINGS, resume=True, overwrite=False)


def test_other_images_than_it_began_with_are_counted(category: CategoryData) -> None:
    splits = make_splits(category, 0).to_dict()
    refuse_changed_images(splits, make_splits(category, 0).to_dict(), category)
    fewer = {**splits, "train": splits["train"][2:], "held_out": [*splits["held_out"], "train/good/new.png"]}
    with pytest.raises(CheckpointError, match="1 are new, 2 are gone"):
        refuse_changed_images(splits, fewer, category)


def test_half_written_states_go_and_the_state_only_for_a_new_beginning(paths: CategoryPaths) -> None:
    half = paths.training.parent / f".{paths.training.name}.abc123"
    half.mkdir()
    (half / "state.safetensors").write_bytes(b"half")
    discard_leftovers(paths.training, keep_state=True)
    assert not half.exists()
    assert (paths.training / "state.json").exists()
    discard_leftovers(paths.training, keep_state=False)
    assert not paths.training.exists()
