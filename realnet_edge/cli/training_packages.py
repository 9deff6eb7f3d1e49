"""Commands that need PyTorch say so, and how to get it, instead of failing at an import."""

from __future__ import annotations

import importlib.util

from realnet_edge.errors import DependencyError

_PACKAGES = ("torch", "torchvision", "timm", "safetensors", "onnx", "onnxscript")


def need_training_packages(command: str, *more: str) -> None:
    """Refuse to start a command whose packages are missing.

    Args:
        command: its name, for the message.
        more: packages of the extra `train` that this command needs besides the usual ones.

    Raises:
        DependencyError: the message names them and the command that adds them.
    """
    missing = [name for name in (*_PACKAGES, *more) if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"`realnet-edge {command}` needs {', '.join(missing)}: pip install 'realnet-edge[train]'."
        )
