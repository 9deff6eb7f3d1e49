"""What to tell someone before hours are spent on a diffusion model or its classifier. No torch."""

from __future__ import annotations

from realnet_edge.config.diffusion_training import NoisedTrainConfig
from realnet_edge.data import CategoryData
from realnet_edge.errors import DataError

# On about a hundred images diffusion models have yielded noise, or copies of these images.
FEW_IMAGES = 150


def few_images_advice(count: int, category: str) -> str | None:
    """A warning where images are few, with what works without a diffusion model; None where they are enough.

    Args:
        count: good images that the model would be trained on.
        category: their name, for the commands.
    """
    if count >= FEW_IMAGES:
        return None
    return (
        f"Warning: {count} images to train on; with fewer than about {FEW_IMAGES} a diffusion model may give "
        "noise, or copies of them. Look at the sample grids before using any. What needs no diffusion model: "
        f"`realnet-edge train --category {category}` as it is (patches, bends, CutPaste, scratches); with "
        "--source textures=FOLDER, a folder of textures such as DTD; or with --source sia=FOLDER, the "
        "published anomaly images (SIA) of a published category. What helps a diffusion model: more good "
        "images, --flip and --rotate where the part may lie so, --init with the public ImageNet model "
        "(preset paper)."
    )


def refuse_one_category(category: CategoryData) -> None:
    """Refuse to train a classifier that has nothing to tell apart.

    Raises:
        DataError: there is one category only.
    """
    if not category.parts:
        raise DataError(
            f"a classifier tells categories apart, and {category.name} is the only one here: what it would "
            "say of any image is certain, so it could guide nowhere. Give --category all, or two or more "
            "names joined by commas; for one category sample without --guidance."
        )


def describe_time(config: NoisedTrainConfig, done: int, spent: float, seconds: float, looks: str) -> str:
    """What a training comes to at this speed.

    Args:
        config: the limits.
        done: steps done before.
        spent: minutes that they took.
        seconds: what a step took in a short run.
        looks: what milestones cost time for besides.
    """
    left = (config.steps - done) * seconds / 60
    text = (
        f"a step of {config.batch} images took {seconds:.2f} s in a short run: {config.steps - done} steps "
        f"take about {_duration(left)}, without {looks}"
    )
    allowed = config.minutes - spent
    if config.minutes > 0 and allowed < left:
        steps = done + int(max(0.0, allowed) * 60 / seconds)
        text += f"; --minutes {config.minutes:g} ends it after about {steps} steps in all"
    return text


def _duration(minutes: float) -> str:
    if minutes < 120:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.0f} days"
