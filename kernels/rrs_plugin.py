"""RRS as a TensorRT plugin (`IPluginV3`, TensorRT 10.0 and newer) that launches kernels compiled beforehand.

Needs neither torch nor Triton. The module `tensorrt` or `tensorrt_rtx` is passed in. An engine carries the
kernels' code with it: to load one it is enough that the creator is registered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from realnet_edge.errors import KernelError
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.kernels.rrs_call import DOMAIN, OP, VERSION, Launcher, RrsCall, RrsSettings
from realnet_edge.kernels.rrs_plan import RrsSizes, workspace_bytes

# The field that carries the code; the others are the node's attributes.
_KERNELS = "kernels"
# Mean and variance follow the blocks' two sides.
_STATISTICS = 2
# Channels side by side in memory are padded to this many; without padding they lie as the kernels take them.
_PADDED_TO = 8


def rrs_creator(
    trt: Any, launcher: Launcher, kernels: KernelSet | None = None, failures: list[Exception] | None = None
) -> Any:
    """What TensorRT makes the plugin with, for its registry; keep it as long as it is registered.

    Args:
        trt: the module.
        launcher: what speaks to the GPU; not used while a graph is parsed.
        kernels: code for this GPU, to build with; None to load engines only, which bring their own.
        failures: takes what went wrong in the plugin, of which TensorRT only says that something did.
    """
    plugin = _plugin_class(trt)
    heard: list[Exception] = [] if failures is None else failures

    class Creator(trt.IPluginCreatorV3One):  # type: ignore[misc]  # the base comes with the module
        """Called by the ONNX parser with a node's attributes, and by the runtime with an engine's fields."""

        def __init__(self) -> None:
            trt.IPluginCreatorV3One.__init__(self)
            self.failures = heard
            self.name, self.plugin_namespace, self.plugin_version = OP, DOMAIN, VERSION
            names = RrsSettings.__dataclass_fields__
            self.field_names = trt.PluginFieldCollection(
                [trt.PluginField(name, np.array([]), _field_type(trt, name)) for name in names]
            )

        @_noted
        def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:  # TensorRT's
            found = {field.name: np.asarray(field.data) for field in fields}
            carried = found.pop(_KERNELS, None)
            code = kernels if carried is None else KernelSet.from_bytes(carried.tobytes())
            if code is None:
                raise KernelError("no kernels were given to build this plugin with.")
            settings = RrsSettings.from_fields({name: value.item() for name, value in found.items()})
            return plugin(settings, code, launcher, heard)

    return Creator()


def _noted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a method raises: TensorRT prints it, and answers without it."""

    @wraps(method)
    def noted(self: Any, *arguments: Any) -> Any:
        try:
            return method(self, *arguments)
        except Exception as error:
            self.failures.append(error)
            raise

    return noted


class _RrsMethods:
    """The plugin but for its bases, which come with the module.

    Inputs: selected blocks, reconstructed blocks, mean, variance. Outputs: planes, int64 indices.
    """

    trt: Any
    bases: tuple[Any, ...]

    def __init__(
        self, settings: RrsSettings, kernels: KernelSet, launcher: Launcher, failures: list[Exception]
    ) -> None:
        for base in self.bases:
            base.__init__(self)
        self.plugin_name, self.plugin_namespace, self.plugin_version = OP, DOMAIN, VERSION
        self.num_outputs = 2
        self.failures = failures
        self._settings, self._kernels, self._launcher = settings, kernels, launcher
        self._formats = _Formats(self.trt, settings)
        # Shapes and format -> call; a batch of another size is another call.
        self._calls: dict[tuple[Any, ...], RrsCall] = {}

    def get_capability_interface(self, kind: Any) -> Any:
        return self

    def clone(self) -> Any:
        return type(self)(self._settings, self._kernels, self._launcher, self.failures)

    def get_output_data_types(self, types: Any) -> list[Any]:
        return [self._formats.written, self.trt.int64]

    @_noted
    def get_output_shapes(self, inputs: Any, shape_inputs: Any, builder: Any) -> list[Any]:
        blocks = inputs[: _blocks(len(inputs))]
        channels = [block[1].get_constant_value() for block in blocks]
        chosen = self._settings.k_max + self._settings.k_mean
        planes, indices = self.trt.DimsExprs(4), self.trt.DimsExprs(2)
        planes[0] = indices[0] = blocks[0][0]
        planes[1] = builder.constant(self._settings.planes(channels))
        planes[2], planes[3] = blocks[0][2], blocks[0][3]
        indices[1] = builder.constant(chosen)
        return [planes, indices]

    def supports_format_combination(self, place: int, tensors: Any, inputs: int) -> bool:
        return self._formats.takes(place, [tensor.desc for tensor in tensors[: place + 1]], inputs)

    def configure_plugin(self, inputs: Any, outputs: Any) -> None:
        """Nothing to settle: calls are made for the sizes that come."""

    @_noted
    def get_workspace_size(self, inputs: Any, outputs: Any) -> int:
        described = [tensor.desc for tensor in inputs]
        largest = self._sizes([tuple(tensor.max) for tensor in inputs])
        return workspace_bytes(self._formats.layout(described), largest)

    def get_fields_to_serialize(self) -> Any:
        fields = self._settings.to_fields()
        data = {name: np.array([value], _field_dtype(name)) for name, value in fields.items()}
        data[_KERNELS] = np.frombuffer(self._kernels.to_bytes(), np.int8)
        # Kept as long as the plugin: a field only points to its data.
        self._data = data
        return self.trt.PluginFieldCollection(
            [self.trt.PluginField(name, array, _field_type(self.trt, name)) for name, array in data.items()]
        )

    def attach_to_context(self, context: Any) -> Any:
        return self.clone()

    @_noted
    def on_shape_change(self, inputs: Any, outputs: Any) -> None:
        # Kernels are loaded here rather than while a stream is captured.
        self._call(inputs)

    def set_tactic(self, tactic: int) -> None:
        """There is one."""

    @_noted
    def enqueue(
        self,
        input_desc: Any,
        output_desc: Any,
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
    ) -> None:
        self._call(input_desc).run(inputs, outputs, workspace, stream)

    def _call(self, described: Sequence[Any]) -> RrsCall:
        shapes = tuple(tuple(tensor.dims) for tensor in described)
        key = (shapes, described[0].format)
        if key not in self._calls:
            layout, sizes = self._formats.layout(described), self._sizes(shapes)
            self._calls[key] = RrsCall(layout, sizes, self._kernels, self._launcher)
        return self._calls[key]

    def _sizes(self, shapes: Sequence[tuple[int, ...]]) -> RrsSizes:
        blocks = shapes[: _blocks(len(shapes))]
        settings = self._settings
        sizes = tuple((shape[1], shape[2], shape[3]) for shape in blocks)
        return RrsSizes(blocks[0][0], sizes, settings.k_max, settings.k_mean)


