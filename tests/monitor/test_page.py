"""The page in a real browser: what it shows and does, and whom it keeps out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest
from browser import CHROMIUM, OPERATOR_TOKEN, TOKEN, Browser, browser

from realnet_edge.camera import CameraState, EngineChain, Inspection
from realnet_edge.monitor import LineState, MonitorServer

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt install chromium")
# What the Web Content Accessibility Guidelines ask for at levels A and AA.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    """The browser with nobody signed in; it leaves the server before that ends."""
    yield chromium
    chromium.send("Page.navigate", url="about:blank")
    chromium.send("Network.clearBrowserCookies")


def text_of(page: Browser, element: str) -> str:
    return str(page.evaluate(f"document.getElementById('{element}').textContent"))


def sign_in(page: Browser, server: MonitorServer, token: str, width: int = 1280, dark: bool = False) -> None:
    page.open(server.url, width, 900, dark)
    page.wait("document.getElementById('password') !== null")
    page.evaluate("document.getElementById('password').focus()")
    page.write(token)
    page.press("Enter", "\r")
    page.wait("document.getElementById('good').textContent === '35'")


def violations(page: Browser) -> list[Any]:
    """What axe-core finds, as (rule, elements)."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate((files("axe_core_python") / "axe.min.js").read_text("utf-8") + "; 0")
    run = f"axe.run({{ runOnly: {_RULES} }}).then((one) => {{ window.found = one }})"
    page.evaluate(f"window.found = undefined; {run}; 0")
    page.wait("window.found !== undefined")
    # Rules that met something, or the run has looked at nothing.
    assert page.evaluate("found.passes.length") > 15
    listed = "[...found.violations, ...found.incomplete]"
    named = "(one) => [one.id, one.nodes.map((node) => node.html)]"
    found: list[Any] = page.evaluate(f"{listed}.map({named})")
    return found


