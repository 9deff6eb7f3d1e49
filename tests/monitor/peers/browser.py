"""Headless Chromium, driven over its DevTools pipe: no driver and no further package."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
_PATIENCE_S = 60.0
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowRight": 39}
# Of guarded pages; of no use anywhere else.
TOKEN = "a-token-for-tests-0123"  # noqa: S105
OPERATOR_TOKEN = "an-operators-token-4567"  # noqa: S105


class Browser:
    """One page of a browser."""

    def __init__(self, read: int, write: int) -> None:
        self._answers = os.fdopen(read, "rb")
        self._commands = os.fdopen(write, "wb", buffering=0)
        self._numbers = itertools.count(1)
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command and its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str, width: int, height: int, dark: bool = False, calm: bool = False) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if calm else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression holds; before its page is there it does not."""
        tried = f"(() => {{ try {{ return {expression} }} catch {{ return false }} }})()"
        end = time.monotonic() + _PATIENCE_S
        while not self.evaluate(tried):
            assert time.monotonic() < end, self.evaluate("document.body.innerText")
            time.sleep(0.05)

    def press(self, key: str, text: str = "") -> None:
        """A key as a person presses it; `text` is what it types."""
        code = _KEYS.get(key, 0)
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
        self.send("Input.dispatchKeyEvent", type="keyDown", **pressed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def write(self, text: str) -> None:
        """What a person types into the field that has the focus."""
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(
            base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        )

    def close(self) -> None:
        self._commands.close()
        self._answers.close()

    def _message(self) -> bytes:
        found = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has gone"
            found += byte
        return bytes(found)


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A running browser with a profile of its own."""
    commands, ours = os.pipe()
    answers, theirs = os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4; a shell puts them there.
    program = f'exec "$@" 3<&{commands} 4>&{theirs}'
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    process = subprocess.Popen(
        ["bash", "-c", program, "bash", str(CHROMIUM), *options, f"--user-data-dir={profile}"],
        pass_fds=(commands, theirs),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(commands)
    os.close(theirs)
    page = Browser(answers, ours)
    try:
        yield page
    finally:
        page.close()
        process.terminate()
        process.wait()
