"""The OPC UA server, asked by asyncua's own client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography.x509.oid import ExtendedKeyUsageOID
from plant_peers import inspection
from waiting_peers import PATIENCE_S, free_port, wait

from realnet_edge.camera.board import Board, CameraFacts
from realnet_edge.camera.opcua import NAMESPACE, OpcUaServer
from realnet_edge.camera.opcua_access import Endpoint
from realnet_edge.errors import ConfigError, UnavailableError


class Line:
    """A server of cameras left and right, of which the facts may be changed."""

    def __init__(self, address: str) -> None:
        self.facts: dict[str | None, CameraFacts] = {}
        self.alarms: list[str] = []
        self.board = Board(["left", "right"], lambda: self.facts, quiet_s=1e6)
        self.server = OpcUaServer(Endpoint.parse(address), "screw", self.board, self.alarms.append)

    def __call__(self, index: int, verdict: str, camera: str) -> None:
        result = inspection(index, verdict, camera=camera)
        self.board(result)
        self.server(result)


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    line = Line(f"opc.tcp://127.0.0.1:{free_port()}")
    with line.server as server:
        assert server.ready.wait(PATIENCE_S)
        yield line
    # The end is not waited for by a clock, and leaves no thread.
    assert not server._thread.is_alive()


def ask(line: Line, what: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    async def asking() -> Any:
        async with Client(line.server.url) as client:
            return await what(client)

    return asyncio.run(asking())


async def node(client: Client, path: str) -> Node:
    space = await client.get_namespace_index(NAMESPACE)
    return client.get_node(ua.NodeId(f"screw.{path}", space))


async def read(client: Client, camera: str) -> dict[str, tuple[Any, str]]:
    """Value and status of every variable of a camera, found by browsing."""
    found = {}
    for child in await (await node(client, camera)).get_children():
        value = await child.read_data_value(raise_on_bad_status=False)
        name = (await child.read_browse_name()).Name
        found[name] = (value.Value.Value if value.Value else None, value.StatusCode.name)
    return found


def until(line: Line, camera: str, holds: Callable[[dict[str, tuple[Any, str]]], bool]) -> None:
    seen: list[dict[str, tuple[Any, str]]] = []

    def look() -> bool:
        seen.append(ask(line, lambda client: read(client, camera)))
        return holds(seen[-1])

    wait(look, lambda: seen[-1])


def stale(found: dict[str, tuple[Any, str]]) -> set[str]:
    return {name for name, (_, status) in found.items() if status == "UncertainLastUsableValue"}


def test_a_camera_without_a_result_says_that_it_waits(line: Line) -> None:
    found = ask(line, lambda client: read(client, "right"))
    assert found["Verdict"] == (None, "BadWaitingForInitialData")
    assert found["Score"][1] == found["PartId"][1] == "BadWaitingForInitialData"
    assert found["Frames"] == (0, "Good")
    assert found["Inspecting"] == (True, "Good")


def test_the_newest_result_and_the_counts_can_be_read(line: Line) -> None:
    for index, verdict in enumerate(["good", "not_inspected", "good", "defect"]):
        line(index, verdict, "left")
    newest = line.board.standing("left").newest
    assert newest
    expected = {
        "Verdict": ("defect", "Good"),
        "Score": (0.75, "Good"),
        "Threshold": (0.5, "Good"),
        "PartId": ("part3.png", "Good"),
        "Timestamp": (datetime.fromisoformat(newest.frame.timestamp), "Good"),
        "Frames": (4, "Good"),
        "Good": (2, "Good"),
        "Defects": (1, "Good"),
        "NotInspected": (1, "Good"),
        "Dropped": (0, "Good"),
        "Inspecting": (True, "Good"),
        "State": ("inspecting", "Good"),
    }
    until(line, "left", lambda found: found == expected)


def test_a_part_that_nobody_saw_has_no_score(line: Line) -> None:
    line(9, "not_inspected", "left")
    expected = {"Verdict": ("not_inspected", "Good"), "Score": (None, "BadNoData")}
    until(line, "left", lambda found: {name: found[name] for name in expected} == expected)


def test_values_are_stale_while_nothing_is_inspected(line: Line) -> None:
    line(10, "good", "left")
    line.facts = {"left": CameraFacts("camera waiting: unplugged", dropped=7)}
    expected = {
        "State": ("camera waiting: unplugged", "Good"),
        "Inspecting": (False, "Good"),
        "Dropped": (7, "Good"),
    }
    until(line, "left", lambda found: {name: found[name] for name in expected} == expected)
    of_result = {"Verdict", "Score", "Threshold", "PartId", "Timestamp"}
    until(line, "left", lambda found: stale(found) == of_result)
    line.facts = {}
    until(line, "left", lambda found: {status for _, status in found.values()} == {"Good"})


def test_a_subscription_hears_of_every_change(line: Line) -> None:
    class Heard:
        def __init__(self) -> None:
            self.verdicts: list[str] = []
            self.statuses: list[str] = []

        def datachange_notification(self, node: Node, value: Any, data: Any) -> None:
            self.verdicts.append(value)
            self.statuses.append(data.monitored_item.Value.StatusCode.name)

    async def subscribe(client: Client) -> Heard:
        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        await subscription.subscribe_data_change(await node(client, "right.Verdict"))
        for index, verdict in enumerate(["good", "defect", "good"]):
            line(index, verdict, "right")
            while heard.verdicts[-1:] != [verdict]:
                await asyncio.sleep(0.02)
        line.facts = {"right": CameraFacts("gone")}
        while heard.statuses[-1] != "UncertainLastUsableValue":
            await asyncio.sleep(0.02)
        line.facts = {}
        await subscription.delete()
        return heard

    heard = ask(line, lambda client: asyncio.wait_for(subscribe(client), PATIENCE_S))
    assert [one for one in heard.verdicts if one] == ["good", "defect", "good", "good"]
    assert heard.statuses[-1] == "UncertainLastUsableValue"


def test_nobody_may_write(line: Line) -> None:
    async def write(client: Client) -> None:
        await (await node(client, "left.Verdict")).write_value("good")

    with pytest.raises(ua.UaStatusCodeError, match=r"permission|Denied"):
        ask(line, write)


def test_others_need_user_and_password_on_an_encrypted_channel(tmp_path: Path) -> None:
    line = Line(f"opc.tcp://plant:s%40cret@127.0.0.1:{free_port()}")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.der"

    async def asking(user: str | None, password: str | None, encrypted: bool = True) -> Any:
        client = Client(line.server.url)
        client.application_uri = "urn:client"
        if encrypted:
            await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(key))
        if user is not None and password is not None:
            client.set_user(user)
            client.set_password(password)
        async with client:
            return await (await node(client, "left.Verdict")).read_value()

    asyncio.run(
        setup_self_signed_certificate(
            key, certificate, "urn:client", "localhost", [ExtendedKeyUsageOID.CLIENT_AUTH], {}
        )
    )
    with ExitStack() as stack:
        server = stack.enter_context(line.server)
        assert server.ready.wait(PATIENCE_S)
        assert "cret" not in server.url
        line(0, "good", "left")
        wait(lambda: asyncio.run(asking("plant", "s@cret")) == "good")
        for user, password, encrypted in (
            *(("plant", "wrong", True), ("other", "s@cret", True), (None, None, True)),
            ("plant", "s@cret", False),
        ):
            with pytest.raises(ua.UaError):
                asyncio.run(asking(user, password, encrypted))
    assert line.alarms == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://host", "valid is opc.tcp://HOST:PORT"),
        ("opc.tcp://", "valid is opc.tcp://HOST:PORT"),
        ("opc.tcp://127.0.0.1:x", "valid is opc.tcp://HOST:PORT"),
        ("opc.tcp://127.0.0.1/path", "valid is opc.tcp://HOST:PORT"),
        ("opc.tcp://0.0.0.0:4840", "others reach this address, so give user and password"),
        ("opc.tcp://user@0.0.0.0", "others reach this address, so give user and password"),
    ],
)
def test_what_cannot_be_served_is_refused(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Endpoint.parse(address)


def test_a_port_that_is_taken_is_said_at_once() -> None:
    port = free_port()
    taken = Line(f"opc.tcp://127.0.0.1:{port}")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(UnavailableError, match="cannot be listened at"):
            taken.server._endpoint.check_free()