def test_it_shows_the_line_and_follows_it(
    page: Browser, server: MonitorServer, state: LineState, inspected: Callable[..., Inspection]
) -> None:
    page.open(server.url, 1280, 900)
    page.wait("document.getElementById('good').textContent === '35'")
    assert text_of(page, "category") == "bracket"
    assert text_of(page, "trend-text") == "Last 39 scores, 4 above the threshold of 0.5000 (dashed)"
    page.wait("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert page.evaluate("document.querySelectorAll('#defects img').length") == 4
    # It follows without being asked.
    state(inspected(40, 0.8))
    state.on_alarm("engine toy: execution failed")
    page.wait("document.querySelector('.verdict').textContent === 'defect, score 0.800'")
    assert text_of(page, "alarm-text").endswith("engine toy: execution failed")
    page.evaluate("document.getElementById('dismiss').click()")
    assert page.evaluate("document.getElementById('alarm').hidden")
    # In the list it stays, and the next one is shown again.
    assert text_of(page, "alarms").endswith("engine toy: execution failed")
    state.on_alarm("engine other takes over")
    page.wait("!document.getElementById('alarm').hidden")
    assert text_of(page, "alarm-text").endswith("engine other takes over")
    assert page.evaluate("document.querySelectorAll('#defects img').length") == 5
    # A part that nobody saw does not hide behind the picture of the one before.
    state(inspected(41, None))
    page.wait("document.querySelector('.verdict').textContent === 'not inspected: the last part (damaged)'")


def test_several_cameras_stand_beside_each_other(page: Browser, inspected: Callable[..., Inspection]) -> None:
    state = LineState("bracket", ["left", "right", "top"])
    for index, (camera, score) in enumerate([("left", 0.9), ("right", 0.1)]):
        state(inspected(index, score, camera=camera))
    state.on_camera("top", CameraState("waiting", "Connection refused", 2.0))
    state.on_trigger(CameraState("waiting", "No route to host", 2.0))
    state.waiting = lambda: {"mqtt://broker/": 3}
    state.on_delivery("mqtt://broker/", "Connection refused")
    with MonitorServer("127.0.0.1:0", state) as server:
        page.open(server.url, 1280, 900)
        page.wait("document.querySelectorAll('#cameras img').length === 3")
        page.wait("[...document.images].filter((one) => one.naturalWidth > 0).length === 3")
        shown = page.evaluate("[...document.querySelectorAll('#cameras li')].map((one) => one.innerText)")
    assert [one.split("\n")[0] for one in shown] == ["left", "right", "top"]
    assert "defect, score 0.900" in shown[0]
    assert "good, score 0.100" in shown[1]
    assert "nothing inspected yet" in shown[2]
    assert "camera waiting: Connection refused" in shown[2]
    assert (
        page.evaluate("document.getElementById('trigger').innerText") == "Trigger\nwaiting: No route to host"
    )
    assert text_of(page, "waiting").startswith("mqtt://broker/: 3 waiting, not reached since")


def test_an_operator_tries_confirms_and_goes_back(
    page: Browser, controlled: MonitorServer, engines: EngineChain
) -> None:
    sign_in(page, controlled, OPERATOR_TOKEN)
    page.wait("!document.getElementById('operator').hidden")
    page.evaluate("document.getElementById('value').value = ''; document.getElementById('value').focus()")
    page.write("0.2")
    page.wait("document.getElementById('preview').textContent.includes('0.2000')")
    # Scores from 0.1 to 0.217, and four defects at 0.9.
    assert text_of(page, "preview") == (
        "Of the last 39 parts that this engine has scored, 10 (25.6%) would have failed at 0.2000; "
        "at the threshold in force 4 (10.3%)."
    )
    assert engines.threshold == 0.5
    page.press("Enter", "\r")
    page.wait("document.getElementById('confirm').open")
    assert text_of(page, "confirm-text").startswith("From 0.5000 to 0.2000. Of the last 39 parts")
    # The answer that changes nothing is the one at hand.
    assert page.evaluate("document.activeElement.textContent") == "Keep it"
    page.press("Escape")
    page.wait("!document.getElementById('confirm').open")
    assert engines.threshold == 0.5
    page.evaluate("document.getElementById('apply').click()")
    page.wait("document.getElementById('confirm').open")
    page.evaluate("document.getElementById('yes').click()")
    page.wait("document.getElementById('changed').textContent.includes('is 0.2000 now')")
    assert engines.threshold == 0.2
    page.wait("document.getElementById('in-force').textContent.includes(\"set by operators' token\")")
    page.evaluate("document.getElementById('own').click()")
    page.wait("document.getElementById('confirm').open")
    page.evaluate("document.getElementById('yes').click()")
    page.wait("document.getElementById('changed').textContent.includes('is 0.5000 now')")
    assert engines.threshold == 0.5


def test_a_viewer_looks_tries_and_changes_nothing(page: Browser, controlled: MonitorServer) -> None:
    sign_in(page, controlled, TOKEN)
    page.wait("document.getElementById('visitor').textContent === \"viewers' token (viewer)\"")
    page.wait("document.getElementById('preview').textContent.startsWith('Of the last 39 parts')")
    assert page.evaluate("document.getElementById('apply').offsetParent === null")
    page.evaluate("document.querySelector('#sign-out button').click()")
    page.wait("location.pathname === '/login' && document.getElementById('password') !== null")


def test_everything_is_reached_by_keyboard(
    page: Browser, controlled: MonitorServer, engines: EngineChain
) -> None:
    sign_in(page, controlled, OPERATOR_TOKEN)
    page.wait("!document.getElementById('operator').hidden")
    page.wait("document.querySelectorAll('#defects a').length === 4")
    reached: list[str] = []
    while len(reached) < 30:
        page.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        # Where the focus is can be seen.
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        named = "document.activeElement.id || document.activeElement.textContent.trim().split(':')[0]"
        reached.append(page.evaluate(named))
        if reached[-1] == "slider":
            page.press("ArrowRight")
    controls = ["To the line", "pause", "Sign out", "slider", "value", "apply"]
    assert reached == [*controls, "part33", "part23", "part13", "part3"]
    # The slider moved by a key, and the field beside it says so.
    assert float(page.evaluate("document.getElementById('value').value")) > 0.5
    assert engines.threshold == 0.5


@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_kept_out(page: Browser, controlled: MonitorServer, state: LineState, dark: bool) -> None:
    """axe-core's rules of WCAG 2 A and AA, at the width of a phone and of a desk."""
    state.on_alarm("engine toy: execution failed")
    page.open(f"{controlled.url}login", 375, 812, dark)
    page.wait("document.getElementById('password') !== null")
    assert violations(page) == []
    for width in (375, 1280):
        # First away from the line: an answer on its way would bring the cookie back.
        page.open("about:blank", width, 900)
        page.wait("document.URL === 'about:blank'")
        page.send("Network.clearBrowserCookies")
        sign_in(page, controlled, OPERATOR_TOKEN, width, dark)
        page.wait("!document.getElementById('operator').hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page) == []
    page.evaluate("document.getElementById('apply').click()")
    page.wait("document.getElementById('confirm').open")
    # What lies behind the dialog cannot be read, and need not be.
    assert [rule for rule, _ in violations(page) if rule != "color-contrast"] == []


def test_what_was_wrong_is_said_to_everyone(page: Browser, controlled: MonitorServer) -> None:
    page.open(f"{controlled.url}login", 375, 812)
    page.wait("document.getElementById('password') !== null")
    page.evaluate("document.getElementById('password').focus()")
    page.write("wrong")
    page.press("Enter", "\r")
    page.wait("document.getElementById('problem') !== null")
    assert text_of(page, "problem") == "That is no name and password, and no token, of this line."
    assert page.evaluate("document.getElementById('problem').getAttribute('role')") == "alert"
    assert violations(page) == []


def test_the_page_stands_still_where_it_is_asked_to(
    page: Browser, server: MonitorServer, state: LineState, inspected: Callable[..., Inspection]
) -> None:
    page.open(server.url, 1280, 900, calm=True)
    page.wait("document.querySelector('#cameras img').naturalWidth > 0")
    state(inspected(40, 0.8))
    page.wait("document.getElementById('defect').textContent === '5'")
    # Numbers follow, the picture waits.
    assert page.evaluate("document.querySelector('#cameras img').dataset.index") == "39"
    page.evaluate("document.getElementById('pause').click()")
    assert page.evaluate("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    state(inspected(41, 0.8))
    page.evaluate("document.title = 'still'")
    page.evaluate("listeners.push(() => { throw new Error('it goes on') })")
    assert text_of(page, "defect") == "5"
    assert page.evaluate("document.title") == "still"
