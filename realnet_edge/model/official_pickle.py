"""Reading an official checkpoint's pickle: tensors and plain values come out, nothing else is ever called.

PyTorch's restricted unpickler does it, which follows no instruction but those that make tensors and plain
values. What is added here is what the official training stores beside them: settings and a metric.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realnet_edge.errors import CheckpointError

# How NumPy's numbers are pickled, whichever of its versions did it.
_make_scalar: Callable[..., Any] = np.float64(0.0).__reduce__()[0]
_ALLOWED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    # The official code's settings; its pickle sets entries, and the same ones as attributes.
    (OrderedDict, "easydict.EasyDict"),
    (_make_scalar, "numpy.core.multiarray.scalar"),
    (_make_scalar, "numpy._core.multiarray.scalar"),
    (np.dtype, "numpy.dtype"),
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64)),
    # How protocol 2 writes a number's bytes.
    (codecs.encode, "_codecs.encode"),
]
# PyTorch's messages recommend to switch the restrictions off; what is wrong is in some of their words.
_REASONS = (
    (r"GLOBAL (\S+)", "it asks for {}, which weights have no use for"),
    (r"TorchScript", "it is a TorchScript program, which runs code where it is loaded"),
    (r"legacy \.tar", "it is a tar file, as PyTorch wrote them before 0.1.10"),
    (r"WeightsUnpickler error: (.+)", "{}"),
    (r"(?s).*weights_only.*", "it is no file of torch.save"),
    (r"(.+)", "{}"),
)


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a file that `torch.save` wrote; tensors end on the CPU.

    Raises:
        CheckpointError: no such file, not readable, not a dictionary, or it asks for anything but tensors
            and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file.")
    try:
        with torch.serialization.safe_globals(_ALLOWED), warnings.catch_warnings():
            # That a TorchScript program was met is said below, in our words.
            warnings.simplefilter("ignore", UserWarning)
            document = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged zip, a foreign format and a refused global raise a dozen kinds of error.
        raise CheckpointError(
            f"{path}: not read ({_reason(error)}). Give a checkpoint as RealNet's own training saves it: "
            "tensors and plain values in a file of torch.save."
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: holds a {type(document).__name__}, expected a dictionary.")
    return document


def _reason(error: Exception) -> str:
    """What is wrong with the file, without advice to read it all the same."""
    text = str(error)
    for pattern, reason in _REASONS:
        if (found := re.search(pattern, text)) is not None:
            return reason.format(*found.groups())
    return type(error).__name__
