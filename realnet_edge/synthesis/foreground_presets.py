"""Foreground rules that RealNet's authors chose by hand, by "data set/category", at 256x256 pixels."""

from __future__ import annotations

from realnet_edge.synthesis.foreground import ForegroundRule

WHOLE = ForegroundRule()


def _group(data_set: str, categories: str, rule: ForegroundRule) -> dict[str, ForegroundRule]:
    return {f"{data_set}/{category}": rule for category in categories.split()}


PRESETS: dict[str, ForegroundRule] = {
    **_group("mvtec", "carpet leather tile wood cable transistor", WHOLE),
    **_group("mvtec", "pill", ForegroundRule("otsu", None, "bright", 6, 6)),
    **_group("mvtec", "hazelnut metal_nut toothbrush", ForegroundRule("triangle", None, "bright", 6, 6)),
    **_group("mvtec", "bottle capsule grid screw zipper", ForegroundRule("otsu", None, "dark", 6, 6)),
    **_group("visa", "capsules", WHOLE),
    **_group("visa", "pcb1 pcb2 pcb3 pcb4", ForegroundRule("triangle", 2, "bright", 8, 3)),
    **_group(
        "visa",
        "candle cashew chewinggum fryum macaroni1 macaroni2 pipe_fryum",
        ForegroundRule("otsu", None, "bright", 3, 3),
    ),
    **_group("mpdd", "bracket_black bracket_brown connector", ForegroundRule("otsu", 1, "dark", 6, 0)),
    **_group("mpdd", "bracket_white tubes", ForegroundRule("otsu", 2, "bright", 6, 0)),
    **_group("mpdd", "metal_plate", ForegroundRule("otsu", None, "dark", 6, 0)),
    **_group("btad", "02", WHOLE),
    **_group("btad", "01 03", ForegroundRule("otsu", None, "bright", 15, 6)),
}