def _plugin_class(trt: Any) -> Any:
    bases = (trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime)
    return type("RrsPlugin", (_RrsMethods, *bases), {"trt": trt, "bases": bases})


class _Formats:
    """Which types and memory layouts the kernels take, in TensorRT's words."""

    def __init__(self, trt: Any, settings: RrsSettings) -> None:
        self._trt, self._settings = trt, settings
        self.written = trt.float16 if settings.half else trt.float32
        self._linear = trt.TensorFormat.LINEAR
        # The unpadded format of float32 and the padded one of float16; there are no others for either.
        self._side_by_side = {trt.float32: trt.TensorFormat.HWC, trt.float16: trt.TensorFormat.HWC8}

    def takes(self, place: int, described: Sequence[Any], inputs: int) -> bool:
        """Whether a tensor has a type and layout that fit those before it.

        Args:
            place: number of the tensor, inputs first.
            described: tensors up to it, in the same order.
            inputs: how many of all tensors are inputs.
        """
        tensor, first = described[place], described[0]
        blocks = inputs - _STATISTICS
        if place == 0:
            return self._is_block(tensor)
        if place < blocks:
            alike = (tensor.type, tensor.format) == (first.type, first.format)
            return alike and self._is_block(tensor)
        if place < inputs:
            return bool(tensor.type == self._trt.float32 and tensor.format == self._linear)
        if place == inputs:
            narrow = first.type == self._trt.float16 and self.written == self._trt.float32
            wanted = self._linear if first.format == self._linear else self._side_by_side[self.written]
            alike = tensor.type == self.written and tensor.format == wanted
            return bool(alike and not narrow and self._unpadded(tensor))
        return bool(tensor.type == self._trt.int64 and tensor.format == self._linear)

    def layout(self, described: Sequence[Any]) -> Any:
        """The kernels' layout of a call, from its inputs."""
        first = described[0]
        read = "f16" if first.type == self._trt.float16 else "f32"
        return self._settings.layout(_blocks(len(described)), read, first.format != self._linear)

    def _is_block(self, tensor: Any) -> bool:
        known = tensor.type in self._side_by_side
        if known and tensor.format == self._linear:
            return True
        return bool(known and tensor.format == self._side_by_side[tensor.type] and self._unpadded(tensor))

    def _unpadded(self, tensor: Any) -> bool:
        padded = tensor.format == self._trt.TensorFormat.HWC8
        return not padded or tensor.dims[1] % _PADDED_TO == 0


def _blocks(inputs: int) -> int:
    return math.ceil((inputs - _STATISTICS) / 2)


def _field_type(trt: Any, name: str) -> Any:
    kinds = {"eps": trt.PluginFieldType.FLOAT32, _KERNELS: trt.PluginFieldType.INT8}
    return kinds.get(name, trt.PluginFieldType.INT64)


def _field_dtype(name: str) -> Any:
    return np.float32 if name == "eps" else np.int64
