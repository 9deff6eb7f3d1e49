"""CUDA without torch: images of other libraries, and what CUDA answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from realnet_edge.errors import BackendError
from realnet_edge.runtime.cuda import DeviceImages, find_package, open_device
from realnet_edge.runtime.gpu import cuda_devices, first_gpu


class Exported:
    """Anything that states where its bytes lie."""

    def __init__(self, **changes: Any) -> None:
        stated = {"shape": (2, 4, 4, 3), "typestr": "|u1", "data": (4096, True), "version": 3}
        self.__cuda_array_interface__ = {**stated, **changes}


def test_images_on_the_gpu_are_described_without_touching_them() -> None:
    images = DeviceImages.of(Exported(stream=7))
    assert (images.address, images.shape, images.dtype, images.stream) == (4096, (2, 4, 4, 3), np.uint8, 7)
    assert (len(images), images.ndim) == (2, 4)
    assert not images.ready
    # A stream of None is an answer, no word of one is none.
    assert DeviceImages.of(Exported(stream=None)).ready
    assert not DeviceImages.of(Exported()).ready
    assert DeviceImages.of(Exported(strides=None)).shape == (2, 4, 4, 3)
    assert DeviceImages.of(Exported(strides=(48, 12, 3, 1))).shape == (2, 4, 4, 3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"strides": (48, 3, 12, 1)}, r"strides \(48, 3, 12, 1\).*contiguous"),
        ({"mask": Exported()}, "have a mask"),
        ({"data": None}, "incomplete"),
        ({"typestr": "nonsense"}, "incomplete"),
    ],
)
def test_images_that_cannot_be_read_in_place_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BackendError, match=says):
        DeviceImages.of(Exported(**changes))


def test_every_answer_of_cuda_is_checked() -> None:
    bindings = pytest.importorskip("realnet_edge.runtime.cuda.bindings", reason="needs cuda-bindings")
    with pytest.raises(BackendError, match=r"cudaSetDevice: .+ \(cudaError\w+\)\. "):
        bindings.call(bindings.cudart.cudaSetDevice, 10**6)
    assert bindings.call(bindings.cudart.cudaRuntimeGetVersion) >= 12000


@pytest.mark.skipif(bool(cuda_devices()[0]), reason="this machine has a GPU")
def test_without_a_gpu_it_is_said_what_cuda_answered_and_what_is_needed() -> None:
    with pytest.raises(BackendError, match=r"no NVIDIA driver|error|no NVIDIA GPU"):
        first_gpu()
    if find_package() == "cuda-bindings":
        with pytest.raises(BackendError, match=r"cudaGetDeviceCount: .*cudaError.*needs an NVIDIA GPU"):
            open_device()


@pytest.mark.gpu
def test_bytes_travel_there_and_back_and_a_graph_repeats_it() -> None:
    device = open_device()
    try:
        there, back = device.allocate_host(1000), device.allocate_host(1000)
        address = device.allocate(1000)

        def travel() -> None:
            device.to_device(address, there)
            device.fill(address, 255, 10)
            device.to_host(back, address)

        for seed in range(3):
            there[:] = np.random.default_rng(seed).integers(0, 200, 1000)
            graph = device.capture(travel)
            if graph is None:
                travel()
            else:
                graph.launch()
            device.synchronise()
            assert (back[:10] == 255).all()
            np.testing.assert_array_equal(back[10:], there[10:])
            if graph is not None:
                graph.release()
    finally:
        device.close()
        device.close()


@pytest.mark.gpu
def test_a_failed_capture_leaves_the_stream_usable() -> None:
    device = open_device()
    try:
        host, address = device.allocate_host(16), device.allocate(16)

        def fail() -> None:
            device.fill(address, 1, 16)
            raise BackendError("in between")

        if find_package() == "cuda-bindings":
            with pytest.raises(BackendError, match="in between"):
                device.capture(fail)
        device.fill(address, 3, 16)
        device.to_host(host, address)
        device.synchronise()
        assert (host == 3).all()
    finally:
        device.close()


@pytest.mark.gpu
def test_the_first_gpu_is_described() -> None:
    gpu = first_gpu()
    assert gpu.name == cuda_devices()[0][0]
    assert all(part.isdigit() for part in f"{gpu.compute_capability}.{gpu.cuda}".split("."))
