"""Where things lie: one folder a category, the same names for every command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from realnet_edge.errors import CheckpointError, ConfigError

DEFAULT_WORKSPACE = Path("workspace")
WORKSPACE_VARIABLE = "REALNET_EDGE_WORKSPACE"
# Beside the weights in a checkpoint's folder; can be read without torch.
CHECKPOINT_DOCUMENT = "checkpoint.json"
# Beside the categories; a leading dot keeps it from being taken for one.
TIMING_CACHES = ".tensorrt"
KERNELS = ".kernels"
# The name that all categories of a folder have together, as what one model inspects.
ALL = "all"
_CATEGORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_category_name(name: str) -> bool:
    """Whether a category can be called so: its name becomes that of folders and files."""
    return _CATEGORY.fullmatch(name) is not None


@dataclass(frozen=True)
class CategoryPaths:
    """The folders of one category inside a workspace."""

    root: Path

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def training(self) -> Path:
        """Training state, logs and curves: what `train` needs to resume."""
        return self.root / "training"

    @property
    def diffusion(self) -> CategoryPaths:
        """Checkpoint and training state of the diffusion model that synthesises anomalies."""
        return CategoryPaths(self.root / "diffusion")

    @property
    def classifier(self) -> CategoryPaths:
        """Checkpoint and training state of the classifier that guides sampling; of all categories only."""
        return CategoryPaths(self.root / "classifier")

    @property
    def sia(self) -> Path:
        """Anomalous images that the diffusion model made."""
        return self.root / "sia"

    @property
    def onnx(self) -> Path:
        return self.root / "onnx"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def bench(self) -> Path:
        return self.root / "bench"

    def bundle(self, backend: str, precision: str) -> Path:
        return self.bundles / f"{backend}-{precision}"

    def prepared(self, backend: str, precision: str) -> Path:
        """What another machine builds the bundle from; apart, for it is no engine."""
        return self.root / "prepared" / f"{backend}-{precision}"


@dataclass(frozen=True)
class Workspace:
    """A folder that holds everything made for a set of categories."""

    root: Path

    def category(self, name: str) -> CategoryPaths:
        """Paths of a category.

        Raises:
            ConfigError: the name would not be a plain folder name.
        """
        if not is_category_name(name):
            raise ConfigError(
                f"category {name!r} is not a plain name: use letters, digits, '.', '_' and '-' only."
            )
        return CategoryPaths(self.root / name)

    def categories(self) -> list[str]:
        """Names of the categories that have a folder here, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and is_category_name(p.name))


def require_checkpoint(workspace: Workspace, category: str) -> None:
    """Refuse to go on without a checkpoint, before anything slow is imported for it.

    Raises:
        CheckpointError: nothing was trained here; the message gives the command.
        ConfigError: the category would not be a plain folder name.
    """
    if (workspace.category(category).checkpoint / CHECKPOINT_DOCUMENT).is_file():
        return
    command = f"realnet-edge train --data DIR --category {category}"
    if workspace.root != DEFAULT_WORKSPACE:
        command += f" --workspace {workspace.root}"
    trained = [
        name
        for name in workspace.categories()
        if (workspace.category(name).checkpoint / CHECKPOINT_DOCUMENT).is_file()
    ]
    others = f" Trained there: {', '.join(trained)}." if trained else ""
    raise CheckpointError(
        f"no checkpoint of category {category!r} in {workspace.root}.{others} Train it first, DIR being the "
        f"folder that holds its images: {command}"
    )
