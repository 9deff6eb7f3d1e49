"""Training curves as a picture: people look before they read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from realnet_edge.files import atomic_path


def write_curves(path: Path, history: Sequence[dict[str, float]], judged_on: str) -> None:
    """Write losses, validation figures and learning rate over steps as a PNG.

    Args:
        history: one entry a validation, as `Progress.history` keeps them.
        judged_on: what the accuracy is of, as `Validation.on`.
    """
    steps = [entry["step"] for entry in history]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, accuracy, rate = figure.subplots(1, 3)
    for name, colour in (("reconstruction", "#0072b2"), ("segmentation", "#d55e00")):
        losses.plot(steps, [entry[name] for entry in history], marker=".", color=colour, label=name)
    losses.set(title="training loss", xlabel="step", yscale="log")
    losses.legend()
    for name, label, colour in (
        ("image_auroc", "image AUROC", "#0072b2"),
        ("pixel_auroc", "pixel AUROC", "#009e73"),
        ("pixel_ap", "pixel AP", "#d55e00"),
    ):
        accuracy.plot(steps, [entry[name] for entry in history], marker=".", color=colour, label=label)
    accuracy.set(title=f"accuracy, {judged_on}", xlabel="step", ylabel="percent", ylim=(0, 101))
    accuracy.legend(loc="lower right")
    rate.plot(steps, [entry["learning_rate"] for entry in history], marker=".", color="#555555")
    rate.set(title="learning rate", xlabel="step", ylim=(0, None))
    for axes in (losses, accuracy, rate):
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
