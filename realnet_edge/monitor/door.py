"""Tells who a request is from, and how often an address may be wrong about it."""

from __future__ import annotations

import asyncio

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from realnet_edge.errors import RealnetEdgeError
from realnet_edge.monitor.access import Access, Sessions, Visitor
from realnet_edge.monitor.addresses import counted_as
from realnet_edge.monitor.limits import TokenBuckets
from realnet_edge.monitor.users import VIEWER

# A page with eight cameras asks for some twenty pictures a second; several may stand behind one address.
_REQUESTS_A_SECOND, _REQUESTS_AT_ONCE = 50.0, 300
# Five wrong tokens or passwords at once, then three a minute.
_FAILURES_A_SECOND, _FAILURES_AT_ONCE = 0.05, 5
_ANYONE = Visitor("anyone at this machine", VIEWER)


class TooManyError(RealnetEdgeError):
    """An address has been wrong, or has asked, too often; `wait_s` says when it may again."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many tries from this address: wait {wait_s} seconds.")
        self.wait_s = wait_s


class Door:
    """Used from the server's thread alone.

    Args:
        access: what is accepted.
        is_open: whether viewers need nothing, because only their own machine reaches the server.
        secure: whether cookies are for TLS connections only.
        port: of the server: cookies do not tell ports apart, and a machine may run several lines.
    """

    def __init__(self, access: Access, is_open: bool, secure: bool, port: int) -> None:
        self.access = access
        self.is_open = is_open
        self.secure = secure
        self.session_cookie = f"realnet_edge_session_{port}"
        self.token_cookie = f"realnet_edge_token_{port}"
        self._sessions = Sessions()
        self._requests = TokenBuckets(_REQUESTS_A_SECOND, _REQUESTS_AT_ONCE)
        self._failures = TokenBuckets(_FAILURES_A_SECOND, _FAILURES_AT_ONCE)
        # One password at a time: hashing takes memory and time that the inspection needs.
        self._hashing = asyncio.Lock()

    def count(self, request: Request) -> None:
        """Count a request.

        Raises:
            TooManyError: its address has sent too many.
        """
        _take(self._requests, address_of(request))

    def visitor(self, request: Request) -> Visitor | None:
        """Who a request is from; None for someone who may see nothing.

        Raises:
            TooManyError: it brings a token, and its address has been wrong too often.
        """
        session = request.cookies.get(self.session_cookie)
        if session and (known := self._sessions.visitor(session)):
            request.scope["session"] = session
            return known
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = bearer or request.cookies.get(self.token_cookie, "")
        if token:
            return self.by_token(token, request)
        return _ANYONE if self.is_open else None

    def may_go_on(self, request: Request) -> bool:
        """Whether an answer without an end may go on: the session that it was begun in may have ended."""
        session = request.scope.get("session")
        return session is None or self._sessions.visitor(session) is not None

    def by_token(self, token: str, request: Request) -> Visitor | None:
        """Whose token this is.

        Raises:
            TooManyError: the address has been wrong too often; the token is not looked at.
        """
        self._check_failures(request)
        visitor = self.access.by_token(token)
        if visitor is None:
            self._failures.take(address_of(request))
        return visitor

    async def by_password(self, name: str, password: str, request: Request) -> Visitor | None:
        """Whose name and password these are.

        Raises:
            TooManyError: the address has been wrong too often; the password is not looked at.
        """
        async with self._hashing:
            self._check_failures(request)
            visitor = await run_in_threadpool(self.access.by_password, name, password)
            if visitor is None:
                self._failures.take(address_of(request))
        return visitor

    def let_in(self, visitor: Visitor, token: str, answer: Response) -> Response:
        """The answer with a cookie that stands for what was shown.

        A viewers' token is its own cookie, so that a display on the wall comes back after a restart of the
        line. Everyone else gets a session, which ends with the line, after 12 hours, or by signing out.
        """
        if token and not visitor.is_operator:
            self._set(answer, self.token_cookie, token)
        else:
            self._set(answer, self.session_cookie, self._sessions.start(visitor))
        return answer

    def let_out(self, request: Request, answer: Response) -> Response:
        """The answer that ends a session and takes the cookies away."""
        self._sessions.end(request.cookies.get(self.session_cookie, ""))
        for name in (self.session_cookie, self.token_cookie):
            answer.delete_cookie(name, httponly=True, samesite="strict", secure=self.secure)
        return answer

    def forget_token(self, request: Request, answer: Response) -> Response:
        """The answer that takes away a wrong token, which would count as a try each time.

        A request without one takes nothing away: its answer may come after the one that lets someone in.
        """
        if self.token_cookie in request.cookies:
            answer.delete_cookie(self.token_cookie, httponly=True, samesite="strict", secure=self.secure)
        return answer

    def _set(self, answer: Response, name: str, value: str) -> None:
        answer.set_cookie(name, value, httponly=True, samesite="strict", secure=self.secure)

    def _check_failures(self, request: Request) -> None:
        if wait_s := self._failures.wait_s(address_of(request)):
            raise TooManyError(wait_s)


def address_of(request: Request) -> str:
    """What a request's address is counted under."""
    return counted_as(request.client.host if request.client else None)


def _take(buckets: TokenBuckets, address: str) -> None:
    if wait_s := buckets.wait_s(address):
        raise TooManyError(wait_s)
    buckets.take(address)
