"""Who gets in, as what, and how often they may be wrong: over real connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import ask, change, connect, cookie_of, document, origin, sign_in
from browser import OPERATOR_TOKEN, TOKEN

from realnet_edge.errors import ConfigError
from realnet_edge.monitor import LineState, MonitorServer
from realnet_edge.monitor.access import Access, Sessions, Visitor
from realnet_edge.monitor.addresses import counted_as
from realnet_edge.monitor.limits import TokenBuckets
from realnet_edge.monitor.users import OPERATOR, VIEWER, User
from realnet_edge.serving import is_loopback


@pytest.fixture(scope="module")
def users() -> dict[str, User]:
    """anna, an operator, and bert, a viewer."""
    return {
        "anna": User.new("anna", OPERATOR, "anna's password"),
        "bert": User.new("bert", VIEWER, "bert's password"),
    }


@pytest.fixture
def peopled(state: LineState, users: dict[str, User]) -> Iterator[MonitorServer]:
    with MonitorServer("127.0.0.1:0", state, Access(users=users)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("name", "password", "role"),
    [("anna", "anna's password", "operator"), ("bert", "bert's password", "viewer")],
)
def test_people_sign_in_and_out(peopled: MonitorServer, name: str, password: str, role: str) -> None:
    answered = sign_in(peopled, name, password)
    assert (answered[0], answered[1]["location"]) == (303, "/")
    stated = answered[1]["set-cookie"].lower()
    assert "httponly" in stated
    assert "samesite=strict" in stated
    assert "secure" not in stated
    cookie = cookie_of(answered)
    assert document(ask(peopled, "/me", Cookie=cookie)) == {"name": name, "role": role, "can_sign_in": True}
    assert ask(peopled, "/logout", "POST", Cookie=cookie, Origin=origin(peopled))[0] == 303
    # Not the browser alone forgets it.
    assert ask(peopled, "/me", Cookie=cookie)[0] == 401


def test_what_was_open_ends_with_the_session(peopled: MonitorServer) -> None:
    cookie = cookie_of(sign_in(peopled, "bert", "bert's password"))
    connection = connect(peopled)
    connection.request("GET", "/events", headers={"Cookie": cookie})
    following = connection.getresponse()
    assert following.readline().startswith(b"data: ")
    ask(peopled, "/logout", "POST", Cookie=cookie, Origin=origin(peopled))
    # It has an end, which it would not have otherwise.
    assert not all(following.readline() for _ in range(200))
    connection.close()


def test_tokens_sign_in_by_the_form_too(guarded: MonitorServer) -> None:
    for token, role in ((TOKEN, "viewer"), (OPERATOR_TOKEN, "operator")):
        cookie = cookie_of(sign_in(guarded, "", token))
        assert document(ask(guarded, "/me", Cookie=cookie))["role"] == role


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong password"), ("nobody", "anna's password"), ("", "anna's password")]
)
def test_what_is_wrong_is_refused_without_saying_what(
    peopled: MonitorServer, name: str, password: str
) -> None:
    status, headers, body = sign_in(peopled, name, password)
    assert status == 401
    assert "set-cookie" not in headers
    assert b"That is no name and password, and no token, of this line." in body
    assert name.encode() not in body or not name


def test_an_address_that_is_wrong_too_often_has_to_wait_and_others_need_not(peopled: MonitorServer) -> None:
    for _ in range(5):
        assert sign_in(peopled, "anna", "wrong password")[0] == 401
    # The right one is not looked at either: a guesser would learn it.
    status, headers, body = sign_in(peopled, "anna", "anna's password")
    assert status == 429
    assert 1 <= int(headers["retry-after"]) <= 20
    assert b"Too many tries from this address" in body
    assert ask(peopled, "/events", Authorization="Bearer some-token-of-another")[0] == 429
    assert sign_in(peopled, "anna", "anna's password", address="127.0.0.2")[0] == 303


def test_wrong_tokens_are_counted_however_they_are_brought(guarded: MonitorServer) -> None:
    port = guarded.url.rstrip("/").rpartition(":")[2]
    assert ask(guarded, "/?token=wrong")[0] == 401
    assert ask(guarded, "/events", Authorization="Bearer wrong")[0] == 401
    assert ask(guarded, "/events", Cookie=f"realnet_edge_token_{port}=wrong")[0] == 401
    assert sign_in(guarded, "", "wrong")[0] == 401
    assert ask(guarded, "/?token=wrong")[0] == 401
    assert ask(guarded, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 429
    # Who is in stays in, and supervisors are none of them.
    assert ask(guarded, "/healthz")[0] == 200


def test_a_session_of_before_a_restart_is_no_wrong_token(guarded: MonitorServer) -> None:
    port = guarded.url.rstrip("/").rpartition(":")[2]
    for _ in range(20):
        assert ask(guarded, "/events", Cookie=f"realnet_edge_session_{port}=of-yesterday")[0] == 401
    assert ask(guarded, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_an_address_that_asks_too_often_has_to_wait(server: MonitorServer) -> None:
    connection = connect(server, "127.0.0.3")
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 3000:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        statuses.append(answer.status)
        answer.read()
    connection.close()
    assert statuses.count(200) >= 300
    assert statuses[-1] == 429
    assert int(answer.headers["retry-after"]) == 1
    assert ask(server, "/healthz")[0] == 200


def test_only_an_operator_may_ask_for_a_change(controlled: MonitorServer) -> None:
    viewer = {"Authorization": f"Bearer {TOKEN}"}
    assert change(controlled, 0.4, **viewer)[0] == 403
    assert change(controlled, 0.4)[0] == 403
    assert change(controlled, 0.4, Origin=origin(controlled))[0] == 401
    assert change(controlled, 0.4, Authorization=f"Bearer {OPERATOR_TOKEN}")[0] == 200


def test_a_page_of_elsewhere_changes_nothing_though_the_browser_is_signed_in(
    controlled: MonitorServer,
) -> None:
    cookie = cookie_of(sign_in(controlled, "", OPERATOR_TOKEN))
    for elsewhere in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert change(controlled, 0.4, Cookie=cookie, Origin=elsewhere)[0] == 403
    # Browsers say where a request comes from; one that does not is none of ours.
    assert change(controlled, 0.4, Cookie=cookie)[0] == 403
    assert sign_in(controlled, "", OPERATOR_TOKEN, Origin="http://evil.example")[0] == 403
    assert change(controlled, 0.4, Cookie=cookie, Origin=origin(controlled))[0] == 200


def test_an_operators_token_does_not_go_into_an_address(guarded: MonitorServer) -> None:
    status, headers, body = ask(guarded, f"/?token={OPERATOR_TOKEN}")
    assert status == 403
    assert "set-cookie" not in headers
    assert b"/login" in body


def test_people_are_led_to_where_they_sign_in(guarded: MonitorServer) -> None:
    status, headers, _ = ask(guarded, "/", Accept="text/html")
    assert (status, headers["location"]) == (303, "/login")
    assert ask(guarded, "/login")[0] == 200
    assert ask(guarded, "/page.css")[0] == 200
    assert ask(guarded, "/page.js")[0] == 401


def test_an_operators_token_alone_leaves_the_line_open_to_its_machine(state: LineState) -> None:
    with MonitorServer("127.0.0.1:0", state, Access(operator_token=OPERATOR_TOKEN)) as server:
        assert document(ask(server, "/me"))["role"] == "viewer"
        assert ask(server, "/", Host="evil.example")[0] == 403
    # But not to others.
    with MonitorServer("0.0.0.0:0", state, Access(operator_token=OPERATOR_TOKEN)) as server:
        assert ask(server, "/me")[0] == 401
        assert ask(server, "/me", Authorization=f"Bearer {OPERATOR_TOKEN}")[0] == 200


@pytest.mark.parametrize("path", ["/threshold", "/login"])
def test_long_bodies_are_refused(controlled: MonitorServer, path: str) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}", "Origin": origin(controlled)}
    assert ask(controlled, path, "POST", b"x" * 5000, **headers)[0] == 413


def test_long_headers_are_refused(server: MonitorServer) -> None:
    assert ask(server, "/", Cookie="x" * 20_000)[0] == 431
    assert ask(server, f"/?{'x' * 17_000}")[0] == 431


def test_headers_that_never_end_are_cut_off(server: MonitorServer) -> None:
    connection = connect(server)
    connection.connect()
    connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012  # the server decides which line of it
        for _ in range(40_000):
            connection.send(b"X: " + 1000 * b"x" + b"\r\n")


def test_tokens_that_protect_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="the operators' token has 5 characters: give at least 16"):
        Access(TOKEN, "short")
    with pytest.raises(ConfigError, match="has other characters than"):
        Access("a token with spaces; in it")
    with pytest.raises(ConfigError, match="have the same token"):
        Access(TOKEN, TOKEN)


def test_sessions_end_and_are_bounded() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    anna = Visitor("anna", OPERATOR)
    first = sessions.start(anna)
    assert sessions.visitor(first) == anna
    now[0] = 12 * 3600.0
    assert sessions.visitor(first) is None
    newest = [sessions.start(anna) for _ in range(256)]
    assert all(sessions.visitor(cookie) for cookie in newest)
    sessions.start(anna)
    assert sessions.visitor(newest[0]) is None


def test_buckets_fill_again_and_remember_so_many() -> None:
    now = [0.0]
    buckets = TokenBuckets(rate=0.5, burst=2, addresses=3, clock=lambda: now[0])
    for _ in range(2):
        assert buckets.wait_s("a") == 0
        buckets.take("a")
    assert buckets.wait_s("a") == 2
    now[0] = 1.0
    assert buckets.wait_s("a") == 1
    now[0] = 2.0
    assert buckets.wait_s("a") == 0
    for name in "bcdefg":
        buckets.take(name)
    assert len(buckets) == 3


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
    ],
)
def test_addresses_are_counted_by_subscriber(address: str | None, counted: str) -> None:
    assert counted_as(address) == counted


@pytest.mark.parametrize(
    ("host", "own"),
    [("localhost", True), ("127.1.2.3", True), ("::1", True), ("10.0.0.1", False), ("x.localhost", False)],
)
def test_loopback_is_told(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_an_answer_that_comes_late_does_not_sign_anyone_out(guarded: MonitorServer) -> None:
    """A browser asks for an icon without a cookie; its refusal may arrive after the cookie was set."""
    assert "set-cookie" not in ask(guarded, "/favicon.ico")[1]
    # A token that was replaced goes, or each request with it would count as a try.
    port = guarded.url.rstrip("/").rpartition(":")[2]
    assert "Max-Age=0" in ask(guarded, "/", Cookie=f"realnet_edge_token_{port}=old")[1]["set-cookie"]
