"""Which engines `run` decides with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.cli.options import FiniteRange, adding
from realnet_edge.cli.output import say
from realnet_edge.config import BATCH_WAIT_MS
from realnet_edge.errors import BundleError, ConfigError
from realnet_edge.workspace import Workspace

if TYPE_CHECKING:
    from realnet_edge.bundle import Bundle
    from realnet_edge.camera import EngineChain
    from realnet_edge.camera.thresholds import KeptThreshold


# --batch and --batch-wait.
batch_options = adding(
    (
        click.option(
            "--batch",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Give the engine up to so many frames at a time, those that are ready: more frames a second "
            "where an engine gains from it, later verdicts.",
        ),
        click.option(
            "--batch-wait",
            "batch_wait_ms",
            type=FiniteRange(0, 1000),
            default=BATCH_WAIT_MS,
            show_default=True,
            metavar="MS",
            help="With --batch: how long a frame waits for others; 0 takes those that are ready.",
        ),
    )
)


def load_named(
    workspace: Workspace,
    category: str | None,
    backend: str | None,
    precision: str | None,
    folder: Path | None,
    require_signature: Sequence[Path] | None = None,
) -> Bundle:
    """The bundle that the options name, or the best one of the category.

    Args:
        require_signature: files of public keys, one of which has to have signed it; None for any bundle.

    Raises:
        BundleError: there is none, or it is for another category.
        ConfigError: options that name none, or two.
    """
    from realnet_edge.bundle import load_bundle
    from realnet_edge.runtime import choose_bundle

    if folder is None:
        if category is None:
            raise ConfigError("nothing says which engine to run: give --category NAME or --bundle FOLDER.")
        found = choose_bundle(workspace, category, backend, precision)
        folder = workspace.category(category).bundle(*found)
    elif backend or precision:
        raise ConfigError("--bundle names one engine: leave out --backend and --precision.")
    bundle = load_bundle(folder, require_signature)
    if category is not None and bundle.manifest.category != category:
        raise BundleError(f"{folder}: is for {bundle.manifest.category!r}, not for {category!r}.")
    say(f"Bundle {bundle.id} ({folder})" + (f", signed by {bundle.signed_by}" if bundle.signed_by else ""))
    return bundle


def load_fallbacks(
    folders: Sequence[Path], first: Bundle, require_signature: Sequence[Path] | None = None
) -> list[Bundle]:
    """The bundles that stand in for the first one; what is required of it is required of them.

    Raises:
        BundleError: one cannot be loaded, or is for another category.
    """
    from realnet_edge.bundle import load_bundle

    found = []
    for folder in folders:
        bundle = load_bundle(folder, require_signature)
        if bundle.manifest.category != first.manifest.category:
            raise BundleError(
                f"{folder}: is for {bundle.manifest.category!r}, not for {first.manifest.category!r}."
            )
        found.append(bundle)
    return found


def chain(
    bundles: Sequence[Bundle],
    threshold: float | None,
    threads: int | None,
    on_alarm: Callable[[str], None] = lambda text: None,
    batch: int = 1,
    kept: Mapping[str, KeptThreshold] | None = None,
) -> EngineChain:
    """The bundles' engines, each with its own threshold; a threshold of the user's is for the first one.

    Args:
        on_alarm: hears of failures, after the user.
        batch: most images that they get at a time.
        kept: thresholds of operators by bundle id, which take the place of the bundles' own.

    Raises:
        BundleError: a bundle has no threshold.
        ConfigError: a threshold that no score can have, engines for images of different sizes, or one that
            does not take the batch.
    """
    from realnet_edge.camera import Choice, EngineChain
    from realnet_edge.runtime import open_runner

    choices = [
        Choice(
            partial(open_runner, bundle, threads),
            _threshold(bundle, threshold if number == 0 else None, (kept or {}).get(bundle.id)),
            bundle.id,
            bundle.manifest.threshold.value if bundle.manifest.threshold else None,
        )
        for number, bundle in enumerate(bundles)
    ]

    def tell(text: str) -> None:
        say(f"Alarm: {text}")
        on_alarm(text)

    return EngineChain(choices, tell, batch=batch)


def say_arithmetic(bundle: Bundle, arithmetic: str) -> None:
    """Warn where this machine computes in something else than the one that set the threshold."""
    stated = bundle.manifest.arithmetic
    if arithmetic != stated:
        say(
            f"Warning: this machine computes in {arithmetic}, the bundle was built and its threshold set in "
            f"{stated}. Build it here for a threshold that holds."
        )


def _threshold(bundle: Bundle, given: float | None, kept: KeptThreshold | None) -> float:
    from realnet_edge.camera.engines import check_threshold

    if given is not None:
        check_threshold(given, "--threshold")
        return given
    if kept is not None:
        return kept.value
    if bundle.manifest.threshold is None:
        raise BundleError(
            f"{bundle.path}: has no threshold, so nothing can be decided. Build it again with enough "
            "held-out images of good parts, or pass --threshold."
        )
    return bundle.manifest.threshold.value
