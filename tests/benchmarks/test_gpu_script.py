"""`benchmarks/gpu.sh`, as far as a machine without a GPU can show it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from realnet_edge.cli.main import cli
from realnet_edge.runtime.gpu import cuda_devices


def _run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(repository / "benchmarks" / "gpu.sh"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _commands(plan: str) -> list[list[str]]:
    """The words behind `realnet-edge` of every such command."""
    lines = [line.split() for line in plan.splitlines() if "/realnet-edge " in line]
    return [line[1:] for line in lines]


def test_the_plan_checks_first_and_measures_every_backend(repository: Path, tmp_path: Path) -> None:
    done = _run(repository, "--dry-run", "--workspace", str(tmp_path), "--category", "bolt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("-m pytest -q -m gpu") < done.stdout.index("realnet-edge bench")
    built = [command for command in _commands(done.stdout) if command[0] == "build"]
    for precision in ("fp32", "fp16", "int8"):
        assert any("--prepare" in words and precision in words for words in built)
        assert [str(tmp_path / "bolt" / "prepared" / f"tensorrt-{precision}")] in [
            words[-1:] for words in built
        ]
    named = {words[words.index("--backend") + 1] for words in built if "--backend" in words}
    assert named == {"tensorrt", "onnxruntime-tensorrt", "onnxruntime-cuda"}
    for program in ("floor.py", "network.py", "kernels.py"):
        assert (repository / "benchmarks" / program).is_file()
        assert f"benchmarks/{program}" in done.stdout
    assert not list(tmp_path.iterdir())


def test_every_command_of_the_plan_is_one_that_the_program_takes(repository: Path, tmp_path: Path) -> None:
    """Parsed by the program itself: without a checkpoint each ends at that, none at an option."""
    commands = _commands(_run(repository, "--dry-run", "--workspace", str(tmp_path / "ws")).stdout)
    assert len(commands) > 10
    for command in commands:
        if command[0] in ("build", "bench"):
            result = CliRunner().invoke(cli, command)
            assert result.exit_code == 1, (command, result.output)


@pytest.mark.skipif(bool(cuda_devices()[0]), reason="has a GPU")
def test_without_a_gpu_it_says_so_and_does_nothing(repository: Path) -> None:
    done = _run(repository)
    assert done.returncode == 2
    assert "no NVIDIA GPU" in done.stderr
    assert done.stdout == ""


def test_an_option_it_does_not_have_shows_how_it_is_called(repository: Path) -> None:
    done = _run(repository, "--all")
    assert done.returncode == 2
    assert "benchmarks/gpu.sh [--dry-run]" in done.stderr
