"""TensorRT and TensorRT for RTX behind the runner contract."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.bundle import EngineKey
from realnet_edge.errors import BackendError
from realnet_edge.runtime.base import DEFAULT_BATCH_RANGE, Prediction, Runner
from realnet_edge.runtime.cuda import CudaDevice, DeviceImages, Graph, open_device
from realnet_edge.runtime.tensorrt import versions
from realnet_edge.runtime.tensorrt.engine import (
    INPUT,
    LoadedEngine,
    Tensor,
    load_engine,
    read_tensors,
)
from realnet_edge.runtime.tensorrt.plugins import plugin_said, rrs_registered
from realnet_edge.runtime.tensorrt.target import import_flavour, refuse_foreign, target_here

# All bits set: NaN as float32, -1 as int32. What an engine leaves unwritten shows; it is no result.
_POISON = 0xFF
_ARITHMETIC = {"fp32": "f32", "fp16": "f16 + f32", "int8": "int8 + f16 + f32"}


class TensorRtRunner(Runner):
    """Runs an engine on the first GPU.

    Images on the host are copied through page-locked memory. Images on the GPU, of PyTorch, CuPy or anything
    with `__cuda_array_interface__`, are read where they lie. From the second batch of the same size on the
    whole of it (copies, engine) is launched as one captured CUDA graph.

    Args:
        model_path: the engine file.
        key: what the engine is bound to; checked before a byte of it is read.
        precision: "fp32", "fp16" or "int8".
        input_size: (height, width) of the images.
        batch_range: smallest and largest batch, within the engine's profile.
        threads: kept for the contract; nothing is computed on the CPU.
        cuda_graphs: capture and replay; off to look for errors layer by layer.

    Attributes:
        graph_problem: why batches are launched layer by layer although graphs were asked for, else None.

    Raises:
        BackendError: on entering: an engine of another machine, no TensorRT, no GPU, or an engine that
            does not load or does not take and give what the contract says.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        key: EngineKey,
        precision: str = "fp32",
        input_size: tuple[int, int],
        batch_range: tuple[int, int] = DEFAULT_BATCH_RANGE,
        threads: int | None = None,
        cuda_graphs: bool = True,
    ) -> None:
        arithmetic = "tf32" if precision == "fp32" and key.settings.get("tf32") else _ARITHMETIC[precision]
        super().__init__(
            backend="tensorrt",
            precision=precision,
            arithmetic=arithmetic,
            batch_range=batch_range,
            input_size=input_size,
            threads=threads,
        )
        self.graph_problem: str | None = None
        self._model_path = model_path
        self._key = key
        self._cuda_graphs = cuda_graphs
        self._session: _Session | None = None

    def _open(self) -> None:
        trt = import_flavour(self._key.target.flavour)
        refuse_foreign(self._key, target_here(trt), self._model_path)
        with ExitStack() as undo:
            device = open_device()
            undo.callback(device.close)
            # An engine's own kernels travel in it; what it calls them by does not.
            none: list[Exception] = []
            plugins = self._key.plugins_sha256 is not None
            with rrs_registered(trt, None) if plugins else nullcontext(none) as failures:
                portable = bool(self._key.settings.get("version_compatible"))
                loaded = load_engine(trt, self._model_path, portable)
            image, outputs = read_tensors(
                trt, loaded.engine, self._model_path, self.input_size, self.batch_range
            )
            context, capture = versions.create_context(trt, loaded.engine, self._cuda_graphs)
            if context is None:
                raise BackendError(
                    f"{self._model_path}: TensorRT made no context for this engine. It said: "
                    f"{loaded.messages.last() or 'nothing'}. Is the GPU's memory full?"
                )
            self._session = _Session(
                device, loaded, context, image, outputs, self.batch_range[1], capture, failures
            )
            undo.pop_all()

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def infer(self, images: Any, diagnostics: bool = False) -> Prediction:
        """Score a batch, see `Runner.infer`; `images` may also lie on the GPU, as contiguous uint8.

        Raises:
            BackendError: as `Runner.infer`; or images on the GPU that are not contiguous.
        """
        if not hasattr(images, "__cuda_array_interface__"):
            return super().infer(images, diagnostics)
        self._require_open()
        batch = DeviceImages.of(images)
        self._check_images(batch)
        prediction = self._run(batch, diagnostics)
        self._check_prediction(prediction, len(batch), diagnostics)
        return prediction

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        return self._run(images, diagnostics)

    def _run(self, images: npt.NDArray[np.uint8] | DeviceImages, diagnostics: bool) -> Prediction:
        if self._session is None:
            raise BackendError("this tensorrt runner is not open: call infer inside `with runner:`.")
        found = self._session.run(images)
        self.graph_problem = self._session.graph_problem
        indices = found.get("rrs_indices") if diagnostics else None
        if indices is not None and (indices < 0).any():
            raise BackendError("the engine left rrs_indices unwritten. Build the bundle again.")
        return Prediction(found["anomaly_map"], found["score"], indices)


