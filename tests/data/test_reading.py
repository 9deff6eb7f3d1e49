from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from realnet_edge.data import load_batches, load_category
from realnet_edge.errors import ConfigError, DataError
from realnet_edge.imaging import load_image, preprocess

SIZE = (8, 8)


def test_batches_hold_every_image_in_order(mvtec: Path) -> None:
    paths = load_category(mvtec, "nut").train[:7]
    batches = list(load_batches(paths, SIZE, 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    np.testing.assert_array_equal(
        np.concatenate(batches), np.stack([preprocess(load_image(path), SIZE) for path in paths])
    )
    assert list(load_batches([], SIZE, 3)) == []


def test_an_error_arrives_at_its_batch_and_no_thread_is_left(mvtec: Path) -> None:
    paths = load_category(mvtec, "nut").train[:6]
    paths[3].write_bytes(b"")
    batches = load_batches(paths, SIZE, 2)
    assert len(next(batches)) == 2
    with pytest.raises(DataError, match=r"3\.png: the file is empty"):
        next(batches)
    assert not _decoders()


def test_stopping_early_leaves_no_thread(mvtec: Path) -> None:
    batches = load_batches(load_category(mvtec, "nut").train, SIZE, 2)
    next(batches)
    assert _decoders()
    del batches
    assert not _decoders()


def test_the_next_batch_is_read_while_this_one_is_used(mvtec: Path) -> None:
    paths = load_category(mvtec, "nut").train[:4]
    content = paths[2].read_bytes()
    paths[2].unlink()
    # Nobody can open a pipe for writing without waiting unless someone is reading from it.
    os.mkfifo(paths[2])
    batches = load_batches(paths, SIZE, 2)
    assert len(next(batches)) == 2
    pipe = _open_when_read(paths[2], seconds=20)
    os.set_blocking(pipe, True)
    with os.fdopen(pipe, "wb") as stream:
        stream.write(content)
    assert len(next(batches)) == 2


def test_one_batch_is_decoded_ahead_and_not_more(mvtec: Path) -> None:
    paths = load_category(mvtec, "nut").train[:6]
    batches = load_batches(paths, SIZE, 2)
    next(batches)
    # The third batch has not been touched yet: what becomes of its files now is what is read.
    paths[4].write_bytes(b"")
    next(batches)
    with pytest.raises(DataError, match=r"4\.png"):
        next(batches)


def test_batch_size_below_one(mvtec: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size 0"):
        load_batches(load_category(mvtec, "nut").train, SIZE, 0)


def _open_when_read(pipe: Path, seconds: float) -> int:
    for _ in range(int(seconds / 0.01)):
        with contextlib.suppress(OSError):
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.01)
    pytest.fail(f"nothing reads {pipe.name} while the batch before it is used")


def _decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
