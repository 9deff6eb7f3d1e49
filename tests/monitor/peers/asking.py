"""Requests over real connections."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlencode, urlsplit

from realnet_edge.monitor import MonitorServer

Answered = tuple[int, dict[str, str], bytes]


def connect(
    server: MonitorServer, address: str | None = None, tls: ssl.SSLContext | None = None
) -> http.client.HTTPConnection:
    """A connection, from another address of this machine if need be: all of 127.0.0.0/8 is its own."""
    parts = urlsplit(server.url)
    source = (address, 0) if address else None
    if tls:
        return http.client.HTTPSConnection(str(parts.hostname), parts.port, timeout=30, context=tls)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30, source_address=source)


def ask(
    server: MonitorServer,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    address: str | None = None,
    tls: ssl.SSLContext | None = None,
    **headers: str,
) -> Answered:
    connection = connect(server, address, tls)
    connection.request(method, path, body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content


def origin(server: MonitorServer) -> str:
    """What a browser sends with requests from the server's own pages."""
    return server.url.rstrip("/")


def sign_in(
    server: MonitorServer, name: str, password: str, address: str | None = None, **headers: str
) -> Answered:
    form = urlencode({"name": name, "password": password}).encode()
    return ask(server, "/login", "POST", form, address, **{"Origin": origin(server), **headers})


def cookie_of(answered: Answered) -> str:
    return answered[1]["set-cookie"].partition(";")[0]


def change(
    server: MonitorServer, value: float | None, bundle: str = "toy/engine", **headers: str
) -> Answered:
    body = json.dumps({"value": value, "bundle": bundle}).encode()
    return ask(server, "/threshold", "POST", body, **headers)


def document(answered: Answered) -> Any:
    return json.loads(answered[2])
