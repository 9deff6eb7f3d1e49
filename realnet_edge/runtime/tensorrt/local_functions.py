"""An ONNX file without its local functions, cut out of its bytes: a device that builds has no onnx.

A protobuf message is a row of fields, each a tag and a value whose length can be told without knowing the
message: fields can be left out and the rest kept byte for byte.
"""

from __future__ import annotations

from realnet_edge.errors import ExportError

# ModelProto.functions.
_FUNCTIONS = 25
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def without_functions(model: bytes) -> bytes:
    """The same model with its calls of functions left to plugins.

    Args:
        model: content of an ONNX file.

    Raises:
        ExportError: it is no protobuf message.
    """
    kept, position = [], 0
    while position < len(model):
        start = position
        tag, position = _varint(model, position)
        position = _skipped(model, position, tag & 7)
        if tag >> 3 != _FUNCTIONS:
            kept.append(model[start:position])
    return b"".join(kept)


def _skipped(model: bytes, position: int, kind: int) -> int:
    """Where the value that begins at a position ends."""
    if kind == _VARINT:
        return _varint(model, position)[1]
    if kind == _BYTES:
        length, position = _varint(model, position)
        end = position + length
    elif kind in (_FIXED64, _FIXED32):
        end = position + (8 if kind == _FIXED64 else 4)
    else:
        raise _damaged()
    if end > len(model):
        raise _damaged()
    return end


def _varint(model: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value, shift = 0, 0
    while position < len(model) and shift < 64:
        byte = model[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _damaged()


def _damaged() -> ExportError:
    return ExportError("the ONNX file is damaged or cut short: export the checkpoint anew.")
