"""Compile the catalogue's kernels for targets whose GPU need not be here, and keep what is up to date.

Triton turns a kernel into PTX in a process of its own; its hidden parameters are stripped, ptxas assembles
the result, and a target's folder takes the new files as a whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import KernelError
from realnet_edge.files import atomic_folder, recover_folder, write_json
from realnet_edge.kernels.compiled import (
    CUBIN,
    KINDS,
    PTX,
    SCHEMA,
    CompiledKernel,
    list_compiled,
    write_index,
)
from realnet_edge.kernels.ptx import finish_ptx
from realnet_edge.kernels.ptxas import Ptxas, assemble, find_ptxas
from realnet_edge.kernels.spec import KernelSpec
from realnet_edge.kernels.targets import CUDA_OF_PTX, Target, choose_ptx_version
from realnet_edge.kernels.triton_process import TritonOutput, compiling, hash_kernels, require_triton

# Told after every kernel: target's name, kernel's name.
Report = Callable[[str, str], None]


@dataclass(frozen=True)
class TargetResult:
    """What one target's folder holds now.

    Args:
        target: the GPU generation.
        ptx_version: 85 for 8.5.
        kernels: those asked for, in the catalogue's order; empty if `error` is set.
        compiled: names of those compiled now; the others were up to date.
        error: why the target failed; its folder is then as it was before.
    """

    target: Target
    ptx_version: int
    kernels: tuple[CompiledKernel, ...]
    compiled: tuple[str, ...]
    error: KernelError | None = None


@dataclass(frozen=True)
class _Plan:
    """A target with everything settled before its first kernel is compiled."""

    target: Target
    ptx_version: int
    ptxas: Ptxas


def compile_kernels(
    specs: Sequence[KernelSpec],
    targets: Sequence[Target],
    out: Path,
    *,
    names: Collection[str] = (),
    ptx_version: int | None = None,
    kinds: Collection[str] = KINDS,
    force: bool = False,
    report: Report = lambda target, kernel: None,
) -> list[TargetResult]:
    """Compile kernels for targets into `out`; one target that fails does not keep the others from it.

    What is up to date is kept as it is: it has the same source, specification, PTX version, Triton and
    assembler. Kernels that are in a target's folder and not among `specs`, or out of date, leave it.

    Args:
        specs: the catalogue.
        targets: what for.
        out: folder; made if it is missing.
        names: the only ones of `specs` to compile; all if empty.
        ptx_version: one for all targets, 85 for 8.5; each target's own if None.
        kinds: PTX, CUBIN or both.
        force: compile what is up to date, too.
        report: told after every kernel.

    Raises:
        ConfigError: a target needs a newer PTX version; nothing was compiled then.
        DependencyError: Triton or a fitting ptxas is missing; nothing was compiled then.
        KernelError: a kernel cannot be loaded; nothing was compiled then.
    """
    require_triton()
    plans = []
    for target in targets:
        version = choose_ptx_version(target, ptx_version)
        plans.append(_Plan(target, version, find_ptxas(target, version)))
    triton, sources = hash_kernels(specs)
    wanted = [spec for spec in specs if not names or spec.name in names]
    results = []
    for plan in plans:
        keys = {spec.name: _key(spec, plan, triton, sources[spec.name]) for spec in specs}
        job = _TargetJob(plan, out, triton, sources, keys, frozenset(kinds))
        try:
            results.append(job.run(wanted, force, report))
        except KernelError as error:
            results.append(TargetResult(plan.target, plan.ptx_version, (), (), error))
    write_index(out)
    return results


@dataclass(frozen=True)
class _TargetJob:
    """The kernels of one target: which are up to date, and compiling the others."""

    plan: _Plan
    out: Path
    triton: str
    sources: dict[str, str]
    keys: dict[str, str]
    kinds: frozenset[str]

    def run(self, specs: Sequence[KernelSpec], force: bool, report: Report) -> TargetResult:
        name = self.plan.target.name
        recover_folder(self.out / name)
        present = self._present()
        stale = [spec for spec in specs if force or not self._holds(present.get(spec.name))]
        kernels = {spec.name: present[spec.name] for spec in specs if spec not in stale}
        for reused in kernels:
            report(name, reused)
        if stale:
            with atomic_folder(self.out / name) as folder:
                made = self._compile(stale, present, folder, report)
                for kernel in present.values():
                    if kernel.name not in made:
                        self._carry_over(kernel, folder)
            kernels |= made
        return TargetResult(
            self.plan.target,
            self.plan.ptx_version,
            tuple(kernels[spec.name] for spec in specs),
            tuple(spec.name for spec in stale),
        )

    def _present(self) -> dict[str, CompiledKernel]:
        """Sound kernels in the target's folder, less those of another source, version or assembler."""
        found = [kernel for kernel in list_compiled(self.out) if kernel.sm == self.plan.target.sm]
        return {kernel.name: kernel for kernel in found if self.keys.get(kernel.name) == kernel.key}

    def _holds(self, kernel: CompiledKernel | None) -> bool:
        return kernel is not None and self.kinds <= kernel.kinds

    def _carry_over(self, kernel: CompiledKernel, folder: Path) -> None:
        for file in (*kernel.files, f"{kernel.name}.json"):
            shutil.copy2(self.out / self.plan.target.name / file, folder / file)

    def _compile(
        self,
        specs: Sequence[KernelSpec],
        present: Mapping[str, CompiledKernel],
        folder: Path,
        report: Report,
    ) -> dict[str, CompiledKernel]:
        made = {}
        by_name = {spec.name: spec for spec in specs}
        with compiling(specs, self.plan.target, self.plan.ptx_version) as outputs:
            for name, output in outputs:
                # A kind that is there already is not lost because another one is asked for.
                kinds = self.kinds | (present[name].kinds if name in present else set())
                made[name] = self._write(by_name[name], output, kinds, folder)
                report(self.plan.target.name, name)
        return made

    def _write(
        self, spec: KernelSpec, output: TritonOutput, kinds: Collection[str], folder: Path
    ) -> CompiledKernel:
        """Finish and assemble one kernel's PTX, and write its files."""
        if output.global_scratch or output.profile_scratch:
            raise KernelError(
                f"{spec.name}: the kernel needs scratch memory ({output.global_scratch} and "
                f"{output.profile_scratch} bytes), which no launcher here provides."
            )
        ptx = finish_ptx(output.ptx, spec.name, spec.parameters)
        try:
            cubin, resources = assemble(self.plan.ptxas, ptx, self.plan.target, spec.fp_fusion)
        except KernelError as error:
            raise KernelError(f"{spec.name}: {error}") from error
        files = {PTX: ptx.encode(), CUBIN: cubin}
        digests = {kind: hashlib.sha256(files[kind]).hexdigest() for kind in kinds}
        for kind in kinds:
            (folder / f"{spec.name}.{kind}").write_bytes(files[kind])
        kernel = CompiledKernel(
            name=spec.name,
            sm=self.plan.target.sm,
            ptx_version=self.plan.ptx_version,
            cuda=CUDA_OF_PTX[self.plan.ptx_version],
            parameters=spec.parameters,
            constants=dict(spec.constants),
            aligned=tuple(spec.aligned),
            num_warps=spec.num_warps,
            num_stages=spec.num_stages,
            fp_fusion=spec.fp_fusion,
            threads_per_block=32 * spec.num_warps,
            dynamic_shared=output.dynamic_shared,
            scratch_parameters="stripped",
            global_scratch=output.global_scratch,
            profile_scratch=output.profile_scratch,
            triton=self.triton,
            ptxas=self.plan.ptxas.release,
            resources=resources,
            source_sha256=self.sources[spec.name],
            key=self.keys[spec.name],
            ptx_sha256=digests.get(PTX),
            cubin_sha256=digests.get(CUBIN),
        )
        write_json(folder / f"{spec.name}.json", kernel.to_dict())
        return kernel


def _key(spec: KernelSpec, plan: _Plan, triton: str, source: str) -> str:
    """SHA-256 of all that a kernel's files depend on."""
    parts = {
        "schema": SCHEMA,
        "spec": spec.to_dict(),
        "source": source,
        "triton": triton,
        "target": plan.target.sm,
        "ptx_version": plan.ptx_version,
        "ptxas": plan.ptxas.release,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
