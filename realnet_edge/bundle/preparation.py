"""What a prepared bundle carries: all that the machine which will run the engine needs to build it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realnet_edge.bundle.fields import Fields, field_names

RRS_MODES = ("auto", "plugin", "native")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Makes a manifest that of a prepared bundle: its `engine` is the graph that an engine is built from.

    Attributes:
        parity: name of the file with the images that the engine is checked on and FP32 PyTorch's answers.
        held_out: name of the file with the good images that the threshold comes from.
        map_mean_abs: largest mean difference from those maps that the engine may have, in (0, 1].
        score_max_abs: largest difference from those scores that it may have, in (0, 1].
        target_fpr: false-positive rate that the threshold is set for, within (0, 1).
        profile: smallest, optimal and largest batch.
        settings: of TensorRT's builder, name -> value; empty for other backends.
        rrs: how TensorRT shall compute RRS where the target says nothing: "auto", "plugin" or "native".
        kernels: compute capability, "87" for 8.7 -> name of the file with RRS's kernels for it. Where there
            are any the graph holds RRS as one node.
    """

    parity: str
    held_out: str
    map_mean_abs: float
    score_max_abs: float
    target_fpr: float
    profile: tuple[int, int, int]
    settings: Mapping[str, Any]
    rrs: str = "native"
    kernels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, document: object) -> Preparation:
        """Read and check; raises BundleError naming the key."""
        if isinstance(document, dict):
            # Bundles from before kernels could travel do not have these.
            document = {"rrs": "native", "kernels": {}, **document}
        read = Fields(document, "manifest.preparation", field_names(cls))
        low, best, high = read.integers("profile", 3, 1)
        return cls(
            parity=read.text("parity"),
            held_out=read.text("held_out"),
            map_mean_abs=read.number("map_mean_abs", 0.0, 1.0),
            score_max_abs=read.number("score_max_abs", 0.0, 1.0),
            target_fpr=read.number("target_fpr", 0.0, 1.0),
            profile=(low, best, high),
            settings=read.mapping("settings"),
            rrs=read.choice("rrs", RRS_MODES),
            kernels=read.names("kernels"),
        )
