"""How long a line takes to end after Ctrl-C, whatever state its cameras and receivers are in.

    python benchmarks/shutdown.py --bundle FOLDER [--rounds 3] [--after 4]

`realnet-edge run` is started as a user starts it, for each state in turn, and gets SIGINT after some seconds.
What counts is the time from there until the process is gone. A row a state is appended to
benchmarks/results/shutdown.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rows import RESULTS, append_rows, machine

# The cameras that the tests stand on.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "camera" / "peers"))
from camera_peers import MjpegServer, has_rtsp_server, jpeg, rtsp_server
from waiting_peers import free_port

# What is killed after so long has not ended.
_PATIENCE_S = 60.0

Options = list[str]
State = Callable[[ExitStack], Options]


@contextmanager
def mute() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def camera(stack: ExitStack) -> str:
    """Address of a camera of 25 frames a second."""

    def parts() -> Iterator[bytes]:
        for number in itertools.count():
            yield jpeg(number % 200)
            time.sleep(0.04)

    server = MjpegServer(parts)
    stack.callback(server.close)
    return server.url


def mute_address(stack: ExitStack, scheme: str) -> str:
    """An address where nobody ever says a word."""
    return f"{scheme}://127.0.0.1:{stack.enter_context(mute())}"


def live(stack: ExitStack) -> Options:
    """Pictures come."""
    return ["--source", camera(stack)]


def live_rtsp(stack: ExitStack) -> Options:
    """Pictures come over RTSP."""
    port = free_port()
    stack.enter_context(rtsp_server(port))
    return ["--source", f"rtsp://127.0.0.1:{port}/part"]


def refused(_: ExitStack) -> Options:
    """Nobody is at the address."""
    return ["--source", f"rtsp://127.0.0.1:{free_port()}/part"]


def never_answers(stack: ExitStack) -> Options:
    """The camera takes the connection, and that is all."""
    return ["--source", mute_address(stack, "rtsp")]


def three_never_answer(stack: ExitStack) -> Options:
    """So do three."""
    return [
        option for name in ("a", "b", "c") for option in ("--source", f"{name}={mute_address(stack, 'rtsp')}")
    ]


def one_of_two_answers(stack: ExitStack) -> Options:
    """Pictures come of one camera only."""
    return ["--source", f"there={camera(stack)}", "--source", f"mute={mute_address(stack, 'rtsp')}"]


def receivers_never_answer(stack: ExitStack) -> Options:
    """Pictures come, and results go nowhere."""
    webhook, broker = mute_address(stack, "http"), mute_address(stack, "mqtt")
    return [*live(stack), "--webhook", webhook, "--mqtt", broker]


def nothing_answers(stack: ExitStack) -> Options:
    """Neither camera nor receivers answer."""
    webhook, broker = mute_address(stack, "http"), mute_address(stack, "mqtt")
    return [*never_answers(stack), "--webhook", webhook, "--mqtt", broker]


def page_is_read(stack: ExitStack) -> Options:
    """Someone follows the live page to the end."""
    port, ended = free_port(), threading.Event()

    def read() -> None:
        while not ended.wait(0.2):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/events")
                connection.getresponse().read()
            connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    stack.callback(reader.join)
    stack.callback(ended.set)
    return [*live(stack), "--web", f"127.0.0.1:{port}"]


def watched_folder(stack: ExitStack) -> Options:
    """A machine has not dropped anything yet."""
    return ["--source", f"watch:{stack.enter_context(tempfile.TemporaryDirectory())}"]


STATES: dict[str, State] = {
    "live": live,
    "live, RTSP": live_rtsp,
    "never connected, refused": refused,
    "never connected, no answer": never_answers,
    "three cameras, no answer": three_never_answer,
    "two cameras, one without answer": one_of_two_answers,
    "live, broker and webhook without answer": receivers_never_answer,
    "nothing answers": nothing_answers,
    "live, page is read": page_is_read,
    "watched folder, empty": watched_folder,
}


def seconds_to_end(state: State, bundle: Path, after_s: float) -> float:
    """From SIGINT to the end of the process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        command = [sys.executable, "-m", "realnet_edge", "run", "--bundle", str(bundle.resolve())]
        command += [*state(stack), "--out", "results.jsonl", "--threads", "1"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        stack.callback(process.kill)
        # Opened last, when everything is loaded.
        while not (folder / "results.jsonl").exists() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(after_s)
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr else ""
            raise SystemExit(f"the line ended before it was told to: {said}")
        started = time.perf_counter()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_PATIENCE_S)
        return time.perf_counter() - started


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--after", type=float, default=4.0, help="seconds that a line runs before its end")
    options = parser.parse_args()
    rows = []
    for name, state in STATES.items():
        if state is live_rtsp and not has_rtsp_server():
            print(f"{name}: GStreamer's RTSP server is not installed here")
            continue
        taken = [seconds_to_end(state, options.bundle, options.after) for _ in range(options.rounds)]
        rows.append(
            {
                "state": name,
                "rounds": options.rounds,
                "median_s": round(statistics.median(taken), 2),
                "slowest_s": round(max(taken), 2),
                **machine(),
            }
        )
        print(f"{name}: {rows[-1]['median_s']} s, slowest {rows[-1]['slowest_s']} s", flush=True)
    append_rows(RESULTS / "shutdown.csv", rows)


if __name__ == "__main__":
    main()
