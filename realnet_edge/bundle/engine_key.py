"""What a TensorRT engine is bound to: it is machine code for one graph, one TensorRT and one GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realnet_edge.bundle.fields import Fields, field_names

# The module that builds and runs the engine: TensorRT, or TensorRT for RTX.
FLAVOURS = ("tensorrt", "tensorrt_rtx")


@dataclass(frozen=True)
class EngineTarget:
    """The machine's part.

    Attributes:
        flavour: "tensorrt" or "tensorrt_rtx".
        version: of TensorRT, such as "10.3.0".
        gpu: name of the GPU.
        compute_capability: of the GPU, such as "8.7".
        cuda: version of CUDA that the driver supports, such as "12.6".
    """

    flavour: str
    version: str
    gpu: str
    compute_capability: str
    cuda: str

    @classmethod
    def from_dict(cls, document: object) -> EngineTarget:
        """Read and check; raises BundleError naming the key."""
        read = Fields(document, "manifest.engine_key.target", field_names(cls))
        return cls(
            read.choice("flavour", FLAVOURS),
            read.text("version"),
            read.text("gpu"),
            read.text("compute_capability"),
            read.text("cuda"),
        )


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """Everything that, if it were another, would ask for another engine.

    Attributes:
        target: the machine that the engine was built on.
        graph_sha256: SHA-256 over the ONNX graph as TensorRT read it, external data included.
        precision: "fp32", "fp16" or "int8".
        profile: smallest, optimal and largest batch.
        settings: of the builder, name -> value.
        calibration_sha256: hash of the list of calibration images, None where there are none.
        plugins_sha256: hash of the plugins that the engine calls, None where there are none.
    """

    target: EngineTarget
    graph_sha256: str
    precision: str
    profile: tuple[int, int, int]
    settings: Mapping[str, Any]
    calibration_sha256: str | None = None
    plugins_sha256: str | None = None

    @classmethod
    def from_dict(cls, document: object) -> EngineKey:
        """Read and check; raises BundleError naming the key."""
        read = Fields(document, "manifest.engine_key", field_names(cls))
        low, best, high = read.integers("profile", 3, 1)
        return cls(
            target=EngineTarget.from_dict(read.raw("target")),
            graph_sha256=read.digest("graph_sha256"),
            precision=read.choice("precision", ("fp32", "fp16", "int8")),
            profile=(low, best, high),
            settings=read.mapping("settings"),
            calibration_sha256=_digest(read, "calibration_sha256"),
            plugins_sha256=_digest(read, "plugins_sha256"),
        )


def changed(before: EngineKey, now: EngineKey) -> list[str]:
    """What differs between two keys, each as "name: before -> now"; empty where they are the same."""
    return _differences(_flat(before), _flat(now))


def changed_target(key: EngineKey, here: EngineTarget) -> list[str]:
    """What of this machine keeps it from running an engine; empty where nothing does.

    A version-compatible engine runs on later TensorRTs of its major version, and a hardware-compatible one on
    GPUs of compute capability 8.0 and more; neither runs with another flavour.
    """
    built, found = dataclasses.asdict(key.target), dataclasses.asdict(here)
    if key.settings.get("version_compatible") and _is_later(here.version, key.target.version):
        found.update(version=built["version"], cuda=built["cuda"])
    if key.settings.get("hardware_compatible") and _numbers(here.compute_capability) >= (8, 0):
        found.update(gpu=built["gpu"], compute_capability=built["compute_capability"])
    return _differences(built, found)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = dict.fromkeys([*before, *now])
    return [
        f"{name.replace('_', ' ')}: {_shown(before.get(name))} -> {_shown(now.get(name))}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _flat(key: EngineKey) -> dict[str, Any]:
    document = dataclasses.asdict(key)
    target, settings = document.pop("target"), document.pop("settings")
    return {**target, **document, "profile": list(key.profile), **settings}


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    # Hashes differ or they do not; nobody reads 64 digits of them.
    return text[:12] if len(text) == 64 else text


def _is_later(version: str, than: str) -> bool:
    new, old = _numbers(version), _numbers(than)
    return new[:1] == old[:1] and new >= old


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _digest(read: Fields, key: str) -> str | None:
    return None if read.raw(key) is None else read.digest(key)
