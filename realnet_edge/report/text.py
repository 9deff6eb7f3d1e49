"""Numbers as people read them: the same digits in the terminal and in the HTML report."""

from __future__ import annotations

NOT_MEASURED = "-"


def number(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """Fixed digits, or a dash for what was not measured; never "-0.00"."""
    if value is None:
        return NOT_MEASURED
    rounded = round(value, digits) + 0.0
    return f"{rounded:+.{digits}f}" if signed and rounded != 0 else f"{rounded:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """Three significant digits or so: 0.412, 4.12, 41.2, 412."""
    if value is None:
        return NOT_MEASURED
    return number(value, 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0)


def rate(value: float | None) -> str:
    """Images a second: 4.2, 42, 412."""
    return number(value, 1 if value is not None and value < 20 else 0)


def small(value: float | None) -> str:
    """Scores, thresholds and map differences in [0, 1], with digits enough for tiny ones."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.3f}" if value == 0 or value >= 0.01 else f"{value:.1e}"


def points(value: float | None) -> str:
    """Percentage points of change, with their sign."""
    return number(value, 2, signed=True)


def interval(low: float | None, high: float | None, digits: int = 1, signed: bool = False) -> str:
    """Both ends: "76.1 to 88.0"."""
    if low is None or high is None:
        return NOT_MEASURED
    return f"{number(low, digits, signed)} to {number(high, digits, signed)}"


def count(value: float | None) -> str:
    """A count, or a mean count with one digit when it is no whole number."""
    return number(value, 0 if value is None or float(value).is_integer() else 1)
