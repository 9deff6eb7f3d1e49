"""The certificate that a line's pages are served with."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import ConfigError

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_YET, _EXPIRED = 9, 10


@dataclass(frozen=True)
class Certificate:
    """A certificate with its chain, and its key, as PEM files.

    Args:
        cert: the server's own certificate first.
        key: not encrypted: nobody is there to type a password when a line starts.

    Raises:
        ConfigError: a file that cannot be read, is none, or a key that belongs to another certificate.
    """

    cert: Path
    key: Path

    def __post_init__(self) -> None:
        _check_readable("--web-cert", self.cert)
        _check_readable("--web-key", self.key)
        self._context()

    def problem(self) -> str | None:
        """Why clients will refuse the certificate by its dates; None if they will not.

        Found by a handshake in memory with a client that trusts this certificate alone: one that expects
        what browsers expect of dates.
        """
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(self.cert)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            _shake_hands(client, self._context())
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in (_NOT_YET, _EXPIRED):
                return "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        except ssl.SSLError:
            # A file that no client trusts by itself has to be judged by those who do.
            return None
        return None

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.cert, self.key, _no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = "the key belongs to another certificate"
            else:
                reason = f"not a certificate and its key in PEM form ({error.reason or error})"
            raise ConfigError(f"--web-cert {self.cert}, --web-key {self.key}: {reason}.") from error
        return context


def _check_readable(option: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option} {path}: cannot be read ({error.strerror}).") from error


def _no_password() -> str:
    raise ConfigError(
        "--web-key: the key is encrypted, and nobody types its password when a line starts. Decrypt it into "
        "a file that this user alone can read: openssl pkey -in KEY -out PLAIN."
    )


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    # Each end speaks once more after it has heard everything: enough for TLS 1.2 and 1.3.
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
