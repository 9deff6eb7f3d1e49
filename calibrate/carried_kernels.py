"""RRS's kernels in a prepared bundle: one file a compute capability, beside a graph whose RRS is one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.bundle import Bundle
from realnet_edge.calibrate.rrs_choice import NATIVE, PLUGIN, check_portable
from realnet_edge.errors import BundleError, ConfigError, KernelError
from realnet_edge.kernels.kernel_set import KernelSet, load_kernel_set


@dataclass(frozen=True)
class CarriedRrs:
    """How the target can compute RRS.

    Attributes:
        graph: ONNX file to carry; where there are kernels RRS is one node of it.
        kernels: compute capability, "87" for 8.7 -> file that holds its code.
    """

    graph: Path
    kernels: dict[str, Path]


def carry_rrs(
    wanted: str, graph: Path, folder: Path, kernels: Path, given: bool, portable: bool = False
) -> CarriedRrs:
    """What travels for RRS; the target chooses.

    Args:
        wanted: "plugin", "native", or "auto" for what there are kernels for.
        graph: ONNX file in its final precision.
        folder: existing folder for what is made.
        kernels: folder of kernels that were compiled ahead of time, for any number of GPUs.
        given: somebody named that folder, so that what is in it must do.
        portable: the engine shall also run on other GPUs or releases than the target's.

    Raises:
        BackendError, ConfigError, ExportError, KernelError: kernels were asked for and there are none, or one
            is missing or of another version.
    """
    if wanted == NATIVE and given:
        raise ConfigError("--rrs native needs no kernels: leave --kernels out, or --rrs.")
    required = given or wanted == PLUGIN
    if required:
        check_portable(portable)
    sms = _compiled_for(kernels, required)
    if wanted == NATIVE or portable or not sms:
        return CarriedRrs(graph, {})
    # Not above: what reads a prepared bundle has no onnx.
    from realnet_edge.export.rrs_function import gather_rrs

    gathered = folder / "rrs" / graph.name
    node = gather_rrs(graph, gathered)
    names = node.settings.kernels(node.blocks, node.read)
    files = {}
    for sm in sms:
        code = _loaded(kernels, sm, names, required)
        if code is not None:
            files[str(sm)] = folder / f"kernels-sm{sm}.json"
            files[str(sm)].write_bytes(code.to_bytes())
    return CarriedRrs(gathered if files else graph, files)


def carried_plugin(prepared: Bundle, sm: int) -> tuple[KernelSet, Path]:
    """The plugin from a prepared bundle, for `choose_rrs`.

    Raises:
        KernelError: it carries no kernels for this GPU.
        BundleError: it has its engine already.
    """
    stated = prepared.manifest.preparation
    if stated is None:
        raise BundleError(f"{prepared.path}: has its engine already, so there is nothing to build from.")
    if str(sm) not in stated.kernels:
        carried = ", ".join(stated.kernels) or "none"
        raise KernelError(
            f"{prepared.path} carries no kernels for SM {sm} (it has: {carried}). Compile them where it was "
            f"prepared (python -m realnet_edge.kernels.compile --sm {sm} --out FOLDER), and prepare it again "
            "with --kernels FOLDER."
        )
    found = KernelSet.from_bytes(prepared.file(stated.kernels[str(sm)]).read_bytes())
    found.check_version()
    return found, prepared.engine_path


def _compiled_for(kernels: Path, required: bool) -> list[int]:
    """Compute capabilities that a folder holds anything for."""
    names = [path.name.removeprefix("sm_") for path in kernels.glob("sm_*")]
    found = sorted(int(name) for name in names if name.isdigit())
    if required and not found:
        raise KernelError(
            f"there are no kernels in {kernels}. Compile those of the target, 87 for an Orin, on any Linux "
            f"machine with Triton: python -m realnet_edge.kernels.compile --sm 87 --out {kernels}"
        )
    return found


def _loaded(kernels: Path, sm: int, names: Sequence[str], required: bool) -> KernelSet | None:
    """Code for a GPU; None where it is not complete and need not be."""
    try:
        return load_kernel_set(kernels, sm, names)
    except (ConfigError, KernelError):
        if required:
            raise
        return None
