from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from realnet_edge.errors import BackendError
from realnet_edge.export import TorchRunner
from realnet_edge.export.graph import pooled_score, resized_map
from realnet_edge.model import anomaly_map, image_score
from realnet_edge.model.checkpoint import Checkpoint

Images = npt.NDArray[np.uint8]


def test_gives_what_the_model_gives(checkpoint: Checkpoint, images: Images) -> None:
    with torch.no_grad():
        output = checkpoint.model(checkpoint.model.inputs(torch.from_numpy(images)))
        maps = anomaly_map(output.logits, torch.Size(images.shape[1:3]))
        scores = image_score(maps, "avgpool16")
    with TorchRunner(checkpoint) as runner:
        found = runner.infer(images, diagnostics=True)
    np.testing.assert_allclose(found.anomaly_map, maps.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.score, scores.numpy(), atol=1e-5)
    assert found.rrs_indices is not None
    assert found.rrs_indices.dtype == np.int32
    assert (found.rrs_indices == output.rrs_indices.numpy()).mean() > 0.95


def test_threads_are_given_back(checkpoint: Checkpoint, images: Images) -> None:
    before = torch.get_num_threads()
    with TorchRunner(checkpoint, threads=1) as runner:
        assert torch.get_num_threads() == 1
        runner.infer(images[:1])
    assert torch.get_num_threads() == before
    with pytest.raises(BackendError, match="not open"):
        runner.infer(images[:1])


@pytest.mark.parametrize("rule", ["avgpool16", "max"])
def test_pooling_by_rows_then_columns_is_the_same_score(rule: str) -> None:
    maps = torch.rand(3, 40, 56, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(pooled_score(maps, rule), image_score(maps, rule), atol=1e-6)


def test_resizing_by_rows_then_columns_is_the_same_map() -> None:
    logits = torch.randn(3, 2, 20, 28, generator=torch.Generator().manual_seed(0))
    size = torch.Size((40, 56))
    assert torch.allclose(resized_map(logits, size), anomaly_map(logits, size), atol=1e-6)
    expected = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=True)
    assert torch.allclose(anomaly_map(logits, size), expected.softmax(dim=1)[:, 1], atol=1e-6)
