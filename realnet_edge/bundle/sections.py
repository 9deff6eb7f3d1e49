"""Sections of a manifest: the images an engine takes, its INT8 calibration, its threshold."""

from __future__ import annotations

from dataclasses import dataclass

from realnet_edge.bundle.fields import Fields, field_names
from realnet_edge.imaging import RESIZE_FILTER

# Pixels: of no larger side is any engine that fits a device.
_LARGEST_SIDE = 1 << 15


@dataclass(frozen=True)
class InputSpec:
    """The images an engine takes: N x height x width x 3, uint8 RGB, resized by the named filter."""

    height: int
    width: int
    color: str = "RGB"
    layout: str = "NHWC"
    dtype: str = "uint8"
    resize: str = RESIZE_FILTER

    @classmethod
    def from_dict(cls, document: object) -> InputSpec:
        """Read and check; raises BundleError naming the key."""
        read = Fields(document, "manifest.input", field_names(cls))
        return cls(
            height=read.integer("height", 1, _LARGEST_SIDE),
            width=read.integer("width", 1, _LARGEST_SIDE),
            color=read.choice("color", ("RGB",)),
            layout=read.choice("layout", ("NHWC",)),
            dtype=read.choice("dtype", ("uint8",)),
            resize=read.choice("resize", (RESIZE_FILTER,)),
        )


@dataclass(frozen=True)
class Calibration:
    """Where INT8 ranges came from.

    Attributes:
        method: how ranges were taken, such as "minmax".
        images: how many images they come from.
        list_sha256: SHA-256 of the list of these images.
        weight_bits: 8, or 7 for processors that cut off sums of 8-bit products.
    """

    method: str
    images: int
    list_sha256: str
    weight_bits: int = 8

    @classmethod
    def from_dict(cls, document: object) -> Calibration:
        """Read and check; raises BundleError naming the key."""
        if isinstance(document, dict):
            # Bundles from before weights could be narrower do not say it.
            document = {"weight_bits": 8, **document}
        read = Fields(document, "manifest.calibration", field_names(cls))
        return cls(
            read.text("method"),
            read.integer("images", 1),
            read.digest("list_sha256"),
            read.integer("weight_bits", 7, 8),
        )


@dataclass(frozen=True)
class Threshold:
    """The image score above which a part is a defect.

    Attributes:
        value: the threshold, in [0, 1]; a score greater than it is a defect.
        target_fpr: the false-positive rate that was asked for.
        attainable_fpr: the smallest rate that `normals` images can guarantee.
        normals: held-out good images behind the value.
        method: how the value was found, such as "split-conformal".
    """

    value: float
    target_fpr: float
    attainable_fpr: float
    normals: int
    method: str

    @classmethod
    def from_dict(cls, document: object) -> Threshold:
        """Read and check; raises BundleError naming the key."""
        read = Fields(document, "manifest.threshold", field_names(cls))
        return cls(
            value=read.number("value", 0.0, 1.0),
            target_fpr=read.number("target_fpr", 0.0, 1.0),
            attainable_fpr=read.number("attainable_fpr", 0.0, 1.0),
            normals=read.integer("normals", 1),
            method=read.text("method"),
        )
