"""What a measuring process is started with, and what it says of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """The engine to open and the frames to time it on.

    Attributes:
        engine: folder of the bundle, or of the checkpoint.
        is_bundle: which of the two it is.
        threads: processor threads for the engine; None leaves the choice to the backend.
        frames: image files that the timing goes through.
        require_signature: files of public keys, one of which has to have signed the bundle; None for any.
    """

    engine: Path
    is_bundle: bool
    threads: int | None
    frames: tuple[Path, ...]
    require_signature: tuple[Path, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "engine": str(self.engine),
            "is_bundle": self.is_bundle,
            "threads": self.threads,
            "frames": [str(path) for path in self.frames],
            "require_signature": None
            if self.require_signature is None
            else [str(path) for path in self.require_signature],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Job:
        """What `to_dict` gave."""
        frames = tuple(Path(path) for path in document["frames"])
        keys = document["require_signature"]
        return cls(
            Path(document["engine"]),
            document["is_bundle"],
            document["threads"],
            frames,
            None if keys is None else tuple(Path(path) for path in keys),
        )


@dataclass(frozen=True)
class EngineFacts:
    """What an open engine says of itself.

    Attributes:
        arithmetic: what really computes, such as "int8 + bf16".
        batch_range: smallest and largest batch.
        input_size: (height, width).
        tells_rrs: whether it can say which channels RRS chose.
        checkpoint_sha256: of the checkpoint it computes.
        versions: software that takes part, "name version" joined by ", ".
    """

    arithmetic: str
    batch_range: tuple[int, int]
    input_size: tuple[int, int]
    tells_rrs: bool
    checkpoint_sha256: str
    versions: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> EngineFacts:
        """What `to_dict` gave, after it went through JSON."""
        low, high = document["batch_range"]
        height, width = document["input_size"]
        return cls(
            document["arithmetic"],
            (low, high),
            (height, width),
            document["tells_rrs"],
            document["checkpoint_sha256"],
            document["versions"],
        )
