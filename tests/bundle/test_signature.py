"""Signatures of bundles: what is accepted, what is not, and OpenSSL's word on both."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from realnet_edge.bundle import Bundle, load_bundle, read_manifest, sign_bundle, write_bundle
from realnet_edge.bundle.keys import (
    PASSPHRASE_VARIABLE,
    PrivateKey,
    read_private_key,
    read_public_keys,
    write_new_key,
)
from realnet_edge.bundle.signature import SIGNATURE_NAME, signed_message
from realnet_edge.errors import BundleError, ConfigError
from realnet_edge.runtime import open_runner

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs OpenSSL's command")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key's file; the public one is beside it."""
    write_new_key(tmp_path / "line.key")
    return tmp_path / "line.key"


@pytest.fixture
def public(key: Path) -> Path:
    return key.with_name("line.key.pub")


@pytest.fixture
def bundle(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Bundle:
    return toy_bundle(tmp_path / "bundle")


@pytest.fixture
def signed(bundle: Bundle, key: Path) -> Path:
    return sign_bundle(bundle.path, read_private_key(key)).path


def test_what_was_signed_loads_and_runs_from_a_copy_that_nobody_else_can_change(
    signed: Path, public: Path
) -> None:
    loaded = load_bundle(signed, [public])

    assert loaded.signed_by == read_public_keys([public])[0].id
    private = loaded.engine_path.parent
    assert private != signed
    assert stat.S_IMODE(private.stat().st_mode) == stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    # What is done to the bundle after it was verified does not reach the runtime.
    (signed / "model.onnx").write_bytes(b"something else")
    with open_runner(loaded, 1) as runner:
        assert runner.input_size == (32, 32)


def test_without_a_requirement_a_signature_means_nothing(signed: Path) -> None:
    (signed / SIGNATURE_NAME).write_bytes(b"\xff" * 100)
    loaded = load_bundle(signed)
    assert loaded.signed_by is None
    assert loaded.engine_path.parent == signed


def _edit(path: Path) -> None:
    file = path / "manifest.json"
    document = json.loads(file.read_text())
    document["threshold"]["value"] = 0.999
    file.write_text(json.dumps(document))


def _one_space_more(path: Path) -> None:
    with (path / "manifest.json").open("a") as stream:
        stream.write(" ")


def _swap_file(path: Path) -> None:
    (path / "model.onnx").write_bytes(b"an engine of somebody else")


def _strip(path: Path) -> None:
    (path / SIGNATURE_NAME).unlink()


def _link(path: Path) -> None:
    shutil.move(path / "model.onnx", path.parent / "model.onnx")
    (path / "model.onnx").symlink_to(path.parent / "model.onnx")


def _link_signature(path: Path) -> None:
    shutil.move(path / SIGNATURE_NAME, path.parent / "elsewhere.sig")
    (path / SIGNATURE_NAME).symlink_to(path.parent / "elsewhere.sig")


def _change_signature(path: Path) -> None:
    file = path / SIGNATURE_NAME
    *before, coded = file.read_text().split()
    value = bytearray(base64.b64decode(coded))
    value[0] ^= 1
    file.write_text(" ".join([*before, base64.b64encode(value).decode()]) + "\n")


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (_edit, "does not fit its manifest"),
        (_one_space_more, "does not fit its manifest"),
        (_swap_file, "model.onnx is changed"),
        (_strip, "is not signed, and a signature by"),
        (_link, "model.onnx is not a file"),
        (_link_signature, "cannot be read"),
        (_change_signature, "does not fit its manifest"),
        (lambda path: (path / "plugin.so").write_bytes(b"x"), "plugin.so is extra"),
        (lambda path: (path / SIGNATURE_NAME).write_bytes(b""), "is not signed"),
        (lambda path: (path / SIGNATURE_NAME).write_text("untrusted comment: x\n"), "is no signature"),
        (lambda path: (path / SIGNATURE_NAME).write_bytes(b"\x00\xff" * 9), "holds no signatures"),
        (lambda path: (path / SIGNATURE_NAME).write_bytes(b"a" * 70_000), "larger than 65536 bytes"),
        # Never parsed before it was verified: what a parser would say of it is not heard.
        (lambda path: (path / "manifest.json").write_bytes(b"[" * 100_000), "does not fit its manifest"),
    ],
)
def test_what_was_done_to_a_signed_bundle_is_found(
    signed: Path, public: Path, attack: Callable[[Path], object], says: str
) -> None:
    attack(signed)

    with pytest.raises(BundleError) as error:
        load_bundle(signed, [public])

    assert says in str(error.value)
    assert str(signed) in str(error.value)


