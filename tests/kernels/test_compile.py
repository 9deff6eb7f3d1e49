"""Compiling kernels ahead of time, for GPUs that are not here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from realnet_edge.errors import ConfigError, KernelError
from realnet_edge.kernels import catalogue
from realnet_edge.kernels.ahead_of_time import compile_kernels
from realnet_edge.kernels.catalogue import find_kernels
from realnet_edge.kernels.compile import command
from realnet_edge.kernels.compiled import list_compiled, load_compiled
from realnet_edge.kernels.ptx import entry_parameters
from realnet_edge.kernels.ptxas import find_ptxas
from realnet_edge.kernels.spec import KernelSpec
from realnet_edge.kernels.targets import TARGETS, Target, dotted, find_target
from realnet_edge.kernels.triton_child import make_source
from realnet_edge.kernels.triton_process import compiling, hash_kernels

ORIN = find_target(87)


def _run(monkeypatch: pytest.MonkeyPatch, specs: tuple[KernelSpec, ...], *arguments: str) -> Result:
    """The command on these kernels instead of the catalogue's."""
    monkeypatch.setattr(catalogue, "CATALOGUE", specs)
    monkeypatch.setattr(catalogue, "OTHERS", ())
    return CliRunner().invoke(command, arguments)


def _identities(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written anew, for every file in a folder."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_target_is_compiled_and_assembled(target: Target, compiled: Any, tmp_path: Path) -> None:
    result = next((result for result in compiled.results if result.target is target), None)
    if result is None:
        pytest.skip(f"no ptxas here knows {target.name}")
    assert result.error is None
    assert [kernel.name for kernel in result.kernels] == ["peak_f32_f16", "centre_f16"]
    for spec, kernel in zip(compiled.specs, result.kernels, strict=True):
        assert load_compiled(compiled.out, target.sm, kernel.name) == kernel
        assert kernel.resources.registers > 0
        assert not kernel.resources.spills
        source = compiled.out / target.name / f"{kernel.name}.ptx"
        ptx = source.read_text()
        assert f".version {dotted(target.default_ptx)}\n.target {target.name}\n" in ptx
        assert re.search(rf"\.reqntid {kernel.threads_per_block}\b", ptx)
        # Exactly the declared parameters, and they still assemble.
        assert [bits for _, bits, _ in entry_parameters(ptx)] == [p.bits for p in spec.parameters]
        assert (kernel.global_scratch, kernel.profile_scratch) == (0, 0)
        ptxas = find_ptxas(target, target.default_ptx)
        again = [ptxas.path, f"--gpu-name={target.name}", source, "-o", tmp_path / "again.cubin"]
        subprocess.run(again, check=True)
        cubin = (compiled.out / target.name / f"{kernel.name}.cubin").read_bytes()
        assert cubin.startswith(b"\x7fELF")
        assert kernel.name.encode() in cubin


def test_files_name_nothing_of_this_machine(compiled: Any, repository: Path) -> None:
    for path in compiled.out.rglob("*.*"):
        content = path.read_bytes()
        assert str(repository).encode() not in content, path
        assert b"/tmp/" not in content, path


def test_metadata_says_how_to_launch(compiled: Any) -> None:
    document = json.loads((compiled.out / "sm_87" / "peak_f32_f16.json").read_text())
    assert document["parameters"] == [
        {"name": "sources[0]", "type": "*fp32", "kind": "pointer"},
        {"name": "sources[1]", "type": "*fp16", "kind": "pointer"},
        {"name": "out", "type": "*fp32", "kind": "pointer"},
        {"name": "count", "type": "i32", "kind": "integer"},
        {"name": "factor", "type": "fp32", "kind": "float"},
    ]
    assert document["constants"] == {"absent": None, "TERMS": 2, "BLOCK": 512}
    assert document["threads_per_block"] == 128
    assert document["dynamic_shared"] > 0
    assert document["scratch_parameters"] == "stripped"
    index = json.loads((compiled.out / "index.json").read_text())
    assert set(index["targets"]) == {result.target.name for result in compiled.results}
    assert index["targets"]["sm_87"]["peak_f32_f16"] == document


def test_alignment_makes_accesses_wide(compiled: Any) -> None:
    wide = re.compile(r"ld\.global\.v\d")
    texts = {s.name: (compiled.out / "sm_87" / f"{s.name}.ptx").read_text() for s in compiled.specs}
    assert wide.search(texts["peak_f32_f16"])  # declared aligned
    assert not wide.search(texts["centre_f16"])  # not declared


def test_what_is_up_to_date_is_not_compiled_again(
    small_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs, out = (small_kernels.peak, small_kernels.centre), tmp_path / "out"
    arguments = ["--sm", "87", "--out", str(out), "--json"]

    def compiled_by(*more: str) -> list[str]:
        result = _run(monkeypatch, specs, *arguments, *more)
        assert result.exit_code == 0, result.stderr
        assert result.stderr == ""  # quiet where there is no terminal
        return list(json.loads(result.stdout)["targets"][0]["compiled"])

    folder = out / "sm_87"
    assert compiled_by() == ["peak_f32_f16", "centre_f16"]
    first = _identities(folder)
    assert compiled_by() == []
    assert _identities(folder) == first
    # What only changes another kernel's helper leaves this one alone, down to its modification time.
    text = small_kernels.path.read_text()
    small_kernels.path.write_text(text.replace("factor * 2.0", "factor * 3.0"))
    assert compiled_by() == ["peak_f32_f16"]
    second = _identities(folder)
    assert second["centre_f16.ptx"][1] == first["centre_f16.ptx"][1]
    assert second["peak_f32_f16.ptx"][1] != first["peak_f32_f16.ptx"][1]
    assert compiled_by("--kernel", "centre_f16", "--force") == ["centre_f16"]
    assert _identities(folder)["centre_f16.ptx"][1] != second["centre_f16.ptx"][1]
    assert load_compiled(out, 87, "peak_f32_f16").name == "peak_f32_f16"  # not asked for, and still there


def test_one_kind_of_file_alone(small_kernels: Any, tmp_path: Path) -> None:
    specs, out = (small_kernels.centre,), tmp_path / "out"
    compile_kernels(specs, [ORIN], out, kinds=["ptx"])
    assert sorted(path.name for path in (out / "sm_87").iterdir()) == ["centre_f16.json", "centre_f16.ptx"]
    assert load_compiled(out, 87, "centre_f16").cubin_sha256 is None
    (result,) = compile_kernels(specs, [ORIN], out, kinds=["cubin"])  # the other kind stays
    assert result.compiled == ("centre_f16",)
    assert load_compiled(out, 87, "centre_f16").kinds == {"ptx", "cubin"}


def test_hash_covers_called_functions_types_and_constants(small_kernels: Any) -> None:
    peak, centre = small_kernels.peak, small_kernels.centre
    other_size = KernelSpec("larger", centre.function, centre.arguments, {"BLOCK": 512})
    _, before = hash_kernels([peak, centre, other_size])
    assert before["larger"] != before["centre_f16"]
    text = small_kernels.path.read_text()
    small_kernels.path.write_text(text.replace("factor * 2.0", "factor * 3.0"))
    _, after = hash_kernels([peak, centre, other_size])
    assert after["peak_f32_f16"] != before["peak_f32_f16"]
    assert after["centre_f16"] == before["centre_f16"]


def test_spilling_kernel_is_marked(
    small_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = (small_kernels.centre, small_kernels.spilling)
    result = _run(monkeypatch, specs, "--sm", "87", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert result.stdout == ""
    rows = {line.split("│")[3].strip(): line for line in result.stderr.splitlines() if "sm_87" in line}
    assert "SPILLS" in rows["centre_spilling"]
    assert "SPILLS" not in rows["centre_f16"]
    assert "1 of 2 spill registers" in result.stderr
    needs = json.loads((tmp_path / "out/index.json").read_text())["targets"]["sm_87"]["centre_spilling"]
    assert needs["resources"]["spill_stores"] > 0
    assert needs["resources"]["stack"] > 0


def test_version_below_the_target_s_is_refused_before_anything_runs(
    small_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    arguments = ("--sm", "87", "--sm", "120", "--ptx-version", "86", "--out", str(out))
    result = _run(monkeypatch, (small_kernels.peak,), *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: PTX 8.6 is too old for sm_120")
    assert not out.exists()


def test_llvm_that_ends_the_process_becomes_an_error(small_kernels: Any) -> None:
    if tuple(int(part) for part in version("triton").split(".")[:2]) < (3, 9):
        pytest.skip("the LLVM of this Triton writes too old a version without a word")
    # The way round the check: what the command does after it.
    blackwell = find_target(120)
    with (
        pytest.raises(
            KernelError, match=r"(?s)sm_120, PTX 8\.0: .*at kernel centre_f16.*--ptx-version"
        ) as caught,
        compiling([small_kernels.centre], blackwell, 80) as outputs,
    ):
        list(outputs)
    assert "LLVM ERROR" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_signal_that_ends_the_process_becomes_an_error(small_kernels: Any) -> None:
    text = small_kernels.path.read_text()
    small_kernels.path.write_text(f"{text}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    with (
        pytest.raises(KernelError, match=r"sm_87, PTX 8\.5: .*SIGKILL at kernel centre_f16.*memory ran out"),
        compiling([small_kernels.centre], ORIN, 85) as outputs,
    ):
        list(outputs)


def test_target_that_fails_leaves_the_others_and_what_was_there(
    small_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    turing = ("--sm", "75", "--out", str(out))
    assert _run(monkeypatch, (small_kernels.centre,), *turing).exit_code == 0
    before = _identities(out / "sm_75")
    specs = (small_kernels.centre, small_kernels.ampere)
    result = _run(monkeypatch, specs, *turing, "--sm", "87", "--json", "--force")
    assert result.exit_code == 1
    assert "refuses the PTX for sm_75" in result.stderr
    assert "Error: ampere: " in result.stderr
    document = json.loads(result.stdout)
    assert [target["compiled"] for target in document["targets"]] == [[], ["centre_f16", "ampere"]]
    assert not document["ok"]
    assert _identities(out / "sm_75") == before
    assert set(json.loads((out / "index.json").read_text())["targets"]["sm_75"]) == {"centre_f16"}


def test_kernel_with_a_mistake_is_named(
    small_kernels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(monkeypatch, (small_kernels.broken,), "--sm", "87", "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "kernel broken does not compile" in result.stderr
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "sm_87").exists()


def test_killed_command_leaves_nothing_that_looks_finished(small_kernels: Any, tmp_path: Path) -> None:
    out, count = tmp_path / "out", 6
    specs = [
        KernelSpec(f"k{i}", small_kernels.centre.function, small_kernels.centre.arguments, {"BLOCK": 256})
        for i in range(count)
    ]
    program = (
        "import json, sys\n"
        "from realnet_edge.kernels import catalogue, compile, spec\n"
        "specs = json.loads(sys.argv.pop())\n"
        "catalogue.CATALOGUE = tuple(spec.KernelSpec.from_dict(one) for one in specs)\n"
        "catalogue.OTHERS = ()\n"
        "compile.main()\n"
    )
    documents = json.dumps([spec.to_dict() for spec in specs])
    arguments = [sys.executable, "-c", program, "--sm", "87", "--out", str(out), documents]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    while not list(out.glob(".sm_87.*/*.json")):
        assert process.poll() is None, "it ended before anything could be killed"
        time.sleep(0.001)
    process.kill()
    process.wait()
    written = len(list(out.glob(".sm_87.*/*.json")))
    assert 0 < written < count
    assert not (out / "sm_87").exists()
    assert not (out / "index.json").exists()
    assert list_compiled(out) == []


def test_damaged_or_missing_files_are_not_loaded(small_kernels: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KernelError, match=r"no compiled kernel .*--sm 87 --kernel centre_f16 --out"):
        load_compiled(out, 87, "centre_f16")
    compile_kernels([small_kernels.centre], [ORIN], out)
    cubin = out / "sm_87" / "centre_f16.cubin"
    cubin.write_bytes(cubin.read_bytes()[:-1] + b"x")
    with pytest.raises(KernelError, match=r"centre_f16\.cubin is missing or is not what was compiled"):
        load_compiled(out, 87, "centre_f16")
    metadata = cubin.with_suffix(".json")
    metadata.write_text(metadata.read_text().replace('"schema": 1', '"schema": 0'))
    with pytest.raises(KernelError, match="schema 0"):
        load_compiled(out, 87, "centre_f16")
    metadata.write_text(metadata.read_text()[:100])
    with pytest.raises(KernelError, match="cannot be used"):
        load_compiled(out, 87, "centre_f16")


def test_missing_triton_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not installed
    result = CliRunner().invoke(command, ["--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "pip install 'realnet-edge[kernels]'" in result.stderr


def test_help_and_list_need_neither_torch_nor_triton() -> None:
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from realnet_edge.kernels.compile import command\n"
        "assert CliRunner().invoke(command, ['--help']).exit_code == 0\n"
        "listed = CliRunner().invoke(command, ['--list'])\n"
        "assert 'Jetson Orin' in listed.output, listed.output\n"
        "assert not {'torch', 'triton'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_list_as_json(small_kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _run(monkeypatch, (small_kernels.peak,), "--list", "--json", "--sm", "110")
    document = json.loads(result.stdout)
    assert [target["sm"] for target in document["targets"]] == [110]
    assert KernelSpec.from_dict(document["kernels"][0]) == small_kernels.peak


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sm", "87"], "--out is missing"),
        (["--kernel", "nothing", "--list"], "there is no kernel nothing. Valid are: peak_f32_f16"),
        (["--sm", "88", "--list"], "not compiled for SM 88"),
    ],
)
def test_usage_errors(
    arguments: list[str], message: str, small_kernels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _run(monkeypatch, (small_kernels.peak,), *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a-b"}, "is no name for a kernel"),
        ({"function": "peak"}, "package.module:function"),
        ({"arguments": {"x": "fp16"}}, "argument x has type 'fp16'.*i32, i64, fp32"),
        ({"arguments": {"x": ("*fp16", "*fp7")}}, r"argument x\[1\] has type"),
        ({"aligned": ("y",)}, r"aligned names no argument: \['y'\]"),
        ({"num_warps": 3}, "3 warps"),
    ],
)
def test_specification_that_cannot_be_compiled_is_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"name": "a", "function": "b:c", "arguments": {"x": "*fp32"}}
    KernelSpec(**good)
    with pytest.raises(ConfigError, match=message):
        KernelSpec(**{**good, **change})


def test_arguments_that_are_not_the_function_s_are_refused(small_kernels: Any) -> None:
    wrong = KernelSpec(
        "wrong", small_kernels.centre.function, {"out": "*fp32", "source": "*fp16"}, {"BLOCK": 8}
    )
    with pytest.raises(KernelError, match=r"wrong does not compile.*\['source', 'out', 'BLOCK'\]"):
        hash_kernels([wrong])


# One of each function; a whole target takes more than a minute, nearly all of it in the compilers.
SAMPLE = (
    "afs_gather_f32_f16_nhwc_std",
    "rrs_pool_f16_nchw_b3",
    "rrs_rank_mean",
    "rrs_gather_f32_f16_nhwc_b3",
    "rrs_gather_f16_f16_nchw_b5",
)


@pytest.mark.usefixtures("triton")
@pytest.mark.parametrize(
    ("target", "names"),
    [
        pytest.param(ORIN, SAMPLE, id="sample-sm_87"),
        *(pytest.param(target, (), id=target.name, marks=pytest.mark.slow) for target in TARGETS),
    ],
)
def test_catalogue_compiles_without_spills(target: Target, names: tuple[str, ...], tmp_path: Path) -> None:
    specs = find_kernels(names)
    (result,) = compile_kernels(specs, [target], tmp_path)
    assert result.error is None
    assert [kernel.name for kernel in result.kernels] == [spec.name for spec in specs]
    assert [kernel.name for kernel in result.kernels if kernel.resources.spills] == []


@pytest.mark.usefixtures("triton")
def test_whole_catalogue_fits_its_functions_and_launchers() -> None:
    for spec in (*catalogue.CATALOGUE, *catalogue.OTHERS):
        make_source(spec)  # refuses arguments that the function does not have
    from realnet_edge.kernels import afs_triton, rrs_gather_triton, rrs_select_triton

    for launcher in (rrs_select_triton, rrs_gather_triton):
        assert (catalogue.TILE, catalogue.SIDE_BY_SIDE) == (launcher.TILE, launcher.SIDE_BY_SIDE)
    assert (catalogue.PLACED, catalogue.COMPARED) == (rrs_select_triton.PLACED, rrs_select_triton.COMPARED)
    assert (catalogue.AFS_TILE, catalogue.NARROW) == (afs_triton.AFS_TILE, afs_triton.NARROW)
