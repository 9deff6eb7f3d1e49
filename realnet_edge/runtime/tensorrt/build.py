"""ONNX to a TensorRT engine, with any of the releases; needs neither torch nor onnx."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet_edge.errors import BackendError, ExportError
from realnet_edge.files import atomic_path
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.runtime.tensorrt import versions
from realnet_edge.runtime.tensorrt.local_functions import without_functions
from realnet_edge.runtime.tensorrt.messages import Messages
from realnet_edge.runtime.tensorrt.options import EngineOptions
from realnet_edge.runtime.tensorrt.plugins import has_plugin, rrs_registered
from realnet_edge.runtime.tensorrt.progress import Phases, Progress, monitor, run_cancellable

INPUT = "image"
_MEMORY = re.compile(r"out of memory|OutOfMemory|insufficient (?:workspace|memory)|bad_alloc", re.IGNORECASE)
_NO_TACTIC = re.compile(r"could not find any implementation", re.IGNORECASE)


@dataclass(frozen=True)
class EngineBuild:
    """What a build took.

    Attributes:
        seconds: of building, without parsing.
        size: bytes of the engine.
        layers: of the network as parsed.
        timing_cache: bytes of the timing cache before and after; None where the release keeps none.
    """

    seconds: float
    size: int
    layers: int
    timing_cache: tuple[int, int] | None


@dataclass(frozen=True)
class ParsedNetwork:
    """A graph as TensorRT understood it; the builder and the parser live as long as the network does."""

    trt: Any
    builder: Any
    network: Any
    parser: Any
    messages: Messages


def network_from_onnx(trt: Any, source: Path, plugin: bool = False) -> ParsedNetwork:
    """Parse an engine graph into a strongly typed network.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        source: ONNX file; external data lie beside it.
        plugin: RRS must become the plugin that is registered, not the function's body in the file.

    Raises:
        ExportError: TensorRT does not take it; the message names the nodes with their operators.
    """
    messages = Messages(trt)
    builder = trt.Builder(messages.logger)
    network = builder.create_network(versions.strongly_typed(trt))
    parser = trt.OnnxParser(network, messages.logger)
    if not _parse(trt, parser, source, plugin):
        raise ExportError(
            f"{source}: {versions.describe(trt)} does not take this graph. {_parser_errors(parser, messages)}"
        )
    if uint8 := [text for text in messages.warnings() if "uint8" in text.lower()]:
        # It reads the bytes as int8 and goes on: the ranges would be wrong by half.
        raise ExportError(
            f"{source}: quantised to uint8, which TensorRT takes with a wrong range ({uint8[0]}). Quantise "
            "symmetrically, to int8 with zero points of 0."
        )
    if plugin and not has_plugin(trt, network):
        raise ExportError(
            f"{source}: {versions.describe(trt)} did not take RRS's plugin for any node. It said: "
            f"{messages.last(errors_only=False) or 'nothing'}. Build with --rrs native."
        )
    return ParsedNetwork(trt, builder, network, parser, messages)


def _parse(trt: Any, parser: Any, source: Path, plugin: bool) -> bool:
    if not plugin or versions.plugins_over_functions(trt):
        return bool(parser.parse_from_file(str(source)))
    return bool(parser.parse(without_functions(source.read_bytes()), str(source)))


def engine_from_onnx(
    trt: Any,
    source: Path,
    target: Path,
    options: EngineOptions,
    *,
    kernels: KernelSet | None = None,
    timing_cache: Path | None = None,
    progress: Progress | None = None,
) -> EngineBuild:
    """Build an engine for this machine's GPU; `target` is written only when it is complete.

    Ctrl-C ends the build at its next step and leaves nothing behind.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`. The latter builds without a GPU.
        source: ONNX file whose types settle the precision; external data lie beside it.
        target: the engine file.
        options: batches and settings of the builder.
        kernels: compiled for this GPU: RRS becomes a plugin that launches them. None for a graph without the
            plugin's node, or whose body is to be taken.
        timing_cache: file of measured kernels, read if it is there and fits this machine, and written after;
            None keeps none.
        progress: told of the share that is done.

    Raises:
        ExportError: TensorRT does not take the graph.
        BackendError: no engine came of it; the message has TensorRT's own and what to try.
        ConfigError: a setting that this release does not have.
    """
    if kernels is not None:
        with rrs_registered(trt, kernels):
            parsed = network_from_onnx(trt, source, plugin=True)
            return _built(parsed, source, target, options, timing_cache, progress)
    return _built(network_from_onnx(trt, source), source, target, options, timing_cache, progress)


def _built(
    parsed: ParsedNetwork,
    source: Path,
    target: Path,
    options: EngineOptions,
    timing_cache: Path | None,
    progress: Progress | None,
) -> EngineBuild:
    """The parsed network as an engine."""
    trt = parsed.trt
    config = configure(parsed, options)
    cancelled = threading.Event()
    what = f"building the {versions.flavour(trt)} engine"
    phases = Phases(what, progress or (lambda what, done, total: None))
    config.progress_monitor = keeper = monitor(trt, phases, cancelled)
    before = _take_timing_cache(trt, config, timing_cache)
    parsed.messages.clear()
    start = time.perf_counter()
    plan = run_cancellable(lambda: parsed.builder.build_serialized_network(parsed.network, config), cancelled)
    seconds = time.perf_counter() - start
    del keeper
    if phases.failure is not None:
        raise phases.failure
    if plan is None:
        raise BackendError(_no_engine(trt, source, parsed.messages))
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        stream.write(plan)
    after = _keep_timing_cache(config, timing_cache) if before is not None else None
    sizes = None if before is None or after is None else (before, after)
    return EngineBuild(seconds, plan.nbytes, parsed.network.num_layers, sizes)


def configure(parsed: ParsedNetwork, options: EngineOptions) -> Any:
    """The configuration of one build.

    Raises:
        BackendError: a profile that TensorRT refuses.
        ConfigError: a setting that this release does not have.
    """
    trt = parsed.trt
    config = parsed.builder.create_builder_config()
    profile = parsed.builder.create_optimization_profile()
    shape = _image_shape(parsed)
    profile.set_shape(INPUT, *((batch, *shape) for batch in options.batch))
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(f"{versions.describe(trt)} refused batches of {options.batch}: {_said(parsed)}")
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    if options.builder_level is not None:
        config.builder_optimization_level = options.builder_level
    # On by default in TensorRT.
    switch = config.set_flag if options.tf32 else config.clear_flag
    switch(trt.BuilderFlag.TF32)
    if options.hardware_compatible:
        versions.make_hardware_compatible(trt, config)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    # Layer names and types in the engine: what an inspector shows, at no cost in speed.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    return config


def _image_shape(parsed: ParsedNetwork) -> tuple[int, ...]:
    """(H, W, 3) of the one input, which must be the contract's."""
    inputs = [parsed.network.get_input(index) for index in range(parsed.network.num_inputs)]
    found = [(item.name, item.dtype, tuple(item.shape)) for item in inputs]
    if [(name, kind) for name, kind, _ in found] != [(INPUT, parsed.trt.uint8)] or found[0][2][0] != -1:
        raise ExportError(
            f"the graph takes {found}: an engine takes one uint8 `{INPUT}` of (N, H, W, 3) with N open."
        )
    return found[0][2][1:]


def _take_timing_cache(trt: Any, config: Any, path: Path | None) -> int | None:
    """Attach the cache; gives its size, None where none is kept."""
    if path is None or not versions.has_timing_cache(trt):
        return None
    content = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(content)
    # Of another GPU or version, or damaged: begin anew. Forcing it would choose kernels by another's times.
    if cache is None or not config.set_timing_cache(cache, False):
        content = b""
        config.set_timing_cache(config.create_timing_cache(content), False)
    return len(content)


def _keep_timing_cache(config: Any, path: Path | None) -> int | None:
    cache = config.get_timing_cache()
    if path is None or cache is None:
        return None
    content = bytes(cache.serialize())
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


def _parser_errors(parser: Any, messages: Messages) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    shown = [
        f"{error.node_operator()} node {error.node_name()!r}: {' '.join(error.desc().split())}"
        if error.node_operator()
        else " ".join(error.desc().split())
        for error in errors[:3]
    ]
    return " / ".join(shown) or messages.last() or "It gave no reason."


def _no_engine(trt: Any, source: Path, messages: Messages) -> str:
    said = messages.last(errors_only=False) or "nothing"
    if _MEMORY.search(said):
        advice = (
            "The GPU ran out of memory: close what else uses it, lower --workspace-limit or the largest "
            "batch (--batch), or add swap on a Jetson."
        )
    elif _NO_TACTIC.search(said):
        advice = (
            "No kernel fitted a layer: raise --workspace-limit, spare the layer that is named with --exclude "
            "or build at fp16 or fp32."
        )
    else:
        advice = "Try a lower --builder-level or another --precision."
    return f"{source}: {versions.describe(trt)} built no engine. It said: {said}. What to try: {advice}"


def _said(parsed: ParsedNetwork) -> str:
    return parsed.messages.last(errors_only=False) or "it gave no reason"
