"""Who may read the OPC UA server, and how it proves who it is."""

from __future__ import annotations

import hmac
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from realnet_edge.camera.addresses import shown
from realnet_edge.errors import ConfigError
from realnet_edge.serving import bind, is_loopback, refusal

if TYPE_CHECKING:
    from asyncua import Server

PORT = 4840


@dataclass(frozen=True)
class Endpoint:
    """Where the server listens, and for whom.

    Attributes:
        host, port: where.
        user, password: what clients have to say; None lets everyone read, on this machine alone.
        certificate, key: PEM files of the server's; None makes both anew for each run.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def parse(cls, address: str, certificate: Path | None = None, key: Path | None = None) -> Endpoint:
        """From opc.tcp://USER:PASSWORD@HOST:PORT; on a loopback address user and password may be missing.

        Raises:
            ConfigError: no such address; one that others reach without user and password; certificate
                without key, or either for a server that needs none.
        """
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme != "opc.tcp" or not parts.hostname or port == -1 or parts.path.strip("/"):
            raise ConfigError(
                f"{shown(address)}: valid is opc.tcp://HOST:PORT, opc.tcp://127.0.0.1:4840 for example, or "
                "opc.tcp://USER:${VARIABLE}@HOST:PORT."
            )
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        if (user is None) != (password is None) or (user is None and not is_loopback(parts.hostname)):
            raise ConfigError(
                f"{shown(address)}: others reach this address, so give user and password, "
                "opc.tcp://USER:${VARIABLE}@HOST:PORT, or serve 127.0.0.1 alone."
            )
        if (certificate is None) != (key is None) or (certificate is not None and user is None):
            raise ConfigError(
                "a certificate needs its key, and both are for a server with user and password: anonymous "
                "readers on this machine need none."
            )
        for path in filter(None, (certificate, key)):
            if not path.is_file():
                raise ConfigError(f"{path}: no such file; a certificate and its key in PEM are needed.")
        return cls(parts.hostname, port or PORT, user, password, certificate, key)

    @property
    def url(self) -> str:
        """Without user and password."""
        return f"opc.tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def check_free(self) -> None:
        """Find out at once what the server, which takes seconds to build, would find out late.

        Raises:
            UnavailableError: another program does, or the address is none of this machine's now.
            ConfigError: nothing can listen there.
        """
        try:
            bind(self.host, self.port).close()
        except OSError as error:
            raise refusal(f"{self.url}: cannot be listened at", error) from error


async def restrict(server: Server, endpoint: Endpoint) -> None:
    """Let clients read, and nobody else; with user and password only on encrypted channels.

    Args:
        server: not started yet.
        endpoint: says who may.
    """
    from asyncua import ua

    if endpoint.user is None:
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity], ReadOnly())
        return
    server.set_identity_tokens([ua.UserNameIdentityToken])
    policies = (
        ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
        ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
        ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    )
    server.set_security_policy(list(policies), ReadOnly())
    if endpoint.certificate is not None and endpoint.key is not None:
        await server.load_certificate(endpoint.certificate)
        await server.load_private_key(endpoint.key)
    else:
        await _make_certificate(server, endpoint)


class Readers:
    """Says for the server who a client is; a reader, or nobody."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> Any:
        """The user, None to turn it away."""
        from asyncua.crypto.permission_rules import User, UserRole

        if self._endpoint.user is not None:
            asked = f"{self._endpoint.user}\0{self._endpoint.password}"
            # In constant time, so that nobody learns how far a guess was right.
            if not hmac.compare_digest(asked.encode(), f"{username}\0{password}".encode()):
                return None
        return User(role=UserRole.User, name=username or "anonymous")


class ReadOnly:
    """Says for the server what a client may ask: everything but to write and to call."""

    def __init__(self) -> None:
        from asyncua import ua
        from asyncua.crypto.permission_rules import USER_TYPES

        refused = (
            ua.ObjectIds.WriteRequest_Encoding_DefaultBinary,
            ua.ObjectIds.CallRequest_Encoding_DefaultBinary,
        )
        self._allowed = {ua.NodeId(number) for number in USER_TYPES if number not in refused}

    def check_validity(self, user: Any, action_type_id: Any, body: Any) -> bool:
        return action_type_id in self._allowed


async def _make_certificate(server: Server, endpoint: Endpoint) -> None:
    from asyncua.crypto.cert_gen import setup_self_signed_certificate
    from cryptography.x509.oid import ExtendedKeyUsageOID

    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.der"
        await setup_self_signed_certificate(
            key,
            certificate,
            server.get_application_uri(),
            endpoint.host,
            [ExtendedKeyUsageOID.SERVER_AUTH],
            {"organizationName": "realnet-edge"},
        )
        await server.load_certificate(certificate)
        await server.load_private_key(key)
