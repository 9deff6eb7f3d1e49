"""Files that are no picture, or an odd one: a verdict only for those that were really seen."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli


def picture(level: float = 10, side: int = 40, dtype: Any = np.uint8) -> Image.Image:
    shape = (side, side, 3) if dtype == np.uint8 else (side, side)
    return Image.fromarray(np.full(shape, level, dtype))


def coded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes, extra: bytes = b"") -> bytes:
    """A PNG whose header may lie about its data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), extra, _chunk(b"IDAT", zlib.compress(data)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(width: int, height: int) -> bytes:
    """A BMP of nothing but its header."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def half_float_tiff() -> bytes:
    """A grey TIFF of 16-bit floating point, which few programs read."""
    pixels: npt.NDArray[np.float16] = np.full((8, 8), 0.5, np.float16)
    data = pixels.tobytes()
    width, bits, planes, floats = ((256, 8), (257, 8)), (258, 16), (277, 1), (339, 3)
    tags = [*width, bits, (259, 1), (262, 1), (273, 8), planes, (278, 8), (279, len(data)), floats]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags)
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(data))
        + data
        + struct.pack("<H", len(tags))
        + entries
        + b"\0" * 4
    )


def with_exif(content: bytes) -> bytes:
    return coded("JPEG", exif=b"Exif\0\0" + content)


JPEG, PNG = coded("JPEG"), coded("PNG")
ROWS_OF_40 = b"\0" * (40 * 121)
# An orientation that is a floating point number, and no number at all.
NAN_ORIENTATION = b"II*\0\x08\0\0\0\x01\0\x12\x01\x0b\0\x01\0\0\0\0\0\xc0\x7f\0\0\0\0"
BOMB = _chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * (80 << 20)))

NOT_INSPECTED: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.png", b"", "the file is empty"),
    "text": ("a.png", b"hello", "no PNG, JPEG, BMP, TIFF or WebP"),
    "SVG": ("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG, BMP, TIFF or WebP"),
    "GIF named PNG": ("a.png", coded("GIF"), "no PNG, JPEG, BMP, TIFF or WebP"),
    "JPEG cut in half": ("a.jpg", JPEG[: len(JPEG) // 2], "cannot be decoded"),
    "JPEG cut in its header": ("a.jpg", JPEG[:20], "no PNG, JPEG, BMP, TIFF or WebP"),
    "PNG cut short": ("a.png", PNG[:60], "cannot be decoded"),
    "PNG with a bit flipped": ("a.png", PNG[:50] + bytes([PNG[50] ^ 255]) + PNG[51:], "cannot be decoded"),
    "PNG without its pixels": ("a.png", png(200, 200, b"\0" * 9), "cannot be decoded"),
    "PNG of no width": ("a.png", png(0, 10, b""), "no PNG, JPEG, BMP, TIFF or WebP"),
    "WebP cut short": ("a.webp", coded("WEBP")[:30], "cannot be decoded"),
    "decompression bomb": ("a.png", png(60_000, 60_000, b""), "too large, or its header is wrong"),
    "larger than any number": ("a.png", png(2**31 - 1, 2**31 - 1, b""), "too large, or its header is wrong"),
    "BMP of a quintillion pixels": ("a.bmp", bmp(2**30, 2**30), "too large, or its header is wrong"),
    "text of 80 MB in a PNG": ("a.png", png(40, 40, ROWS_OF_40, BOMB), "Decompressed data too large"),
    "TIFF that points to itself": ("a.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "no PNG, JPEG, BMP, TIFF"),
    "TIFF of 65535 tags": ("a.tif", b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 99, "no PNG, JPEG, BMP, TIFF"),
    "TIFF of 16-bit floats": ("a.tif", half_float_tiff(), "no PNG, JPEG, BMP, TIFF or WebP"),
    "TIFF of NaN": ("a.tif", coded("TIFF", picture(np.nan, dtype=np.float32)), "values outside [0, 1]"),
    "TIFF of floats above 1": ("a.tif", coded("TIFF", picture(2, dtype=np.float32)), "values outside [0, 1]"),
    "TIFF of floats below 0": (
        "a.tif",
        coded("TIFF", picture(-1, dtype=np.float32)),
        "values outside [0, 1]",
    ),
}
INSPECTED: dict[str, tuple[str, bytes]] = {
    "JPEG named PNG": ("a.png", JPEG),
    "PNG named JPEG": ("a.jpg", PNG),
    "one pixel": ("a.png", coded("PNG", picture(side=1))),
    "one row": ("a.png", png(65_000, 1, b"\0" * 195_001)),
    "CMYK": ("a.jpg", coded("JPEG", picture(255).convert("CMYK"))),
    "more pixels than it says": ("a.png", png(40, 40, b"\0" * (50 << 20))),
    "orientation 99": (
        "a.jpg",
        with_exif(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0"),
    ),
    "orientation NaN": ("a.jpg", with_exif(NAN_ORIENTATION)),
    "EXIF of rubbish": ("a.jpg", with_exif(b"\xff" * 50)),
    "EXIF that points to itself": ("a.jpg", with_exif(b"II*\0\x08\0\0\0\0\0\x08\0\0\0")),
}


@pytest.fixture(scope="module")
def bundle(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("bundle") / "b").path


def run(bundle: Path, source: Path) -> Result:
    return CliRunner().invoke(
        cli, ["run", "--bundle", str(bundle), "--source", str(source), "--threads", "1"]
    )


@pytest.mark.parametrize(("name", "content", "says"), NOT_INSPECTED.values(), ids=NOT_INSPECTED)
def test_what_cannot_be_seen_gets_no_verdict(
    name: str, content: bytes, says: str, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    # A good part beside it: the run goes on.
    (tmp_path / "z.png").write_bytes(PNG)

    done = run(bundle, tmp_path)

    assert done.exit_code == 0, done.output
    odd, good = (json.loads(line) for line in done.stdout.splitlines())
    assert (odd["verdict"], odd["score"]) == ("not_inspected", None)
    assert says in odd["error"]
    assert good["verdict"] == "good"
    assert "1 frames were not inspected" in done.stderr


@pytest.mark.parametrize(("name", "content"), INSPECTED.values(), ids=INSPECTED)
def test_what_is_odd_but_whole_is_inspected(name: str, content: bytes, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    done = run(bundle, tmp_path / name)

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verdict"] in ("good", "defect")


@pytest.mark.parametrize("content", [b"", b"x" * 1000], ids=["empty", "rubbish"])
def test_a_video_that_is_none_is_an_error(content: bytes, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    done = run(bundle, tmp_path / "a.mp4")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot be opened as a video" in done.stderr
