"""How fast a training goes, as it is told after its first steps."""

from __future__ import annotations

from realnet_edge.cli.pace import Pace, forecast
from realnet_edge.config import TrainConfig
from realnet_edge.training.state import Progress


def told(config: TrainConfig, times: list[float], first: int = 0) -> list[str]:
    """What is said of steps that end at these minutes; `first` are done already."""
    said: list[str] = []
    pace = Pace(config, said.append)
    for number, minutes in enumerate(times, start=first + 1):
        pace.update(Progress(step=number, minutes=minutes))
    return said


def test_the_first_steps_do_not_count() -> None:
    # Five minutes of compiling, then a tenth of a minute each.
    times = [5.0 + 0.1 * number for number in range(40)]
    (line,) = told(TrainConfig(steps=2000), times)
    assert "a step takes 6.00 s: about 2000 steps in all, another 3.3 hours" in line


def test_a_limit_on_minutes_decides_how_many_steps_there_will_be() -> None:
    # Step 11 ends at minute 1.1; 0.1 minutes a step leave 59 of them.
    times = [0.1 * (number + 1) for number in range(11)]
    line, advice = told(TrainConfig(steps=6000, minutes=7), times)
    assert "about 70 steps in all" in line
    assert "--minutes 111 or more" in advice
    assert len(told(TrainConfig(steps=50, minutes=7), times)) == 1


def test_a_resumed_training_is_measured_from_where_it_goes_on() -> None:
    times = [100 + 0.1 * number for number in range(20)]
    (line,) = told(TrainConfig(steps=2000), times, first=500)
    assert "6.00 s: about 2000 steps in all, another 2.5 hours" in line


def test_a_validation_in_between_leaves_nothing_to_say() -> None:
    assert told(TrainConfig(validate_every=10), [0.1 * number for number in range(40)]) == []
    assert told(TrainConfig(steps=9), [0.1 * number for number in range(9)]) == []


def test_no_time_at_all_is_no_mistake() -> None:
    assert "0.00 s" in forecast(TrainConfig(minutes=1), Progress(step=10, minutes=0.0), 0.0)[0]