class _Session:
    """An open engine with its buffers: everything between `_open` and `_close`."""

    def __init__(
        self,
        device: CudaDevice,
        loaded: LoadedEngine,
        context: Any,
        image: Tensor,
        outputs: list[Tensor],
        largest: int,
        capture: bool,
        plugin_failures: list[Exception],
    ) -> None:
        self._device, self._loaded, self._context = device, loaded, context
        self._plugin_failures = plugin_failures
        self._image, self._outputs = image, outputs
        self._capture = capture
        self._graph: Graph | None = None
        self._count = 0
        self.graph_problem: str | None = None
        tensors = [image, *outputs]
        self._host = {t.name: device.allocate_host(largest * t.image_bytes) for t in tensors}
        self._addresses = {t.name: device.allocate(largest * t.image_bytes) for t in tensors}
        for name, address in self._addresses.items():
            self._set_address(name, address)

    def run(self, images: npt.NDArray[np.uint8] | DeviceImages) -> dict[str, npt.NDArray[Any]]:
        """All outputs of a batch, in arrays of their own."""
        count = len(images)
        again = count == self._count
        if not again:
            self._set_count(count)
        if isinstance(images, DeviceImages):
            self._run_in_place(images)
        else:
            self._run_from_host(images, again)
        return {t.name: self._result(t, count) for t in self._outputs}

    def close(self) -> None:
        # TensorRT's objects first, in the order of their making backwards, then the memory they used.
        with ExitStack() as release:
            release.callback(self._device.close)
            release.callback(self._drop_objects)
            release.callback(self._drop_graph)
            self._device.synchronise()

    def _run_from_host(self, images: npt.NDArray[np.uint8], again: bool) -> None:
        self._part(self._image)[:] = images.reshape(-1)
        # The first batch of a size sets TensorRT up for it, which cannot be captured.
        if again and self._capture and self._graph is None:
            self._graph = self._captured()
        if self._graph is not None:
            self._graph.launch()
        else:
            self._enqueue_with_copies()
        self._device.synchronise()

    def _run_in_place(self, images: DeviceImages) -> None:
        if not images.ready:
            self._device.wait_for(images.stream)
        self._set_address(INPUT, images.address)
        try:
            self._enqueue()
            self._device.synchronise()
        finally:
            self._set_address(INPUT, self._addresses[INPUT])

    def _enqueue_with_copies(self) -> None:
        self._device.to_device(self._addresses[INPUT], self._part(self._image))
        self._enqueue()

    def _enqueue(self) -> None:
        for tensor in self._outputs:
            self._device.fill(self._addresses[tensor.name], _POISON, self._part(tensor).nbytes)
        if not self._context.execute_async_v3(self._device.stream):
            raise BackendError(self._failed("execute"))
        for tensor in self._outputs:
            self._device.to_host(self._part(tensor), self._addresses[tensor.name])

    def _captured(self) -> Graph | None:
        """The batch as a graph; None where it cannot be captured, and `graph_problem` says why."""
        try:
            graph = self._device.capture(self._enqueue_with_copies)
            self.graph_problem = None if graph else "this package for CUDA records no graphs"
        except BackendError as error:
            graph, self.graph_problem = None, str(error)
        # Once it failed it would fail each time.
        self._capture = graph is not None
        return graph

    def _drop_objects(self) -> None:
        del self._context, self._loaded

    def _drop_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.release()

    def _set_count(self, count: int) -> None:
        # A graph holds the addresses that TensorRT chose for one shape: it ends with that shape.
        self._drop_graph()
        self._count = 0
        if not self._context.set_input_shape(INPUT, (count, *self._image.shape)):
            raise BackendError(self._failed(f"take a batch of {count}"))
        self._count = count

    def _set_address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise BackendError(self._failed(f"take an address for {name}"))

    def _part(self, tensor: Tensor) -> npt.NDArray[np.uint8]:
        return self._host[tensor.name][: self._count * tensor.image_bytes]

    def _result(self, tensor: Tensor, count: int) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = self._part(tensor).view(tensor.dtype)
        own: npt.NDArray[Any] = values.reshape(count, *tensor.shape).copy()
        return own

    def _failed(self, what: str) -> str:
        said = self._loaded.messages.last(errors_only=False) or "nothing"
        return (
            f"TensorRT failed to {what}. It said: {said}. {plugin_said(self._plugin_failures)} Open the "
            "engine anew; if it stays, build it again."
        )
