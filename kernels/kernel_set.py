"""Compiled kernels in memory: read from a folder, carried inside an engine, and identified by one hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import KernelError
from realnet_edge.kernels.catalogue import find_kernels
from realnet_edge.kernels.compiled import CUBIN, CompiledKernel, load_compiled
from realnet_edge.kernels.spec import KernelSpec
from realnet_edge.kernels.targets import find_target

# Blocks of threads get no more shared memory than this unless they ask for it, which no launcher here does.
_SHARED_LIMIT = 48 << 10


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel's code and what is known of it."""

    about: CompiledKernel
    cubin: bytes


@dataclass(frozen=True)
class KernelSet:
    """Kernels for one compute capability, by name."""

    kernels: Mapping[str, LoadedKernel]

    def __getitem__(self, name: str) -> LoadedKernel:
        if name not in self.kernels:
            raise KernelError(f"kernel {name} is not among those at hand: {', '.join(self.kernels)}.")
        return self.kernels[name]

    @property
    def sha256(self) -> str:
        """Hash of everything that is launched and of how it is launched."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def check_version(self) -> None:
        """Refuse code that takes other arguments than this version launches it with.

        Raises:
            KernelError: another version of the package compiled it.
            ConfigError: this version has no kernel of that name.
        """
        for spec in find_kernels(tuple(self.kernels)):
            if not _is_current(self[spec.name].about, spec):
                raise KernelError(f"kernel {spec.name} was compiled by another version of realnet-edge.")

    def to_bytes(self) -> bytes:
        """As an engine carries it."""
        document = {
            name: {"about": kernel.about.to_dict(), "cubin": base64.b64encode(kernel.cubin).decode()}
            for name, kernel in sorted(self.kernels.items())
        }
        return json.dumps(document, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> KernelSet:
        """Read what `to_bytes` gave.

        Raises:
            KernelError: it is damaged or of another version.
        """
        try:
            document = json.loads(content)
            kernels = {
                name: LoadedKernel(CompiledKernel.from_dict(one["about"]), base64.b64decode(one["cubin"]))
                for name, one in document.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KernelError(
                f"the engine's kernels cannot be read ({error!r}): build the bundle again."
            ) from error
        for name, kernel in kernels.items():
            _check(name, kernel)
        return cls(kernels)


def load_kernel_set(folder: Path, sm: int, names: Collection[str]) -> KernelSet:
    """Read cubins that were compiled ahead of time.

    Args:
        folder: what `python -m realnet_edge.kernels.compile` wrote to.
        sm: compute capability, 87 for 8.7.
        names: kernels of the catalogue.

    Raises:
        KernelError: one was not compiled for this GPU, or is damaged or of another version; the message gives
            the command.
        ConfigError: there is no such target.
    """
    find_target(sm)
    command = f"python -m realnet_edge.kernels.compile --sm {sm} --out {folder}{_named(names)}"
    where = folder / f"sm_{sm}"
    missing = [name for name in names if not (where / f"{name}.json").is_file()]
    if missing:
        raise KernelError(
            f"{where} lacks {len(missing)} of the {len(names)} kernels that are needed ({missing[0]}). "
            f"Compile them, on any Linux machine with Triton, and copy the folder: {command}"
        )
    kernels = {}
    for spec in find_kernels(tuple(names)):
        about = load_compiled(folder, sm, spec.name)
        file = where / f"{spec.name}.{CUBIN}"
        if CUBIN not in about.kinds:
            raise KernelError(f"{file} was not written, only PTX: {command} --cubin")
        if not _is_current(about, spec):
            raise KernelError(f"{file} was compiled by another version of realnet-edge: {command}")
        kernels[spec.name] = LoadedKernel(about, file.read_bytes())
        _check(spec.name, kernels[spec.name])
    return KernelSet(kernels)


def _is_current(about: CompiledKernel, spec: KernelSpec) -> bool:
    """Without Triton the source cannot be compared, what the launcher relies on can."""
    return (about.parameters, about.constants) == (spec.parameters, dict(spec.constants))


def _named(names: Collection[str]) -> str:
    """Options that name kernels, where some are not compiled unless asked for."""
    usual = {spec.name for spec in find_kernels()}
    return "" if set(names) <= usual else "".join(f" --kernel {name}" for name in names)


def _check(name: str, kernel: LoadedKernel) -> None:
    if hashlib.sha256(kernel.cubin).hexdigest() != kernel.about.cubin_sha256:
        raise KernelError(f"the code of kernel {name} is not what was compiled: build the bundle again.")
    if kernel.about.dynamic_shared > _SHARED_LIMIT:
        raise KernelError(
            f"kernel {name} needs {kernel.about.dynamic_shared} bytes of shared memory a block; no launcher "
            f"here asks for more than {_SHARED_LIMIT}."
        )
