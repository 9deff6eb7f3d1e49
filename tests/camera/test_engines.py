"""Engines that fail: built anew, replaced by the next, tried for ever; no part passes as good meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from realnet_edge.bundle import Bundle
from realnet_edge.camera import Choice, EngineChain, Frame, Inspection, Source, run_line
from realnet_edge.camera.backoff import Backoff
from realnet_edge.errors import BackendError, ConfigError
from realnet_edge.runtime import Prediction, Runner, open_runner

SIZE = (32, 32)
IMAGE = np.full((1, *SIZE, 3), 10, np.uint8)


class Failing(Runner):
    """A real engine that fails on the images whose numbers are given, counted over all that were built."""

    built = 0
    seen = 0

    def __init__(self, inner: Runner, fails: Callable[[int], bool]) -> None:
        super().__init__(
            backend=inner.backend,
            precision=inner.precision,
            arithmetic=inner.arithmetic,
            batch_range=inner.batch_range,
            input_size=inner.input_size,
        )
        self._inner = inner
        self._fails = fails

    def _open(self) -> None:
        Failing.built += 1
        self._inner.__enter__()

    def _close(self) -> None:
        self._inner.__exit__(None, None, None)

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        # The image with which an engine is tried after it was built is black, and counts for nothing.
        if images.any():
            Failing.seen += 1
            if self._fails(Failing.seen):
                raise BackendError("execution failed")
        return self._inner.infer(images, diagnostics)


class Camera(Source):
    """So many frames, one after the other: a line that waits for the engine."""

    name, endless = "camera", True

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def frames(self) -> Iterator[Frame]:
        for number in range(self._count):
            yield Frame(str(number), self.name, "", None, IMAGE[0], None, 0.0)

    def close(self) -> None:
        pass


@pytest.fixture
def bundle(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Bundle:
    Failing.built = Failing.seen = 0
    return toy_bundle(tmp_path / "b")


def failing(bundle: Bundle, fails: Callable[[int], bool]) -> Choice:
    return Choice(lambda: Failing(open_runner(bundle, threads=1), fails), 0.5, "first")


def run(choices: list[Choice], count: int) -> tuple[list[Inspection], list[str]]:
    seen: list[Inspection] = []
    said: list[str] = []
    with EngineChain(choices, said.append, Backoff(0.01, 0.02)) as engines:
        run_line(engines, Camera(count), [seen.append])
    return seen, said


def test_an_engine_that_fails_once_is_built_anew(bundle: Bundle) -> None:
    seen, said = run([failing(bundle, lambda number: number == 3)], 6)
    verdicts = [inspection.verdict for inspection in seen]
    assert verdicts == ["good", "good", "not_inspected", "good", "good", "good"]
    assert seen[2].error == "execution failed"
    assert said == ["engine first: execution failed"]
    assert Failing.built == 2


def test_the_next_engine_takes_over_with_its_own_threshold(bundle: Bundle) -> None:
    second = Choice(lambda: open_runner(bundle, threads=1), 0.25, "second")
    seen, said = run([failing(bundle, lambda number: number > 2), second], 8)
    verdicts = [inspection.verdict for inspection in seen]
    assert verdicts == ["good"] * 2 + ["not_inspected"] * 3 + ["good"] * 3
    assert [inspection.bundle for inspection in seen[4:6]] == ["second", "second"]
    assert seen[-1].threshold == 0.25
    assert said[-1] == "engine second takes over, with its own threshold 0.2500"


def test_the_last_engine_is_tried_for_ever_and_nothing_passes_as_good(bundle: Bundle) -> None:
    seen, said = run([failing(bundle, lambda _: True)], 400)
    assert {inspection.verdict for inspection in seen} == {"not_inspected"}
    # Between its tries images wait for nothing.
    assert 3 < len(said) < 400
    assert any("is tried again in" in str(one.error) for one in seen)


def test_one_failure_among_many_images_does_not_add_up(bundle: Bundle) -> None:
    second = Choice(lambda: open_runner(bundle, threads=1), 0.25, "second")
    seen, _ = run([failing(bundle, lambda number: number % 4 == 0), second], 40)
    assert {inspection.bundle for inspection in seen} == {"first"}


def test_a_first_engine_that_does_not_open_is_an_error_at_once(bundle: Bundle) -> None:
    broken = replace(bundle, path=bundle.path / "nothing")
    with pytest.raises(BackendError), EngineChain([Choice(lambda: open_runner(broken), 0.5, "x")]):
        pass


def test_engines_for_other_sizes_are_refused(bundle: Bundle, toy_bundle: Callable[..., Bundle]) -> None:
    other = toy_bundle(bundle.path.parent / "other", size=64)
    choices = [Choice(lambda one=one: open_runner(one), 0.5, one.id) for one in (bundle, other)]
    with pytest.raises(ConfigError, match="must take images of one size, not 32x32, 64x64"):
        EngineChain(choices)
    with pytest.raises(ConfigError, match="at least one"):
        EngineChain([])


def test_a_threshold_is_changed_for_one_engine_and_from_the_next_frame_on(bundle: Bundle) -> None:
    changed = threading.Event()

    class Held(Camera):
        """Its third frame comes when the threshold has been changed."""

        def frames(self) -> Iterator[Frame]:
            for number, frame in enumerate(super().frames()):
                if number == 2:
                    changed.wait(60)
                yield frame

    with open_runner(bundle, threads=1) as runner:
        score = float(runner.infer(IMAGE).score[0])
    second = Choice(lambda: open_runner(bundle, threads=1), 0.25, "second")
    seen: list[Inspection] = []
    with EngineChain([failing(bundle, lambda number: number > 4), second], lambda _: None) as engines:

        def look(inspection: Inspection) -> None:
            seen.append(inspection)
            if inspection.index == 1:
                assert engines.set_threshold(score / 2, "first") == 0.5
                changed.set()

        run_line(engines, Held(12), [look])
    assert [(one.verdict, one.threshold) for one in seen[:4]] == [("good", 0.5)] * 2 + [
        ("defect", score / 2)
    ] * 2
    # The one that takes over keeps its own.
    assert [(one.bundle, one.verdict, one.threshold) for one in seen[7:]] == [("second", "good", 0.25)] * 5


def test_a_change_from_another_thread_meets_whole_results_only(bundle: Bundle) -> None:
    with EngineChain([Choice(lambda: open_runner(bundle, threads=1), 0.5, "first")]) as engines:
        stop = threading.Event()

        def change() -> None:
            while not stop.is_set():
                engines.set_threshold(0.0)
                engines.set_threshold(1.0)

        changing = threading.Thread(target=change)
        changing.start()
        seen: list[Inspection] = []
        run_line(engines, Camera(300), [seen.append])
        stop.set()
        changing.join()
    assert len(seen) == 300
    for one in seen:
        assert one.score is not None
        assert one.verdict == ("defect" if one.score > one.threshold else "good")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, 1.01])
def test_a_threshold_that_no_score_can_have_is_refused(bundle: Bundle, value: float) -> None:
    engines = EngineChain([Choice(lambda: open_runner(bundle, threads=1), 0.5, "first", 0.4)])
    with pytest.raises(ConfigError, match="is no image score"):
        engines.set_threshold(value)
    with pytest.raises(ConfigError, match="no engine of other in this line: valid is first"):
        engines.set_threshold(0.3, "other")
    now = engines.standing()
    assert (now.bundle, now.threshold, now.own_threshold, now.works) == ("first", 0.5, 0.4, False)
