"""Compiled kernels as files: `sm_87/NAME.ptx` and `.cubin`, `NAME.json` about them, `index.json` over all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realnet_edge.errors import KernelError
from realnet_edge.files import read_json, sha256_file, write_json
from realnet_edge.kernels.ptxas import Resources
from realnet_edge.kernels.spec import Parameter

# Part of every key: raise it when these files, or how PTX is finished, change.
SCHEMA = 1
INDEX = "index.json"
# Kinds of files that a kernel is compiled to; also their suffixes.
PTX = "ptx"
CUBIN = "cubin"
KINDS = (PTX, CUBIN)


@dataclass(frozen=True)
class CompiledKernel:
    """What is known of a compiled kernel; the content of its JSON file.

    Args:
        name: the entry's name in PTX and cubin, and the files'.
        sm: compute capability it was compiled for, 87 for 8.7.
        ptx_version: 85 for 8.5.
        cuda: oldest CUDA release whose driver loads the PTX.
        parameters: what the entry takes, in order, and nothing else.
        constants: values that were compiled in; None for an argument that is absent.
        aligned: arguments that must be multiples of 16, every element of a tuple.
        num_warps: warps of a block.
        num_stages: depth of software pipelines.
        fp_fusion: whether a product and a sum could become one instruction.
        threads_per_block: block size to launch with.
        dynamic_shared: bytes of shared memory to launch with.
        scratch_parameters: "stripped": Triton's two hidden pointers are no longer parameters.
        global_scratch, profile_scratch: bytes of scratch memory, 0 in every file written.
        triton, ptxas: versions of the compiler and of the assembler's CUDA release.
        resources: the assembler's report.
        source_sha256: of the kernel's source, called functions, types and constants.
        key: SHA-256 of everything that the files depend on.
        ptx_sha256, cubin_sha256: of the files; None for one that was not asked for.
    """

    name: str
    sm: int
    ptx_version: int
    cuda: str
    parameters: tuple[Parameter, ...]
    constants: dict[str, Any]
    aligned: tuple[str, ...]
    num_warps: int
    num_stages: int
    fp_fusion: bool
    threads_per_block: int
    dynamic_shared: int
    scratch_parameters: str
    global_scratch: int
    profile_scratch: int
    triton: str
    ptxas: str
    resources: Resources
    source_sha256: str
    key: str
    ptx_sha256: str | None
    cubin_sha256: str | None

    def to_dict(self) -> dict[str, Any]:
        """As it is written to JSON."""
        parameters = [{"name": p.name, "type": p.type, "kind": p.kind} for p in self.parameters]
        return {"schema": SCHEMA, **asdict(self), "parameters": parameters}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> CompiledKernel:
        """Read what `to_dict` gave.

        Raises:
            KernelError: it has another schema or lacks a field.
        """
        if document.get("schema") != SCHEMA:
            raise KernelError(f"it has schema {document.get('schema')!r}; this version reads {SCHEMA}.")
        fields = {name: value for name, value in document.items() if name != "schema"}
        try:
            fields["parameters"] = tuple(Parameter(p["name"], p["type"]) for p in fields["parameters"])
            fields["aligned"] = tuple(fields["aligned"])
            fields["resources"] = Resources(**fields["resources"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise KernelError(f"it is not what this version writes: {error}.") from error

    @property
    def kinds(self) -> frozenset[str]:
        """Which of PTX and CUBIN were written."""
        digests = {PTX: self.ptx_sha256, CUBIN: self.cubin_sha256}
        return frozenset(kind for kind, digest in digests.items() if digest is not None)

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each file beside the JSON, by the file's name."""
        digests = {f"{self.name}.{PTX}": self.ptx_sha256, f"{self.name}.{CUBIN}": self.cubin_sha256}
        return {name: digest for name, digest in digests.items() if digest is not None}


def load_compiled(folder: Path, sm: int, name: str) -> CompiledKernel:
    """Read a kernel's metadata and check its files against it.

    Args:
        folder: what --out named.

    Raises:
        KernelError: it was not compiled, not to the end, or a file is not what was written.
    """
    path = folder / f"sm_{sm}" / f"{name}.json"
    again = f"Compile it: python -m realnet_edge.kernels.compile --sm {sm} --kernel {name} --out {folder}"
    if not path.is_file():
        raise KernelError(f"there is no compiled kernel {path}. {again}")
    try:
        kernel = CompiledKernel.from_dict(read_json(path))
    except (KernelError, ValueError) as error:
        raise KernelError(f"{path} cannot be used: {error} {again}") from error
    for file, digest in kernel.files.items():
        if not (path.parent / file).is_file() or sha256_file(path.parent / file) != digest:
            raise KernelError(f"{path.parent / file} is missing or is not what was compiled. {again}")
    return kernel


def list_compiled(folder: Path) -> list[CompiledKernel]:
    """Every sound kernel in an output folder, by target and name; what cannot be used is left out."""
    found = []
    for path in folder.glob("sm_*/*.json"):
        # Half written, damaged, or of another version.
        with suppress(KernelError, ValueError):
            found.append(load_compiled(folder, int(path.parent.name.removeprefix("sm_")), path.stem))
    return sorted(found, key=lambda kernel: (kernel.sm, kernel.name))


def write_index(folder: Path) -> None:
    """Write `index.json` over the sound kernels of all targets in the folder."""
    targets: dict[str, dict[str, Any]] = {}
    for kernel in list_compiled(folder):
        targets.setdefault(f"sm_{kernel.sm}", {})[kernel.name] = kernel.to_dict()
    write_json(folder / INDEX, {"schema": SCHEMA, "targets": targets})
