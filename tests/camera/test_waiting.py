from __future__ import annotations

import threading

import pytest

from realnet_edge.camera.waiting import Waiting


def waiting(capacity: int, newest_first: bool) -> Waiting[int]:
    return Waiting(capacity, newest_first, threading.Event())


def test_what_has_waited_longest_gives_way_and_is_counted() -> None:
    line = waiting(2, newest_first=True)
    assert all(line.put(number) for number in range(5))
    line.finish()
    assert list(line) == [3, 4]
    assert line.lost == 3


def test_nothing_gives_way_where_every_item_counts() -> None:
    line, put = waiting(2, newest_first=False), []

    def fill() -> None:
        for number in range(20):
            line.put(number)
            put.append(number)
        line.finish()

    thread = threading.Thread(target=fill)
    thread.start()
    ahead = [len(put) - number for number in line]
    thread.join()
    assert put == list(range(20))
    # Two wait, one is being put, and one was just taken.
    assert max(ahead) <= 4
    assert line.lost == 0


def test_an_error_comes_behind_the_items_before_it() -> None:
    line, taken = waiting(3, newest_first=True), []
    line.put(1)
    line.put(2)
    line.finish(MemoryError("no room"))
    with pytest.raises(MemoryError, match="no room"):
        taken.extend(line)
    assert taken == [1, 2]


def test_what_nobody_takes_any_more_is_lost_and_counted() -> None:
    line = waiting(3, newest_first=True)
    line.put(1)
    line.put(2)
    line.close()
    assert not line.put(3)
    assert list(line) == []
    assert line.lost == 3


@pytest.mark.parametrize("full", [False, True])
def test_stop_ends_both_sides(full: bool) -> None:
    stop = threading.Event()
    line: Waiting[int] = Waiting(1, False, stop)
    if full:
        line.put(1)
    side = threading.Thread(target=(lambda: line.put(2)) if full else (lambda: list(line)))
    side.start()
    stop.set()
    side.join(20)
    assert not side.is_alive()
