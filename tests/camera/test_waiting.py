from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from realnet_edge.camera.waiting import Lane, Waiting


class Line(Waiting[int]):
    """One queue or several, with what was lost in them."""

    def __init__(self, *capacities: int, newest_first: bool = False) -> None:
        self.stop = threading.Event()
        self.lost: list[int] = []
        lanes = [Lane[int](capacity, newest_first) for capacity in capacities]
        super().__init__(lanes, self.stop.is_set, self.lost.append)

    def __iter__(self) -> Iterator[int]:
        while taken := self.take():
            yield from taken


def test_what_has_waited_longest_gives_way_and_is_named() -> None:
    line = Line(2, newest_first=True)
    assert all(line.put(number) for number in range(5))
    line.finish()
    assert list(line) == [3, 4]
    assert line.lost == [0, 1, 2]


def test_nothing_gives_way_where_every_item_counts() -> None:
    line, put = Line(2), []

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
    assert line.lost == []


def test_an_error_comes_behind_the_items_before_it() -> None:
    line, taken = Line(3, newest_first=True), []
    line.put(1)
    line.put(2)
    line.finish(MemoryError("no room"))
    with pytest.raises(MemoryError, match="no room"):
        taken.extend(line)
    assert taken == [1, 2]


def test_what_nobody_takes_any_more_is_lost_and_named() -> None:
    line = Line(3, newest_first=True)
    line.put(1)
    line.put(2)
    line.close()
    assert not line.put(3)
    assert list(line) == []
    assert line.lost == [1, 2, 3]


@pytest.mark.parametrize("full", [False, True])
def test_stop_ends_both_sides(full: bool) -> None:
    line = Line(1)
    if full:
        line.put(1)
    side = threading.Thread(target=(lambda: line.put(2)) if full else (lambda: list(line)))
    side.start()
    line.stop.set()
    side.join(20)
    assert not side.is_alive()


def test_queues_take_turns_however_full_one_of_them_is() -> None:
    line = Line(9, 9, 9)
    for number in range(6):
        line.put(number, 0)
    line.put(10, 1)
    line.put(20, 2)
    line.put(21, 2)
    for lane in range(3):
        line.finish(None, lane)
    assert list(line) == [0, 10, 20, 1, 21, 2, 3, 4, 5]


def test_an_error_in_one_queue_does_not_wait_for_the_others_to_end() -> None:
    line = Line(9, 9)
    line.put(1, 0)
    line.put(2, 1)
    line.finish(MemoryError("no room"), 1)
    assert line.take(2) == [1, 2]
    line.put(3, 0)
    with pytest.raises(MemoryError, match="no room"):
        line.take(2)


def test_several_are_taken_at_a_time_and_the_first_does_not_wait_for_long() -> None:
    line = Line(4)
    for number in range(3):
        line.put(number)
    assert line.take(2) == [0, 1]
    assert line.take(4, 0.01) == [2]
    later = threading.Timer(0.1, line.put, [3])
    later.start()
    line.put(4)
    # Patience is for what is still to come; a full number needs none.
    assert line.take(2, 60.0) == [4, 3]
    line.put(5)
    line.finish()
    assert line.take(4, 60.0) == [5]
    assert line.take(4, 60.0) == []
