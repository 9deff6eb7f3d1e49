from __future__ import annotations

import numpy as np
import pytest

from realnet_edge.errors import DataError
from realnet_edge.metrics import average_pool_max


@pytest.mark.parametrize("shape", [(3, 64, 48), (1, 16, 16), (2, 17, 16), (2, 256, 256)])
def test_equals_torch_average_pooling(shape: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch", reason="needs torch, the reference for average pooling")
    maps = np.random.default_rng(1).random(shape).astype(np.float32)
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(maps)[:, None], 16, stride=1)
    expected = pooled.reshape(len(maps), -1).max(dim=1).values.numpy()
    np.testing.assert_allclose(average_pool_max(maps), expected, rtol=3e-7, atol=0)


@pytest.mark.parametrize("shape", [(3, 15, 64), (64, 64)])
def test_maps_smaller_than_the_window_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="16x16 window"):
        average_pool_max(np.zeros(shape, np.float32))
