"""Image files of kinds that Pillow writes none of, and values to fill them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]


def random_values(shape: tuple[int, ...], top: int, dtype: type = np.uint16) -> Array:
    values: Array = np.random.default_rng(0).integers(0, top + 1, shape).astype(dtype)
    return values


def as_rgb(grey: Array) -> Array:
    return np.repeat(grey[:, :, None], 3, axis=2)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(colour_type: int, rows: Array) -> bytes:
    """A 16-bit PNG written from the format's specification; Pillow writes no 16-bit colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(
    values: Array,
    order: Literal["<", ">"] = "<",
    white_is_zero: bool = False,
    orientation: int = 1,
    separate: bool = False,
    packed: tuple[int, bytes] | None = None,
) -> bytes:
    """An uncompressed TIFF written from the TIFF 6.0 specification, to have every kind of it."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    planes = samples if separate else 1
    bits, data = packed or (
        values.dtype.itemsize * 8,
        (np.moveaxis(values, 2, 0) if separate else values)
        .astype(values.dtype.newbyteorder(order))
        .tobytes(),
    )
    photometric = 2 if samples == 3 else 0 if white_is_zero else 1
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    strip = len(data) // planes
    tags: list[tuple[int, str, list[int]]] = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [bits] * samples),
        (259, "H", [1]),
        (262, "H", [photometric]),
        (273, "I", [0] * planes),
        (274, "H", [orientation]),
        (277, "H", [samples]),
        (278, "I", [height]),
        (279, "I", [strip] * planes),
        (284, "H", [2 if separate else 1]),
        (339, "H", [sample_format] * samples),
    ]
    extra_at = 8 + 2 + 12 * len(tags) + 4
    extra_size = sum(
        n for n in (struct.calcsize(f"{len(values)}{code}") for _, code, values in tags) if n > 4
    )
    entries, extra = b"", b""
    for number, code, content in tags:
        if number == 273:
            content = [extra_at + extra_size + plane * strip for plane in range(planes)]
        raw = struct.pack(f"{order}{len(content)}{code}", *content)
        if len(raw) > 4:
            raw, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + raw
        entries += struct.pack(f"{order}HHI", number, {"H": 3, "I": 4}[code], len(content))
        entries += raw.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}IH", 8, len(tags)) + entries + struct.pack(f"{order}I", 0)
    return magic + directory + extra + data
