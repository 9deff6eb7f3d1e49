"""What is said of the preset, by the rule that the module states."""

from __future__ import annotations

import dataclasses

import pytest

from realnet_edge.preset_advice import Situation, describe_default, preset_advice
from realnet_edge.presets import PRESETS

EDGE = PRESETS["edge"]
PLAIN = Situation(320, (256, 256), None, 224)
LARGE_GPU, SMALL_GPU = ("GPU 1", 23.6), ("GPU 2", 11.9)


def advice(situation: Situation, name: str = "edge", **train: int) -> str:
    chosen = PRESETS[name]
    return "\n".join(preset_advice(situation, name, chosen.model, dataclasses.replace(chosen.train, **train)))


def test_nothing_is_advised_where_all_is_usual() -> None:
    assert advice(PLAIN) == ""
    assert advice(dataclasses.replace(PLAIN, size=(1024, 1024))) == ""
    assert advice(dataclasses.replace(PLAIN, size=None)) == ""


def test_the_default_is_explained_by_images_and_machine() -> None:
    assert "edge, as none was named, for 320 good images of 256 x 256 pixels, no GPU" in describe_default(
        PLAIN
    )
    other = describe_default(Situation(40, (300, 500), SMALL_GPU, 26))
    assert "40 good images of 500 x 300 pixels, GPU 2 with 12 GiB" in other


def test_the_published_network_is_named_on_a_large_gpu_alone() -> None:
    large = dataclasses.replace(PLAIN, gpu=LARGE_GPU)
    assert "24 GiB of GPU 1 suffice for `--preset paper`" in advice(large)
    assert advice(large, "paper") == ""
    assert advice(dataclasses.replace(PLAIN, gpu=SMALL_GPU)) == ""
    assert "paper" not in advice(dataclasses.replace(large, images=60))


@pytest.mark.parametrize(("images", "said"), [(99, True), (100, False)])
def test_few_images_are_called_few(images: int, said: bool) -> None:
    assert (f"{images} good images are few" in advice(dataclasses.replace(PLAIN, images=images))) == said


def test_too_few_steps_for_many_images_are_named_with_enough() -> None:
    # 6,000 steps of 8 show 2,400 images 20 times.
    assert advice(dataclasses.replace(PLAIN, trained=2400)) == ""
    many = advice(dataclasses.replace(PLAIN, images=5714, trained=4000))
    assert "each of 4000 images to train on about 12.0 times" in many
    assert "--steps 10000 shows them 20 times, given the --minutes." in many
    assert "given" not in advice(dataclasses.replace(PLAIN, trained=4000), minutes=0)


@pytest.mark.parametrize(
    ("size", "wanted"), [((128, 100), 128), ((60, 64), 64), ((100, 129), None), ((30, 30), 64)]
)
def test_small_images_get_a_smaller_input(size: tuple[int, int], wanted: int | None) -> None:
    said = advice(dataclasses.replace(PLAIN, size=size))
    if wanted is None:
        assert said == ""
        return
    assert f"--image-size {wanted} " in said
    # It must be a size that the network takes.
    assert dataclasses.replace(EDGE.model, image_size=wanted).image_size == wanted


def test_tiles_are_for_large_images() -> None:
    tiled = dataclasses.replace(EDGE.model, tiles=(2, 2))
    assert preset_advice(dataclasses.replace(PLAIN, size=(64, 64)), "edge", tiled, EDGE.train) == []
