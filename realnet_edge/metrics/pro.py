"""AU-PRO as the MVTec AD evaluation defines it: exact, over every distinct threshold.

Source: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021, section 5.2; the curve
plots the mean overlap of ground-truth regions against the false-positive rate of all pixels
outside them, and its area up to a limit is divided by that limit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realnet_edge.errors import ConfigError
from realnet_edge.metrics.checks import Floats, masks_and_maps
from realnet_edge.metrics.ranking import NormalPixels, area_under
from realnet_edge.metrics.regions import Regions, label_regions

DEFAULT_LIMIT = 0.3


def au_pro(masks: npt.ArrayLike, maps: npt.ArrayLike, limit: float = DEFAULT_LIMIT) -> float:
    """Normalised area under the per-region-overlap curve up to a false-positive rate, in [0, 1].

    Regions are labelled once with 8-connectivity, each counts the same whatever its size, the curve
    is interpolated at the limit.

    Args:
        masks: (N, H, W) ground truth; non-zero marks an anomalous pixel.
        maps: (N, H, W) anomaly maps.
        limit: false-positive rate in (0, 1] at which the integration ends.

    Raises:
        DataError: shapes differ, a map is not finite, or the masks mark no pixel or every pixel.
        ConfigError: the limit is outside (0, 1].
    """
    if not 0.0 < limit <= 1.0:
        raise ConfigError(f"AU-PRO limit {limit} is outside (0, 1]: 0.3 is the usual one.")
    truth, values = masks_and_maps(masks, maps)
    return au_pro_from(NormalPixels.of(truth, values), label_regions(truth), values, limit)


def au_pro_from(normal: NormalPixels, regions: Regions, maps: Floats, limit: float = DEFAULT_LIMIT) -> float:
    """`au_pro` from normal pixels already sorted and regions already labelled (not filled)."""
    fpr, overlap = _curve(normal, regions, maps)
    last = int(np.searchsorted(fpr, limit, side="right"))
    area = area_under(fpr[:last], overlap[:last])
    if last < fpr.size:
        share = (limit - fpr[last - 1]) / (fpr[last] - fpr[last - 1])
        at_limit = overlap[last - 1] + share * (overlap[last] - overlap[last - 1])
        area += 0.5 * (overlap[last - 1] + at_limit) * (limit - fpr[last - 1])
    return float(area / limit)


def _curve(
    normal: NormalPixels, regions: Regions, maps: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """False-positive rates and overlaps at the corners of the PRO curve, ascending.

    Between two neighbouring values of anomalous pixels only the false-positive rate moves, so the
    curve is flat there, and two corners for each distinct anomalous value describe it completely.
    """
    found = maps.reshape(-1)[regions.pixels]
    order = np.argsort(-found)
    found, gained = found[order], np.cumsum(regions.weights[order])
    is_last = np.append(found[1:] != found[:-1], True)
    levels = found[is_last]
    # The sum of all weights is 1 up to rounding; an overlap cannot exceed it.
    reached = np.minimum(gained[is_last], 1.0)

    fpr = np.empty(2 * levels.size + 2)
    overlap = np.empty_like(fpr)
    fpr[0], fpr[-1] = 0.0, 1.0
    overlap[:2], overlap[-1] = 0.0, 1.0
    fpr[1:-1:2] = normal.above(levels) / normal.count
    fpr[2:-1:2] = normal.at_least(levels) / normal.count
    overlap[2:-1:2] = reached
    overlap[3:-1:2] = reached[:-1]
    return fpr, overlap
