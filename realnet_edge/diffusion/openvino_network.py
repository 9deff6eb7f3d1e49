"""A diffusion model's network as OpenVINO computes it: on a processor in less time than PyTorch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from realnet_edge.config.diffusion import DiffusionModelConfig
from realnet_edge.diffusion.unet import NoisePredictor
from realnet_edge.errors import BackendError, ConfigError
from realnet_edge.installed import installed_version
from realnet_edge.training.compute import Compute

# OpenVINO's names for float types. fp16 is left out: x86 processors rarely have it, and x_t overflows none.
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoNetwork:
    """Computes what `NoisePredictor.forward` does.

    The network is converted with its first batch, which takes some ten seconds; later ones may have any size.

    Args:
        model: in evaluation mode, on the CPU. It is traced, so weights that change later are not seen.
        compute: its arithmetic is what OpenVINO computes in.

    Raises:
        ConfigError: OpenVINO is not installed, the device is no CPU, or the arithmetic is one that OpenVINO
            is not asked for here.
    """

    backend = "openvino"

    def __init__(self, model: NoisePredictor, compute: Compute) -> None:
        if not has_openvino():
            raise ConfigError("OpenVINO is not installed. Add it: pip install 'realnet-edge[openvino]'")
        if not takes(compute):
            raise ConfigError(
                f"OpenVINO samples on a CPU in {' or '.join(_HINTS)}, and this is {compute.device.type} in "
                f"{compute.arithmetic}. Give --backend pytorch."
            )
        self._model = model
        self._hint = _HINTS[compute.arithmetic]
        self._request: Any = None

    @property
    def config(self) -> DiffusionModelConfig:
        """The network's structure."""
        return self._model.config

    def __call__(self, images: Tensor, timesteps: Tensor, categories: Tensor) -> Tensor:
        """As `NoisePredictor.forward`: (N, 3, S, S), (N,), (N,) to (N, 6, S, S) float32.

        Raises:
            BackendError: OpenVINO cannot convert, load or run the network.
        """
        given = [tensor.contiguous() for tensor in (images.float(), timesteps, categories)]
        try:
            if self._request is None:
                self._request = self._compiled(given)
            found = self._request.infer([tensor.numpy() for tensor in given])
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed on the diffusion model: {error}") from error
        # A copy: the array is the request's own, and the next step writes over it.
        return torch.from_numpy(found[0].copy())

    def _compiled(self, example: list[Tensor]) -> Any:
        """An inference request, traced with these inputs."""
        import openvino as ov

        with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
            # That tracing is old, and that diffusers checks in Python that channels fit: so they do.
            warnings.simplefilter("ignore")
            # Tensors that inference mode made cannot be traced. Shapes stay open: OpenVINO 2026.4 crashes
            # on the small networks of our tests when they are fixed.
            graph = ov.convert_model(self._model, example_input=tuple(tensor.clone() for tensor in example))
        settings = {"INFERENCE_PRECISION_HINT": self._hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        return ov.Core().compile_model(graph, "CPU", settings).create_infer_request()


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return installed_version("openvino") is not None


def takes(compute: Compute) -> bool:
    """Whether OpenVINO is asked for this device and arithmetic."""
    return compute.device.type == "cpu" and compute.arithmetic in _HINTS
