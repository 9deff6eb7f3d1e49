"""Keys and signatures on the command line, and every command that loads a bundle only if it is signed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli


@pytest.fixture
def bundles(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    """Two bundles of category toy, `onnxruntime-fp32` signed by `line.key`, `onnxruntime-int8` by nobody."""
    folder = tmp_path / "toy" / "bundles"
    for precision in ("fp32", "int8"):
        toy_bundle(folder / f"onnxruntime-{precision}", precision=precision)
    assert call("keygen", tmp_path / "line.key").exit_code == 0
    assert call("sign", folder / "onnxruntime-fp32", "--key", tmp_path / "line.key").exit_code == 0
    return folder


@pytest.fixture
def run(parts: Path, tmp_path: Path) -> Callable[..., Result]:
    def run_with(*arguments: object) -> Result:
        options = ["--source", parts, "--limit", 1, "--threads", 1, "--workspace", tmp_path]
        return call("run", *options, *arguments)

    return run_with


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_keygen_sign_and_verify_agree_on_one_key(toy_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b")
    made = json.loads(call("keygen", tmp_path / "k", "--json").stdout)
    signed = json.loads(call("sign", bundle.path, "--key", made["private"], "--json").stdout)
    assert signed == {"bundle": str(bundle.path), "id": bundle.id, "key": made["key"]}
    verified = call("verify-signature", bundle.path, "--public-key", made["public"], "--json")
    expected = {"ok": True, "bundle": str(bundle.path), "id": bundle.id, "key": made["key"], "error": None}
    assert (verified.exit_code, json.loads(verified.stdout)) == (0, expected)
    # Signing leaves the bundle what it was.
    assert call("verify", bundle.path).exit_code == 0


def test_verify_signature_tells_what_is_not_signed_and_exits_with_1(bundles: Path, tmp_path: Path) -> None:
    unsigned = bundles / "onnxruntime-int8"
    done = call("verify-signature", unsigned, "--public-key", tmp_path / "line.key.pub", "--json")
    assert done.exit_code == 1
    assert "is not signed" in json.loads(done.stdout)["error"]
    assert json.loads(done.stdout)["ok"] is False
    assert "FAILED" in done.stderr


def test_run_takes_the_signed_bundle_and_says_by_whom(run: Callable[..., Result], bundles: Path) -> None:
    key = bundles.parents[1] / "line.key.pub"
    done = run("--bundle", bundles / "onnxruntime-fp32", "--require-signature", key)
    assert done.exit_code == 0, done.stderr
    assert ", signed by " in done.stderr
    # Without a requirement the other one runs, too.
    assert run("--bundle", bundles / "onnxruntime-int8").exit_code == 0


def test_run_refuses_what_is_not_signed_as_engine_and_as_fallback(
    run: Callable[..., Result], bundles: Path
) -> None:
    key = bundles.parents[1] / "line.key.pub"
    signed, unsigned = bundles / "onnxruntime-fp32", bundles / "onnxruntime-int8"
    for options in (
        ["--bundle", unsigned],
        # The best of the category is int8: it is refused, not passed over for one that is signed.
        ["--category", "toy"],
        ["--bundle", signed, "--fallback", unsigned],
    ):
        done = run(*options, "--require-signature", key)
        assert (done.exit_code, done.stdout) == (1, ""), done.stderr
        assert f"{unsigned}: is not signed" in done.stderr


def test_a_machine_can_require_signatures_of_every_command(
    run: Callable[..., Result], bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("keygen", tmp_path / "other.key")
    keys = f"{tmp_path / 'other.key.pub'}:{tmp_path / 'line.key.pub'}"
    monkeypatch.setenv("REALNET_EDGE_REQUIRE_SIGNATURE", keys)
    unsigned = bundles / "onnxruntime-int8"
    commands = (
        ["run", "--bundle", unsigned, "--source", tmp_path],
        ["bench", "--category", "toy", "--precision", "int8", "--workspace", tmp_path],
        ["build", "--on-target", unsigned, "--workspace", tmp_path / "elsewhere"],
        ["service", "--bundle", unsigned, "--source", "rtsp://camera/"],
    )
    for arguments in commands:
        done = call(*arguments)
        assert done.exit_code == 1, done.stderr
        assert f"{unsigned}: is not signed" in done.stderr
    assert run("--bundle", bundles / "onnxruntime-fp32").exit_code == 0
    # Past the signature, to what else is wrong.
    done = call("build", "--on-target", bundles / "onnxruntime-fp32", "--workspace", tmp_path / "elsewhere")
    assert "has its engine already" in done.stderr


def test_the_base_installation_runs_without_what_signs_and_says_what_is_missing(
    bundles: Path, parts: Path, tmp_path: Path
) -> None:
    run = f"run --bundle {bundles / 'onnxruntime-fp32'} --source {parts} --limit 1 --threads 1"
    for arguments, code in (
        (run, 0),
        (f"{run} --require-signature {tmp_path / 'line.key.pub'}", 1),
        (f"keygen {tmp_path / 'new.key'}", 1),
    ):
        program = (
            "import sys; sys.modules['cryptography'] = None\n"
            "from realnet_edge.cli.main import main\n"
            f"sys.argv = ['realnet-edge', *{arguments.split()!r}]; main()"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert ("pip install 'realnet-edge[sign]'" in done.stderr) is (code == 1)
    assert not (tmp_path / "new.key").exists()


def test_a_key_that_is_none_is_a_usage_error(run: Callable[..., Result], bundles: Path) -> None:
    done = run(
        "--bundle", bundles / "onnxruntime-fp32", "--require-signature", bundles.parents[1] / "line.key"
    )
    assert done.exit_code == 2
    assert "holds a private key, expected one public key" in done.stderr
