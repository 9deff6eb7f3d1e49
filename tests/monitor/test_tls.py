"""TLS with certificates that openssl has made."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import ask, sign_in
from browser import OPERATOR_TOKEN, TOKEN

from realnet_edge.errors import ConfigError
from realnet_edge.monitor import LineState, MonitorServer
from realnet_edge.monitor.access import Access
from realnet_edge.monitor.tls import Certificate

Make = Callable[..., tuple[Path, Path]]


_AUTHORITY = """
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Make:
    """Writes a certificate for this machine and its key: `certificate(name, start, end)`."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl: apt install openssl")
    config = tmp_path / "ca.conf"
    config.write_text(_AUTHORITY.format(folder=tmp_path))

    def make(name: str, start: str = "20200101", end: str = "20491231") -> tuple[Path, Path]:
        cert, key, request = (tmp_path / f"{name}.{suffix}" for suffix in ("crt", "key", "csr"))
        (tmp_path / "index").write_text("")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        names = ("-subj", "/CN=line", "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("req", *curve, *names, "-keyout", key, "-out", request)
        dates = ("-startdate", f"{start}000000Z", "-enddate", f"{end}000000Z")
        signed = ("-config", config, "-keyfile", key, "-in", request, "-out", cert)
        openssl("ca", "-batch", "-selfsign", "-notext", *dates, *signed)
        return cert, key

    return make


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def test_the_page_is_served_by_tls(state: LineState, certificate: Make) -> None:
    cert, key = certificate("line")
    client = ssl.create_default_context(cafile=str(cert))
    served = Certificate(cert, key)
    assert served.problem() is None
    with MonitorServer("127.0.0.1:0", state, Access(TOKEN, OPERATOR_TOKEN), certificate=served) as server:
        assert server.url.startswith("https://")
        status, headers, _ = ask(server, "/metrics", tls=client, Authorization=f"Bearer {TOKEN}")
        assert status == 200
        assert headers["strict-transport-security"] == "max-age=31536000"
        status, headers, _ = ask(server, f"/?token={TOKEN}", tls=client)
        assert status == 303
        assert "secure" in headers["set-cookie"].lower()
        # Another machine's certificate is not taken for this one's.
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, "/healthz", tls=ssl.create_default_context())


def test_without_tls_nothing_says_that_there_is(guarded: MonitorServer) -> None:
    assert "strict-transport-security" not in ask(guarded, "/healthz")[1]
    assert "secure" not in sign_in(guarded, "", TOKEN)[1]["set-cookie"].lower()


def test_a_certificate_by_an_authority_is_judged_by_its_dates_too(certificate: Make, tmp_path: Path) -> None:
    authority, its_key = certificate("authority")
    cert, key, request = (tmp_path / f"line.{suffix}" for suffix in ("crt", "key", "csr"))
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=line", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", its_key, "-days", "30", "-out", cert)
    assert Certificate(cert, key).problem() is None


def test_dates_that_clients_refuse_are_said(certificate: Make) -> None:
    expired = certificate("old", "20200101", "20200201")
    assert Certificate(*expired).problem() == "has expired"
    coming = certificate("new", "20480101", "20490201")
    assert Certificate(*coming).problem() == "is not valid yet"


def test_files_that_cannot_serve_are_refused(certificate: Make, tmp_path: Path) -> None:
    cert, key = certificate("line")
    other = certificate("other")[1]
    with pytest.raises(ConfigError, match="the key belongs to another certificate"):
        Certificate(cert, other)
    with pytest.raises(ConfigError, match=r"--web-key .*nothing: cannot be read"):
        Certificate(cert, tmp_path / "nothing")
    with pytest.raises(ConfigError, match="not a certificate and its key in PEM form"):
        Certificate(key, key)
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
    with pytest.raises(ConfigError, match="the key is encrypted"):
        Certificate(cert, locked)
