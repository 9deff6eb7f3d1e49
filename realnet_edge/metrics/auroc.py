"""Area under the ROC curve, per image and per pixel.

A value below 0.5 is reported as it is: a detector that ranks defects below good parts is wrong,
and turning the value around would hide it.
"""

from __future__ import annotations

import numpy.typing as npt

from realnet_edge.metrics.checks import labels_and_scores, masks_and_maps
from realnet_edge.metrics.ranking import NormalPixels, auroc_from_ranks


def image_auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """AUROC of image scores, in [0, 1].

    Args:
        labels: (N,) 0 for good, 1 for defect.
        scores: (N,) image scores; higher means more anomalous. Ties count one half.

    Raises:
        DataError: one class is missing, shapes differ or a score is not finite.
    """
    defects, values = labels_and_scores(labels, scores)
    normal = NormalPixels.of(defects, values)
    return auroc_from_ranks(normal, values[defects])


def pixel_auroc(masks: npt.ArrayLike, maps: npt.ArrayLike) -> float:
    """AUROC over all pixels of all images together, in [0, 1].

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.

    Raises:
        DataError: shapes differ, a map is not finite, or the masks mark no pixel or every pixel.
    """
    truth, values = masks_and_maps(masks, maps)
    return auroc_from_ranks(NormalPixels.of(truth, values), values[truth])
