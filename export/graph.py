"""The engine graph: what is exported, from the camera's bytes to the anomaly map and the image score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.config import SCORE_WINDOW
from realnet_edge.kernels.rrs_reference import resize, stack_planes
from realnet_edge.model import RealNet, RealNetOutput, image_score
from realnet_edge.model.tiling import cut, per_image, stitch

OUTPUTS = ("anomaly_map", "score", "rrs_indices")


class EngineGraph(nn.Module):
    """RealNet with normalisation, anomaly map and image score inside; no tracing hacks in the model itself.

    Images are normalised whole and cut into the tiles of `ModelConfig.grid`; the score is that of the map
    which the tiles' maps make together. Where parts are aligned, the network sees a strip of each image: the
    score is that of the strip's map, which then is turned back into the image.

    Args:
        model: in evaluation mode.
        score_rule: "avgpool16" or "max".
        stages: return the tensors of `stage_names` after the outputs, to find where two runtimes part.
    """

    def __init__(self, model: RealNet, score_rule: str, stages: bool = False) -> None:
        super().__init__()
        self.model = model
        self.score_rule = score_rule
        self.stages = stages
        # Read here: a tracer sees no values.
        self.shrink = 1 if model.alignment is None else model.alignment.shrink

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the inner tensors in the order of computation: the first that differs is the culprit."""
        config = self.model.config
        taps = [f"tap{i}" for i in range(len(config.taps))]
        blocks = [
            f"block{i}_{kind}" for kind in ("selected", "reconstructed") for i in range(len(config.widths))
        ]
        return (*taps, *blocks, *(f"residual_{mode}" for mode in self._rrs_modes()), "logits")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map, score and chosen planes of a batch.

        Args:
            image: uint8 (N, H, W, 3) RGB of `ModelConfig.input_size`.

        Returns:
            anomaly_map float32 (N, H, W) in [0, 1], score float32 (N,) in [0, 1], rrs_indices int32
            (N, tiles * k), a tile's after the other's: plane c of tile t is t * planes + c. With `stages`
            also the tensors of `stage_names`, of N * tiles each.
        """
        grid, alignment = self.model.config.grid, self.model.alignment
        seen, back = image, None
        if alignment is not None:
            pose = alignment.pose(image)
            seen, back = alignment(image, pose, self.shrink), partial(alignment.back, pose=pose)
        tiles = cut(self.model.inputs(seen), grid)
        taps = self.model.backbone(tiles)
        output = self.model.from_selected(self.model.select_from(taps))
        # A sigmoid ends within [0, 1] but for rounding; thresholds and readers rely on the range.
        maps = stitch(resized_map(output.logits, tiles.shape[-2:]), grid).clamp(0.0, 1.0)
        scores = pooled_score(maps, self.score_rule)
        if back is not None:
            maps = back(maps).clamp(0.0, 1.0)
        chosen = output.rrs_indices.to(torch.int32)
        if grid.count > 1:
            planes = sum(self.model.config.planes)
            first = planes * torch.arange(grid.count, dtype=torch.int32, device=chosen.device)
            chosen = (per_image(chosen, grid) + first[:, None]).flatten(1)
        results = (maps, scores, chosen)
        if not self.stages:
            return results
        ranked = self._rrs_scores(output)
        return (*results, *taps, *output.selected, *output.reconstructed, *ranked, output.logits)

    def _rrs_modes(self) -> tuple[str, ...]:
        kept = {"max": self.model.config.rrs_max, "mean": self.model.config.rrs_mean}
        return tuple(mode for mode, count in kept.items() if count)

    def _rrs_scores(self, output: RealNetOutput) -> list[Tensor]:
        """What RRS ranks the planes by, (N, C) a mode, as the model computed it on its way."""
        pairs = zip(output.selected, output.reconstructed, strict=True)
        normalised = self.model.rrs.norm(stack_planes([(s - r) ** 2 for s, r in pairs]))
        scores = {"max": normalised.amax(dim=(2, 3)), "mean": normalised.mean(dim=(2, 3))}
        return [scores[mode] for mode in self._rrs_modes()]


def resized_map(logits: Tensor, size: torch.Size) -> Tensor:
    """`anomaly_map`, resized along the rows, then along the columns.

    Args:
        logits: (N, 2, h, w) of `RealNetOutput`.
        size: height and width of the map.
    """
    difference = logits[:, 1].float() - logits[:, 0].float()
    return _by_axis(difference, [partial(resize, size=(length, 1)) for length in size]).sigmoid()


def pooled_score(maps: Tensor, rule: str) -> Tensor:
    """`image_score`, with the 16x16 mean taken along one axis, then along the other.

    The same number but for rounding, in 32 additions a pixel instead of 256: on a CPU the square window
    takes as long as a tenth of the whole network.

    Args:
        maps: float32 (N, H, W).
        rule: "avgpool16" or "max".
    """
    if rule != "avgpool16":
        return image_score(maps, rule)
    return _by_axis(maps, [_averaged, _averaged]).amax(dim=(1, 2))


def _by_axis(plane: Tensor, along: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """Apply an operation along the rows of (N, H, W) and one along the columns.

    Each sees the other axis as its channels, (N, channels, length, 1): an engine that keeps channels last in
    memory works on a whole line at once. A plane of one channel it works through pixel by pixel, which takes
    OpenVINO five times as long.
    """
    for operation in along:
        plane = operation(plane.transpose(1, 2)[..., None])[..., 0]
    return plane


def _averaged(lines: Tensor) -> Tensor:
    return F.avg_pool2d(lines, (SCORE_WINDOW, 1), stride=1)
