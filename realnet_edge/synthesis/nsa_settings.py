"""What NSA's authors chose: patch sizes, counts and conditions, for MVTec AD by hand.

Source: Schlueter, Tan, Hou and Kainz, "Natural Synthetic Anomalies for Self-Supervised Anomaly Detection and
Localization", ECCV 2022, and its official implementation, which this follows where the two could be read
differently.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Bounds = tuple[float, float]


@dataclass(frozen=True)
class NsaSettings:
    """How patches are drawn.

    Attributes:
        height, width: least and most half height and half width of a patch, as shares of the image's. The
            side of a patch after rescaling lies within the same bounds, as in the official implementation.
        patches: most patches an image; the first is always placed, each further one in half of the draws.
        least_object: share of a patch that must be object.
        least_overlap: share of a patch's object that must land on the object.
        scale: bounds of the factor, normal about 1 with deviation 0.5, by which a patch is rescaled.
        mixed: take the stronger of the two gradients at each pixel, instead of the patch's own.
    """

    height: Bounds = (0.03, 0.4)
    width: Bounds = (0.03, 0.4)
    patches: int = 3
    least_object: float = 0.25
    least_overlap: float = 0.25
    scale: Bounds = (0.7, 1.3)
    mixed: bool = False


# Without a published choice: the widest bounds and the weakest condition of those below, because little is
# known of the part.
GENERAL = NsaSettings()
# Textures fill the image: nothing is asked of where a patch comes from and goes to.
TEXTURE = NsaSettings(patches=4, least_object=0.0, least_overlap=0.0, scale=(0.5, 2.0), mixed=True)

_OBJECT = NsaSettings(least_object=0.7)
PRESETS: dict[str, NsaSettings] = {
    **{f"mvtec/{name}": TEXTURE for name in ("carpet", "grid", "leather", "tile", "wood")},
    "mvtec/bottle": _OBJECT,
    "mvtec/cable": replace(_OBJECT, height=(0.05, 0.4), width=(0.05, 0.4)),
    "mvtec/capsule": replace(_OBJECT, height=(0.03, 0.15)),
    "mvtec/hazelnut": replace(_OBJECT, height=(0.03, 0.35), width=(0.03, 0.35)),
    "mvtec/metal_nut": replace(_OBJECT, least_object=0.5),
    "mvtec/pill": replace(_OBJECT, height=(0.03, 0.2)),
    "mvtec/screw": replace(_OBJECT, height=(0.03, 0.12), width=(0.03, 0.12), patches=4, least_object=0.5),
    "mvtec/toothbrush": replace(_OBJECT, width=(0.03, 0.2), least_object=0.25),
    "mvtec/transistor": _OBJECT,
    "mvtec/zipper": replace(_OBJECT, width=(0.03, 0.2), patches=4),
}
