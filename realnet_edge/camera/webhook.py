"""Results as signed HTTP POST requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.request
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from realnet_edge.camera.addresses import check_host, shown
from realnet_edge.camera.delivery import DeliveryError, RefusedError
from realnet_edge.camera.outbox import Message

SIGNATURE = "X-Realnet-Edge-Signature"
UID = "X-Realnet-Edge-Uid"
# What a server says of the message itself; anything else may be put right, and is tried again.
_REFUSED = (400, 413, 415, 422)


class Webhook:
    """Posts each result as JSON.

    A signature lets the receiver know who sent it: `t=SECONDS,v1=HEX`, the HMAC-SHA256 under the secret of
    `SECONDS.BODY`, SECONDS the Unix time at which it was sent. An answer of 2xx is a delivery; 400, 413, 415
    and 422 say that the receiver does not want this result; after any other one, redirects among them, it is
    sent again.

    Args:
        url: http or https; USER:PASSWORD@ in it become basic authentication.
        secret: shared with the receiver; None for no signature.
        timeout_s: how long the receiver may take.

    Raises:
        ConfigError: an address without a host.
    """

    def __init__(self, url: str, secret: str | None, timeout_s: float = 5.0) -> None:
        check_host(url, "--webhook")
        self.name = shown(url)
        self._url, self._headers = _without_account(url)
        self._secret = secret
        self._timeout = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, message: Message) -> None:
        """See `Destination`."""
        body = message.body.encode()
        headers = {**self._headers, "Content-Type": "application/json", UID: message.uid}
        if self._secret is not None:
            headers[SIGNATURE] = signature(self._secret, int(time.time()), body)
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  # http(s) alone, checked where it is opened
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            said = f"it answers {error.code} {error.reason}"
            if error.code in _REFUSED:
                raise RefusedError(said) from None
            raise DeliveryError(said) from None
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryError(str(getattr(error, "reason", error))) from None

    def rest(self) -> bool:
        """Nothing is known of it between requests."""
        return False

    def close(self) -> None:
        """Nothing is held open."""


def _without_account(url: str) -> tuple[str, dict[str, str]]:
    """An address without user and password, and the header that says them instead."""
    parts = urlsplit(url)
    account, _, host = parts.netloc.rpartition("@")
    if not account:
        return url, {}
    user, _, password = account.partition(":")
    given = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {given}"}


def signature(secret: str, seconds: int, body: bytes) -> str:
    """The header's value, for receivers to compare with in constant time."""
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Results go where the user said and nowhere else."""
