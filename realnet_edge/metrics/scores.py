"""Image scores from anomaly maps without torch, for backends whose graph does not give them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realnet_edge.errors import DataError
from realnet_edge.metrics.checks import Floats

WINDOW = 16


def average_pool_max(maps: Floats, window: int = WINDOW) -> npt.NDArray[np.float32]:
    """Maximum of each map after average pooling with stride 1 and no padding.

    The official RealNet evaluation scores an image this way with a 16x16 window. Sums run in double
    precision, so the result differs from torch's `avg_pool2d` by its single-precision rounding only.

    Args:
        maps: (N, H, W) anomaly maps, H and W at least `window`.
        window: side of the square window in pixels.

    Returns:
        (N,) float32 image scores.

    Raises:
        DataError: the maps are not (N, H, W) or smaller than the window.
    """
    if maps.ndim != 3 or window < 1 or min(maps.shape[1:]) < window:
        raise DataError(
            f"maps {maps.shape} with a {window}x{window} window: expected (N, H, W) of at least {window}."
        )
    scores = np.empty(len(maps), np.float32)
    for index, anomaly_map in enumerate(maps):
        total = cv2.integral(np.ascontiguousarray(anomaly_map, np.float32), sdepth=cv2.CV_64F)
        inner = total[window:, window:] - total[:-window, window:]
        inner = inner - total[window:, :-window] + total[:-window, :-window]
        scores[index] = inner.max() / (window * window)
    return scores
