"""The false-positive rate unless told otherwise; here so that the command line can show it at once."""

from __future__ import annotations

# Share of good parts that may be called defective.
DEFAULT_FPR = 0.02
