"""Imports go one way, and the packages an edge device runs need no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "realnet_edge"
MAPPED = ("kernels", "export", "calibrate")

BASE = frozenset(
    {"errors", "files", "backbones", "config", "imaging", "workspace", "tiles", "installed", "serving"}
)
# For its PyTorch row the bench needs what brings torch: inside functions only.
BENCH_LATE = frozenset({"model", "export"})
# What each part may import besides itself and BASE.
ALLOWED: dict[str, frozenset[str]] = {
    **dict.fromkeys(BASE, frozenset()),
    "presets": frozenset(),
    "tile_advice": frozenset(),
    "preset_advice": frozenset({"presets", "tile_advice"}),
    "kernels": frozenset(),
    "data": frozenset(),
    "synthesis": frozenset(),
    "model": frozenset({"kernels"}),
    "metrics": frozenset(),
    "quality": frozenset({"model"}),
    "training": frozenset({"kernels", "data", "synthesis", "model", "metrics", "tile_advice"}),
    "diffusion": frozenset({"data", "synthesis", "model", "training"}),
    "bundle": frozenset(),
    # Of the kernels what launches those that were compiled beforehand.
    "runtime": frozenset({"bundle", "kernels"}),
    "camera": frozenset({"bundle", "runtime"}),
    "report": frozenset({"bundle", "runtime"}),
    "monitor": frozenset({"camera", "report"}),
    "intake": frozenset({"camera"}),
    "export": frozenset({"kernels", "model", "bundle", "runtime"}),
    "calibrate": frozenset({"kernels", "model", "data", "metrics", "bundle", "runtime", "export"}),
    "bench": frozenset({"data", "metrics", "bundle", "runtime", "report", "export", "model"}),
    "experiments": frozenset(
        {"data", "synthesis", "metrics", "quality", "bench", "export", "model", "runtime", "training"}
    ),
}
# The command line sees everything.
UNBOUND = frozenset({"cli", "__main__", "__init__"})

WITHOUT_TORCH = (
    "runtime",
    "camera",
    "monitor",
    "intake",
    "bundle",
    "data",
    "synthesis",
    "metrics",
    "report",
    "bench",
    "cli.main",
    "calibrate.on_target",
    "tile_advice",
    "preset_advice",
    # What a Jetson runs of a folder whose other modules need both torch and triton.
    "kernels.rrs_plugin",
)
HEAVY = ("torch", "timm", "torchvision")


def _modules() -> Iterator[tuple[str, Path]]:
    """(dotted name inside the package, file) of every module."""
    for path in sorted((REPOSITORY / PACKAGE).rglob("*.py")):
        yield ".".join(path.relative_to(REPOSITORY / PACKAGE).with_suffix("").parts), path
    for folder in MAPPED:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            yield ".".join(path.relative_to(REPOSITORY).with_suffix("").parts), path


def _own_imports(tree: ast.AST) -> Iterator[str]:
    """Parts of the package that are imported anywhere in a module, inside functions too."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            names = [f"{PACKAGE}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.startswith(f"{PACKAGE}."):
                yield name.split(".")[1]


def _at_import_time(tree: ast.Module) -> Iterator[str]:
    """Top-level packages that importing the module imports: nothing inside functions or TYPE_CHECKING."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
        pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize(("name", "path"), [pytest.param(n, p, id=n) for n, p in _modules()])
def test_imports_go_one_way(name: str, path: Path) -> None:
    part = name.split(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = set(_own_imports(tree))
    if part not in UNBOUND:
        allowed = ALLOWED[part] | BASE | {part, "__version__"}
        assert imported <= allowed, f"{path}: may not import {sorted(imported - allowed)}"
    bare = set(_at_import_time(tree)) & set(MAPPED)
    assert not bare, f"{path}: import {PACKAGE}.{bare.pop()}, not the bare folder"


def test_bench_imports_what_brings_torch_only_inside_functions() -> None:
    for path in (REPOSITORY / PACKAGE / "bench").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not BENCH_LATE & set(_own_imports(node)), f"{path}: import it where it is used"


def test_order_table_has_no_cycle_and_names_every_part() -> None:
    parts = {name.split(".")[0] for name, _ in _modules()} - UNBOUND
    assert parts == set(ALLOWED)
    settled: set[str] = set()
    while remaining := set(ALLOWED) - settled:
        ready = {part for part in remaining if ALLOWED[part] <= settled}
        assert ready, f"a cycle among {sorted(remaining)}"
        settled |= ready


def _modules_loaded_by(code: str) -> set[str]:
    """Top-level names in sys.modules after a fresh interpreter ran `code`."""
    report = "import sys; print('\\n'.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


def test_help_of_every_command_needs_no_torch() -> None:
    """It is what shows how to install the rest."""
    walk = """
import click
from click.testing import CliRunner
from realnet_edge.cli.main import cli

def commands(command, path):
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), [*path, name])

for path in commands(cli, []):
    assert CliRunner().invoke(cli, [*path, "--help"]).exit_code == 0, path
"""
    # Nor what reads images: half a second.
    assert not _modules_loaded_by(walk) & {*HEAVY, "triton", "cv2"}


@pytest.mark.parametrize("part", WITHOUT_TORCH)
def test_part_loads_without_torch(part: str) -> None:
    loaded = _modules_loaded_by(f"import {PACKAGE}.{part}")
    assert PACKAGE in loaded
    assert not loaded & {*HEAVY, "triton"}


def test_every_module_of_those_parts_is_free_of_torch_at_import_time() -> None:
    for name, path in _modules():
        # Of the kernels some are Triton's and torch's; which are not is tested above.
        if name.split(".")[0] in {part.split(".")[0] for part in WITHOUT_TORCH} - {"kernels"}:
            imported = set(_at_import_time(ast.parse(path.read_text(encoding="utf-8"))))
            assert not imported & set(HEAVY), f"{path} imports {sorted(imported & set(HEAVY))}"


def test_help_imports_nothing_heavy() -> None:
    loaded = _modules_loaded_by(
        "from click.testing import CliRunner\n"
        "from realnet_edge.cli.main import cli\n"
        "assert 'bench' in CliRunner().invoke(cli, ['--help']).output"
    )
    assert "click" in loaded
    assert not loaded & {*HEAVY, "numpy", "cv2", "matplotlib", "onnx", "onnxruntime", "openvino", "PIL"}


@pytest.mark.parametrize(
    "command",
    [
        "train --data {0} --category x --workspace {0}",
        "build --precision int8 --category x --workspace {0}",
        "synth quality --data {0} --category x --source scratches",
        "synth train --data {0} --category x --workspace {0}",
        "synth classifier --data {0} --workspace {0}",
        "synth sample --category x --count 1 --workspace {0}",
    ],
)
def test_what_is_not_there_is_said_before_torch_is_imported(command: str, tmp_path: Path) -> None:
    arguments = command.format(tmp_path).split()
    loaded = _modules_loaded_by(
        "from click.testing import CliRunner\n"
        "from realnet_edge.cli.main import cli\n"
        f"assert CliRunner().invoke(cli, {arguments!r}).exit_code == 1"
    )
    assert "click" in loaded
    assert not loaded & set(HEAVY)
