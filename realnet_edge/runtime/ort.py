"""ONNX Runtime, on the processor and on NVIDIA GPUs."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import BackendError
from realnet_edge.runtime.backends import import_backend
from realnet_edge.runtime.base import DEFAULT_BATCH_RANGE, Prediction, Runner
from realnet_edge.runtime.ort_cache import cache_folder
from realnet_edge.runtime.ort_providers import CPU, PROVIDERS, open_session

_OUTPUTS = ["anomaly_map", "score"]


class _OrtRunner(Runner):
    """What runners of ONNX Runtime share, whatever the provider.

    Args:
        backend: name of the runtime and, on a GPU, its provider.
        model_path: the ONNX file; external data lie beside it.
        precision: "fp32", "fp16" or "int8", as the graph has it.
        arithmetic: what computes.
        input_size: (height, width) of the images.
        batch_range: smallest and largest batch.
        threads: CPU threads for one inference; None takes ONNX Runtime's default, one a physical core.
    """

    def __init__(
        self,
        backend: str,
        model_path: Path,
        *,
        precision: str,
        arithmetic: str,
        input_size: tuple[int, int],
        batch_range: tuple[int, int],
        threads: int | None,
    ) -> None:
        super().__init__(
            backend=backend,
            precision=precision,
            arithmetic=arithmetic,
            batch_range=batch_range,
            input_size=input_size,
            threads=threads,
        )
        self._model_path = model_path
        self._session: Any = None

    @abstractmethod
    def _make_session(self, ort: Any) -> Any:
        """A session on the provider that was asked for and no other; raises BackendError else."""

    def _open(self) -> None:
        session = self._make_session(import_backend(self.backend, self.precision))
        _check_graph(session, self._model_path, self.input_size)
        self._session = session

    def _close(self) -> None:
        self._session = None

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        names = [*_OUTPUTS, "rrs_indices"] if diagnostics else _OUTPUTS
        try:
            results = self._session.run(names, {"image": images})
        except Exception as error:  # its exceptions share no base but Exception
            raise BackendError(f"ONNX Runtime failed on a batch of {len(images)}: {error}") from error
        return Prediction(*results)


class OnnxRuntimeRunner(_OrtRunner):
    """Runs an ONNX engine graph with ONNX Runtime's CPU provider, and with no other.

    Args:
        model_path: the ONNX file; external data lie beside it.
        precision: "fp32", or "int8" when the graph holds Q/DQ nodes.
        input_size: (height, width) of the images.
        batch_range: smallest and largest batch.
        threads: CPU threads for one inference; None takes ONNX Runtime's default, one a physical core.

    Raises:
        BackendError: a precision that ONNX Runtime does not do on a CPU; on entering, ONNX Runtime missing
            or a model that it cannot load.
    """

    def __init__(
        self,
        model_path: Path,
        *,
        precision: str = "fp32",
        input_size: tuple[int, int],
        batch_range: tuple[int, int] = DEFAULT_BATCH_RANGE,
        threads: int | None = None,
    ) -> None:
        super().__init__(
            "onnxruntime",
            model_path,
            precision=precision,
            # Q/DQ pairs become integer kernels, everything between them stays in float32.
            arithmetic="int8 + f32" if precision == "int8" else "f32",
            input_size=input_size,
            batch_range=batch_range,
            threads=threads,
        )

    def _make_session(self, ort: Any) -> Any:
        if CPU not in ort.get_available_providers():
            raise BackendError(
                f"this onnxruntime has no {CPU}, only {', '.join(ort.get_available_providers())}: "
                "install the plain `onnxruntime` package."
            )
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
        try:
            session = ort.InferenceSession(str(self._model_path), options, providers=[CPU])
        except Exception as error:  # its exceptions share no base but Exception
            raise BackendError(f"{self._model_path}: ONNX Runtime cannot load it ({error}).") from error
        session.disable_fallback()
        if session.get_providers() != [CPU]:
            raise BackendError(f"ONNX Runtime took {session.get_providers()} where {CPU} was asked for.")
        return session


class OnnxRuntimeGpuRunner(_OrtRunner):
    """Runs an ONNX engine graph on the first NVIDIA GPU through one of ONNX Runtime's providers.

    Args:
        backend: a key of `ort_providers.PROVIDERS`.
        model_path: the ONNX file in its final types; external data lie beside it.
        precision: "fp32", "fp16" or "int8"; the provider takes it from the graph's types.
        input_size: (height, width) of the images.
        batch_range: smallest and largest batch.
        threads: CPU threads for what a provider leaves to the processor, such as shapes.

    Raises:
        BackendError: on entering: ONNX Runtime or the provider missing, a provider that did not start or
            leaves layers with weights to the processor, or a model that it does not take.
    """

    def __init__(
        self,
        backend: str,
        model_path: Path,
        *,
        precision: str = "fp32",
        input_size: tuple[int, int],
        batch_range: tuple[int, int] = DEFAULT_BATCH_RANGE,
        threads: int | None = None,
    ) -> None:
        super().__init__(
            backend,
            model_path,
            precision=precision,
            arithmetic={"fp32": "f32", "fp16": "f16 + f32", "int8": "int8 + f16 + f32"}[precision],
            input_size=input_size,
            batch_range=batch_range,
            threads=threads,
        )

    def _make_session(self, ort: Any) -> Any:
        provider = PROVIDERS[self.backend]
        cache = cache_folder(self.backend, self._model_path, str(ort.__version__))
        options = provider.options(cache, self.input_size, self.batch_range)
        return open_session(ort, self._model_path, provider, options, self.threads)


def _check_graph(session: Any, path: Path, input_size: tuple[int, int]) -> None:
    """The graph takes and gives what the runner contract says."""
    inputs = {item.name: (item.type, item.shape[1:]) for item in session.get_inputs()}
    outputs = {item.name for item in session.get_outputs()}
    expected = ("tensor(uint8)", [*input_size, 3])
    if inputs != {"image": expected} or not set(_OUTPUTS) <= outputs:
        raise BackendError(
            f"{path}: takes {inputs} and gives {sorted(outputs)}; an engine takes one uint8 `image` of "
            f"(N, {input_size[0]}, {input_size[1]}, 3) and gives {' and '.join(_OUTPUTS)}."
        )
