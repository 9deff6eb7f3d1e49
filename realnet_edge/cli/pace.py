"""How fast a training goes, told once its first steps are done: what it will come to, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realnet_edge.config import TrainConfig

if TYPE_CHECKING:
    from realnet_edge.training.state import Progress

# The first steps allocate, and compile what is compiled.
_SKIPPED = 2
_MEASURED = 8
# A network that has seen fewer batches than this has hardly begun, whatever its figures say.
FEW_STEPS = 200
# So many make a usable one; the preset `edge` sees up to six times as many.
USUAL_STEPS = 1000


class Pace:
    """Measures a few steps of a training and says how many there will be. Nothing of the training follows it.

    Args:
        config: the limits.
        say: hears one line, or two with advice.
    """

    def __init__(self, config: TrainConfig, say: Callable[[str], None]) -> None:
        self._config = config
        self._say = say
        self._first: tuple[int, float] | None = None
        # A validation in between would count as a step.
        self._done = min(config.validate_every, config.steps) <= _SKIPPED + _MEASURED

    def update(self, progress: Progress) -> None:
        """Take note of a step."""
        if self._done:
            return
        if self._first is None:
            self._first = (progress.step + _SKIPPED, 0.0)
        step, minutes = self._first
        if progress.step == step:
            self._first = (step, progress.minutes)
        elif progress.step == step + _MEASURED:
            self._done = True
            for line in forecast(self._config, progress, (progress.minutes - minutes) / _MEASURED):
                self._say(line)


def forecast(config: TrainConfig, progress: Progress, minutes_a_step: float) -> list[str]:
    """What a training comes to at this speed, and advice where that is little.

    Args:
        config: the limits.
        progress: where it is.
        minutes_a_step: what a step takes.
    """
    steps = config.steps
    if config.minutes > 0:
        left = max(0.0, config.minutes - progress.minutes)
        steps = min(steps, progress.step + int(left / max(minutes_a_step, 1e-9)))
    takes = (steps - progress.step) * minutes_a_step
    lines = [
        f"a step takes {60 * minutes_a_step:.2f} s: about {steps} steps in all, another {_duration(takes)} "
        "without validations"
    ]
    if config.minutes > 0 and steps < min(USUAL_STEPS, config.steps):
        wanted = min(USUAL_STEPS, config.steps) * minutes_a_step
        lines.append(
            f"Advice: usable models take about {USUAL_STEPS} steps. Give --minutes {wanted * 1.1 + 1:.0f} or "
            "more, or train on a faster or idle machine."
        )
    return lines


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} hours"
