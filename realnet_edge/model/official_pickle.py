"""Reading an official checkpoint's pickle: tensors and plain values come out, nothing else is ever called."""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import torch

from realnet_edge.errors import CheckpointError

# What tensors and NumPy's numbers are made with. None of it opens, imports or runs anything.
_HARMLESS = {
    "torch._utils": {"_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch.serialization": {"_get_layout"},
    "torch": {"device", "Size"},
    "numpy": {"dtype"},
    "numpy.core.multiarray": {"scalar"},
    "numpy._core.multiarray": {"scalar"},
    # How pickles of Python 2's protocols write bytes.
    "_codecs": {"encode"},
}

# How a zip file of one part begins.
_ARCHIVE = b"PK\x03\x04"


class _PlainDict(dict[str, Any]):
    """Stands in for `easydict.EasyDict`, which the official code keeps its settings in."""

    def __setstate__(self, _state: object) -> None:
        """The same entries once more, as attributes."""


class _Unpickler(pickle.Unpickler):
    """Refuses every global that is not on the list; torch adds its storages before it asks."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("easydict", "EasyDict"):
            return _PlainDict
        if name in _HARMLESS.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights have no use for")


def _load(file: BinaryIO, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


# What `torch.load` looks up in a pickle module; `load` for files from before PyTorch 1.6.
_MODULE = SimpleNamespace(
    Unpickler=_Unpickler, UnpicklingError=pickle.UnpicklingError, load=_load, __name__=__name__
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
        _refuse_programs(path)
        document = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_MODULE)
    except Exception as error:
        # A damaged zip, a foreign format and a refused global raise a dozen kinds of error.
        raise CheckpointError(
            f"{path}: not read ({error}). Give a checkpoint as RealNet's own training saves it: tensors and "
            "plain values in a file of torch.save."
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: holds a {type(document).__name__}, expected a dictionary.")
    return document


def _refuse_programs(path: Path) -> None:
    """Refuse TorchScript archives, which `torch.load` hands to an interpreter without asking the unpickler.

    The beginning of the file and PyTorch's own reader decide, as they do there.

    Raises:
        pickle.UnpicklingError: it is one.
    """
    with path.open("rb") as file:
        is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if is_archive and "constants.pkl" in torch._C.PyTorchFileReader(str(path)).get_all_records():
        raise pickle.UnpicklingError("it is a TorchScript program, which runs code where it is loaded")
