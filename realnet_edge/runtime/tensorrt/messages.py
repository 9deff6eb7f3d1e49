"""TensorRT's log, kept: its functions answer None or False, and the reason is only ever logged."""

from __future__ import annotations

from collections import deque
from typing import Any

_KEPT = 40
_SHOWN = 4
_LONGEST = 500
# Says of every error on a machine without a driver that there is no driver.
_NOISE = ("catchCudaError", "Thread context has not been set")


class Messages:
    """The last warnings and errors of one TensorRT object's life.

    Attributes:
        logger: to be handed to TensorRT; must outlive what was made with it.
    """

    def __init__(self, trt: Any) -> None:
        self._kept: deque[tuple[bool, str]] = deque(maxlen=_KEPT)
        self.logger = _logger(trt, self._add)

    def clear(self) -> None:
        """Forget what was said so far."""
        self._kept.clear()

    def last(self, errors_only: bool = True) -> str:
        """The last few messages, oldest first; warnings only where there is no error."""
        errors = [text for is_error, text in self._kept if is_error]
        chosen = errors if errors or errors_only else [text for _, text in self._kept]
        return " / ".join(dict.fromkeys(chosen[-_SHOWN:]))

    def warnings(self) -> list[str]:
        """All that is kept and is no error."""
        return [text for is_error, text in self._kept if not is_error]

    def _add(self, is_error: bool, text: str) -> None:
        if not any(noise in text for noise in _NOISE):
            self._kept.append((is_error, " ".join(text.split())[:_LONGEST]))


def _logger(trt: Any, add: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]  # the base comes with the module that is passed in
        """Called from TensorRT's own threads; appending to a deque needs no lock."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.WARNING:
                add(bool(severity <= trt.ILogger.ERROR), text)

    return Logger()
