"""The process that Triton compiles in: LLVM ends the whole process for what it cannot compile.

It reads one job (JSON) from standard input and writes a line of JSON for every step to standard output;
whatever Triton, LLVM and the assembler print goes to standard error. `realnet_edge.kernels.triton_process`
is the other side.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from realnet_edge.kernels.spec import ArgumentType, KernelSpec

Send = Callable[[dict[str, Any]], None]


def make_source(spec: KernelSpec) -> Any:
    """Triton's `ASTSource` of a specification.

    Raises:
        ValueError: the specification and the function do not have the same arguments.
    """
    from triton.compiler import ASTSource

    module, _, name = spec.function.partition(":")
    function = getattr(importlib.import_module(module), name)
    names: list[str] = function.arg_names
    run_time = [argument for argument in names if argument in spec.arguments]
    if set(names) != {*spec.arguments, *spec.constants} or run_time != list(spec.arguments):
        raise ValueError(
            f"the function takes {names}; the catalogue gives {list(spec.arguments)} in this order, and the "
            f"constants {list(spec.constants)}"
        )
    signature: dict[str, ArgumentType] = {n: spec.arguments.get(n, "constexpr") for n in names}
    constants = {(names.index(argument),): value for argument, value in spec.constants.items()}
    divisible = [["tt.divisibility", 16]]
    attributes = {path: divisible for argument in spec.aligned for path in _paths(argument, names, spec)}
    return ASTSource(function, signature, constants, attributes)


def _paths(argument: str, names: list[str], spec: KernelSpec) -> list[tuple[int, ...]]:
    """Where Triton finds an argument, or each element of a tuple."""
    kind, place = spec.arguments[argument], names.index(argument)
    if isinstance(kind, str):
        return [(place,)]
    return [(place, element) for element in range(len(kind))]


def hash_source(spec: KernelSpec) -> str:
    """SHA-256 over the kernel's source, that of every function it calls, its types and constants."""
    digest: str = make_source(spec).hash()
    return digest


def compile_spec(spec: KernelSpec, sm: int, ptx_version: int) -> dict[str, Any]:
    """Compile one kernel; the PTX as Triton writes it, and what a launcher must know of it."""
    import triton
    from triton.backends.compiler import GPUTarget

    compiled = triton.compile(
        make_source(spec),
        target=GPUTarget("cuda", sm, 32),
        options={
            "num_warps": spec.num_warps,
            "num_stages": spec.num_stages,
            "ptx_version": ptx_version,
            "enable_fp_fusion": spec.fp_fusion,
        },
    )
    facts = compiled.metadata
    return {
        "ptx": compiled.asm["ptx"],
        "dynamic_shared": facts.shared,
        "global_scratch": facts.global_scratch_size,
        "profile_scratch": facts.profile_scratch_size,
    }


def stop_at_ptx(
    backend: object = None,  # noqa: ARG001  # Triton's hook passes it
    stages: dict[str, Callable[[Any, Any], Any]] | None = None,
    *options: object,  # noqa: ARG001
) -> tuple[str, str] | None:
    """Triton's hook on its stages: leave out its assembling, for what counts is the finished PTX's cubin.

    Returns:
        What the hook adds to Triton's cache key, when it is asked for that alone.
    """
    if stages is None:
        return "ptx", "ptx"
    stages["cubin"] = lambda source, metadata: b""  # a stage takes both
    return None


def run(job: dict[str, Any], send: Send) -> None:
    """Do one job: hash all kernels, or compile all for one target; a line before and after each kernel."""
    import triton
    from triton import knobs

    knobs.runtime.add_stages_inspection_hook = stop_at_ptx
    send({"triton": triton.__version__})
    for document in job["kernels"]:
        spec = KernelSpec.from_dict(document)
        send({"begun": spec.name})
        try:
            if job["do"] == "hash":
                result: dict[str, Any] = {"source": hash_source(spec)}
            else:
                result = compile_spec(spec, job["sm"], job["ptx_version"])
        except Exception as error:  # noqa: BLE001  # any error in a kernel's source: the parent tells of it
            send({"failed": spec.name, "message": f"{type(error).__name__}: {error}"})
            return
        send({"done": spec.name, **result})


def main() -> None:
    """Answer on what was standard output; everything that is printed from here on goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def send(line: dict[str, Any]) -> None:
            answers.write(json.dumps(line) + "\n")
            answers.flush()

        run(json.load(sys.stdin), send)


if __name__ == "__main__":
    main()