def test_a_manifest_that_points_outside_is_refused_though_it_is_signed(
    signed: Path, key: Path, public: Path
) -> None:
    file = signed / "manifest.json"
    document = json.loads(file.read_text())
    document["files"]["../secret"] = "0" * 64
    file.write_text(json.dumps(document))
    private = read_private_key(key)
    value = private.key.sign(signed_message(file.read_bytes()))
    _write_signature(signed, private.id, value)

    with pytest.raises(BundleError, match=r"names '\.\./secret'"):
        load_bundle(signed, [public])


def test_the_signature_of_another_bundle_does_not_fit(
    signed: Path, public: Path, toy_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    other = toy_bundle(tmp_path / "other", threshold=0.7)
    shutil.copy(signed / SIGNATURE_NAME, other.path)
    with pytest.raises(BundleError, match="of another bundle"):
        load_bundle(other.path, [public])


def test_only_the_trusted_keys_count_and_one_of_them_suffices(
    signed: Path, public: Path, tmp_path: Path
) -> None:
    name, other = write_new_key(tmp_path / "other.key")
    with pytest.raises(BundleError, match=f"a signature by {name} is required"):
        load_bundle(signed, [other])
    mine = read_public_keys([public])[0].id
    assert load_bundle(signed, [other, public]).signed_by == mine
    # The new key signs beside the old one, so that machines with either take the bundle.
    sign_bundle(signed, read_private_key(tmp_path / "other.key"))
    assert load_bundle(signed, [other]).signed_by == name
    assert load_bundle(signed, [public]).signed_by == mine


def test_a_key_that_claims_anothers_id_is_not_believed(signed: Path, public: Path, tmp_path: Path) -> None:
    mine = read_public_keys([public])[0].id
    write_new_key(tmp_path / "thief.key")
    thief = read_private_key(tmp_path / "thief.key")
    sign_bundle(signed, PrivateKey(mine, thief.key))
    with pytest.raises(BundleError, match="does not fit its manifest"):
        load_bundle(signed, [public])


def test_a_signature_without_the_line_that_says_of_what_is_none(
    signed: Path, key: Path, public: Path
) -> None:
    private = read_private_key(key)
    _write_signature(signed, private.id, private.key.sign((signed / "manifest.json").read_bytes()))
    with pytest.raises(BundleError, match="does not fit"):
        load_bundle(signed, [public])


def test_signing_again_replaces_and_a_new_manifest_has_no_signature(
    signed: Path, key: Path, public: Path
) -> None:
    sign_bundle(signed, read_private_key(key))
    assert len((signed / SIGNATURE_NAME).read_text().splitlines()) == 1
    before = load_bundle(signed)
    write_bundle(signed, {name: signed / name for name in before.manifest.files}, before.manifest)
    with pytest.raises(BundleError, match="is not signed"):
        load_bundle(signed, [public])


def test_a_damaged_bundle_is_not_signed(bundle: Bundle, key: Path) -> None:
    _swap_file(bundle.path)
    with pytest.raises(BundleError, match=r"model\.onnx is changed"):
        sign_bundle(bundle.path, read_private_key(key))
    assert not (bundle.path / SIGNATURE_NAME).exists()


def test_no_keys_at_all_are_a_mistake_and_not_a_free_pass(signed: Path) -> None:
    with pytest.raises(ConfigError, match="by no key"):
        read_manifest(signed, [])


def test_a_private_key_is_its_owners_alone_and_never_replaced(key: Path, public: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(ConfigError, match="no key is replaced"):
        write_new_key(key)
    key.unlink()
    with pytest.raises(ConfigError, match="no key is replaced"):
        write_new_key(key)
    assert not key.exists()
    assert b"PRIVATE KEY" in before
    assert b"PRIVATE" not in public.read_bytes()


def test_a_passphrase_of_the_environment_protects_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    name, _ = write_new_key(tmp_path / "safe.key")
    assert b"ENCRYPTED" in (tmp_path / "safe.key").read_bytes()
    assert read_private_key(tmp_path / "safe.key").id == name
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(ConfigError, match="is not an Ed25519 private key that"):
        read_private_key(tmp_path / "safe.key")
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(ConfigError, match=f"its passphrase into {PASSPHRASE_VARIABLE}"):
        read_private_key(tmp_path / "safe.key")


def _rsa() -> bytes:
    made = rsa.generate_private_key(65537, 2048).public_key()
    return made.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda key, public: key.read_bytes(), "holds a private key, expected one public key"),
        (lambda key, public: 2 * public.read_bytes(), "holds 2 PEM blocks"),
        (lambda key, public: b"", "holds 0 PEM blocks"),
        (lambda key, public: b"ssh-ed25519 AAAA me@here", "holds 0 PEM blocks"),
        (lambda key, public: _rsa(), "holds a RSAPublicKey, expected an Ed25519 public key"),
        (lambda key, public: public.read_bytes().replace(b"MC", b"!!"), "is not an Ed25519 public key"),
    ],
)
def test_a_file_that_holds_no_public_key_is_named(
    key: Path, public: Path, tmp_path: Path, content: Callable[[Path, Path], bytes], says: str
) -> None:
    file = tmp_path / "given.pem"
    file.write_bytes(content(key, public))
    with pytest.raises(ConfigError) as error:
        read_public_keys([file])
    assert says in str(error.value)


