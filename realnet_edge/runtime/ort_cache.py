"""Where ONNX Runtime's GPU providers keep the engines they compile: code, in a folder of the user's own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from realnet_edge.errors import BackendError
from realnet_edge.files import sha256_file

CACHE_VARIABLE = "XDG_CACHE_HOME"


def cache_folder(backend: str, model: Path, version: str) -> Path:
    """The folder for the engines of one graph; made if it is not there.

    The providers tell cached engines apart by the graph's structure, not by its weights: those of the model
    before a training would be loaded for the one after it. Here every graph has a folder of its own.

    Args:
        backend: name of the backend.
        model: ONNX file; external data lie beside it.
        version: of ONNX Runtime.

    Raises:
        BackendError: the model cannot be read, or the folder belongs to somebody else.
    """
    home = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache")
    try:
        parts = [version, *(sha256_file(file) for file in sorted(model.parent.glob(f"{model.name}*")))]
        name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        folder = home / "realnet-edge" / f"{backend}-{name}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(
            f"{model}: no folder for compiled engines ({error}). Name a writable one with {CACHE_VARIABLE}."
        ) from error
    # Whoever may write there may have this process run code.
    if folder.stat().st_uid != os.getuid():
        raise BackendError(
            f"{folder} belongs to another user: remove it, or name another place with {CACHE_VARIABLE}."
        )
    return folder
