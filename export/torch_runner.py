"""FP32 PyTorch behind the runner contract: what every engine's drift and speed are measured against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from realnet_edge.errors import BackendError
from realnet_edge.export.graph import EngineGraph
from realnet_edge.model.checkpoint import Checkpoint
from realnet_edge.runtime import DEFAULT_BATCH_RANGE, Prediction, Runner


class TorchRunner(Runner):
    """Runs the engine graph of a checkpoint eagerly, in float32 on the CPU.

    Args:
        checkpoint: the trained model; its weights are shared, not copied.
        batch_range: smallest and largest batch.
        threads: CPU threads while the runner is open; None keeps PyTorch's own count.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        batch_range: tuple[int, int] = DEFAULT_BATCH_RANGE,
        threads: int | None = None,
    ) -> None:
        super().__init__(
            backend="pytorch",
            precision="fp32",
            arithmetic="f32",
            batch_range=batch_range,
            input_size=checkpoint.config.input_size,
            threads=threads,
        )
        self._checkpoint = checkpoint
        self._graph: EngineGraph | None = None
        self._threads_before = torch.get_num_threads()

    def _open(self) -> None:
        self._threads_before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        self._graph = EngineGraph(self._checkpoint.model, self._checkpoint.score_rule).float().eval()

    def _close(self) -> None:
        self._graph = None
        # The count belongs to the process, not to this runner.
        torch.set_num_threads(self._threads_before)

    def _execute(self, images: npt.NDArray[np.uint8], diagnostics: bool) -> Prediction:
        if self._graph is None:
            raise BackendError("this pytorch runner is not open: call infer inside `with runner:`.")
        try:
            with torch.inference_mode():
                # A copy: torch wants writable memory, and a caller's array may be a view of a file.
                maps, scores, indices = self._graph(torch.tensor(images))
        except RuntimeError as error:
            raise BackendError(f"PyTorch failed on a batch of {len(images)}: {error}") from error
        return Prediction(maps.numpy(), scores.numpy(), indices.numpy() if diagnostics else None)