@needs_openssl
def test_openssl_verifies_what_we_sign(signed: Path, public: Path, tmp_path: Path) -> None:
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(signed_message((signed / "manifest.json").read_bytes()))
    fields = (signed / SIGNATURE_NAME).read_text().split()
    signature.write_bytes(base64.b64decode(fields[3]))
    _openssl(
        "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", message, "-sigfile", signature
    )
    der = _openssl("pkey", "-pubin", "-in", public, "-outform", "DER")
    assert hashlib.sha256(der).hexdigest()[:16] == fields[2]


@needs_openssl
def test_we_verify_what_openssl_signs_with_its_own_key(bundle: Bundle, tmp_path: Path) -> None:
    key, public, message = tmp_path / "own.key", tmp_path / "own.pub", tmp_path / "message"
    _openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    _openssl("pkey", "-in", key, "-pubout", "-out", public)
    message.write_bytes(signed_message((bundle.path / "manifest.json").read_bytes()))
    value = _openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message)
    name = read_private_key(key).id
    _write_signature(bundle.path, name, value)
    assert load_bundle(bundle.path, [public]).signed_by == name


@needs_openssl
def test_openssl_opens_our_encrypted_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    _, public = write_new_key(tmp_path / "safe.key")
    shown = _openssl("pkey", "-in", tmp_path / "safe.key", "-passin", f"env:{PASSPHRASE_VARIABLE}", "-pubout")
    assert shown == public.read_bytes()


def test_a_key_of_the_library_is_read_as_it_writes_it(tmp_path: Path) -> None:
    made = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "raw.key").write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert read_private_key(tmp_path / "raw.key").key.private_bytes_raw() == made.private_bytes_raw()


def _openssl(*arguments: object) -> bytes:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=60, env=dict(os.environ)).stdout


def _write_signature(folder: Path, key_id: str, value: bytes) -> None:
    coded = base64.b64encode(value).decode()
    (folder / SIGNATURE_NAME).write_text(f"realnet-edge-signature-1 ed25519 {key_id} {coded}\n")
