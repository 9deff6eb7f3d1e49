"""What RRS launches, against what kernels are compiled to take; the numbers are tested in `interpreter/`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from realnet_edge.errors import KernelError
from realnet_edge.kernels.catalogue import ANY_BLOCKS, EPS, find_kernels
from realnet_edge.kernels.kernel_set import KernelSet
from realnet_edge.kernels.rrs_call import RrsSettings
from realnet_edge.kernels.rrs_plan import RrsLayout, RrsSizes, check_kernel, plan_rrs
from realnet_edge.kernels.spec import POINTER

CASTS = (("f32", "f32"), ("f32", "f16"), ("f16", "f16"))


def sizes(blocks: int, samples: int = 2) -> RrsSizes:
    return RrsSizes(samples, tuple((16 * (n + 1), 64 >> n, 48 >> n) for n in range(blocks)), 5, 7)


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("blocks", ANY_BLOCKS)
def test_every_launch_gives_what_its_kernel_takes(
    blocks: int, cast: tuple[str, str], uncompiled: Callable[..., KernelSet]
) -> None:
    for last, all_planes in product((False, True), repeat=2):
        layout = RrsLayout(blocks, *cast, last, all_planes)
        kernels = uncompiled(layout.kernels)
        plan = plan_rrs(layout, sizes(blocks))
        assert [launch.kernel for launch in plan.launches] == list(layout.kernels)
        for launch in plan.launches:
            check_kernel(launch, kernels[launch.kernel].about)


def test_arguments_are_named_for_what_they_are_given() -> None:
    """Two integers side by side could be swapped and still be integers."""
    layout = RrsLayout(2, "f32", "f32", False, True)
    named: dict[str, dict[str, Any]] = {}
    for launch in plan_rrs(layout, sizes(2)).launches:
        (spec,) = find_kernels((launch.kernel,))
        pairs = zip(spec.parameters, launch.arguments, strict=True)
        named[launch.kernel] = {p.name: value for p, value in pairs if p.kind != POINTER}
    blocks = {"channels[0]": 16, "channels[1]": 32, "heights[0]": 64, "heights[1]": 32}
    blocks |= {"widths[0]": 48, "widths[1]": 24, "out_height": 64, "out_width": 48}
    ranked = {"planes": 48, "parts": 5, "pixels": 64 * 48, "columns": 12}
    assert named == {
        "rrs_pool_f32_nchw_b2": {**blocks, "planes": 48},
        "rrs_rank_max": {**ranked, "kept": 5, "first": 0},
        "rrs_rank_mean": {**ranked, "kept": 7, "first": 5},
        "rrs_place": {"planes": 48, "columns": 12},
        "rrs_gather_f32_f32_nchw_b2": {**blocks, "places": 48},
    }


def test_a_kernel_that_takes_something_else_is_refused(uncompiled: Callable[..., KernelSet]) -> None:
    layout = RrsLayout(1, "f32", "f32", False, False)
    launch = plan_rrs(layout, sizes(1)).launches[1]
    about = uncompiled(layout.kernels)[launch.kernel].about
    shorter = dataclasses.replace(about, parameters=about.parameters[:-1])
    with pytest.raises(KernelError, match=r"rrs_rank_max takes pooled \*fp32.*Compile it with.*--sm 87"):
        check_kernel(launch, shorter)


@pytest.mark.parametrize(
    ("blocks", "read", "written"), [(6, "f32", "f32"), (0, "f32", "f32"), (3, "f16", "f32")]
)
def test_what_no_kernel_is_compiled_for_is_refused(blocks: int, read: str, written: str) -> None:
    with pytest.raises(KernelError, match=f"no kernel takes {blocks} blocks of {read} and gives {written}"):
        RrsLayout(blocks, read, written, False, False)


def test_a_batch_that_no_grid_takes_is_refused() -> None:
    with pytest.raises(KernelError, match="70000 samples of 16 planes"):
        plan_rrs(RrsLayout(1, "f32", "f32", False, False), sizes(1, samples=70000))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"k_max": 0, "k_mean": 0}, "keeps 0 and 0 planes"),
        ({"k_max": -1}, "keeps -1 and 2 planes"),
        ({"eps": 1e-3}, "normalises with eps 0.001"),
    ],
)
def test_settings_that_the_kernels_do_not_have_are_refused(changes: dict[str, float], says: str) -> None:
    fields = {"k_max": 1, "k_mean": 2, "all_planes": 0, "half": 0, "eps": EPS, **changes}
    with pytest.raises(KernelError, match=says):
        RrsSettings.from_fields(fields)
    with pytest.raises(KernelError, match="lacks k_mean, eps"):
        RrsSettings.from_fields({"k_max": 1, "all_planes": 0, "half": 0})
