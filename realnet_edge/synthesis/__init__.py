"""Synthetic anomalies for training: masks, foregrounds, sources and a preview. No torch."""

from __future__ import annotations

from realnet_edge.synthesis.base import AnomalySource, Synthetic, blend, visible_difference
from realnet_edge.synthesis.bends import BendSource
from realnet_edge.synthesis.chips import ChipSource
from realnet_edge.synthesis.cutpaste import CutPasteSource
from realnet_edge.synthesis.foreground import ForegroundRule, foreground_mask
from realnet_edge.synthesis.foreground_choice import (
    View,
    choose_foreground,
    foreground_of_files,
    resolve_foreground,
)
from realnet_edge.synthesis.foreground_presets import PRESETS
from realnet_edge.synthesis.nsa import NsaSource
from realnet_edge.synthesis.patches import PatchSource
from realnet_edge.synthesis.perlin import perlin_mask, perlin_noise
from realnet_edge.synthesis.preview import preview_sheet
from realnet_edge.synthesis.scratches import ScratchSource
from realnet_edge.synthesis.sia import SiaSource, sia_files
from realnet_edge.synthesis.sources import MixtureSource, make_source, synthesise
from realnet_edge.synthesis.specification import OWN_SOURCES, Part, format_spec, parse_spec
from realnet_edge.synthesis.textures import TextureSource

__all__ = [
    "OWN_SOURCES",
    "PRESETS",
    "AnomalySource",
    "BendSource",
    "ChipSource",
    "CutPasteSource",
    "ForegroundRule",
    "MixtureSource",
    "NsaSource",
    "Part",
    "PatchSource",
    "ScratchSource",
    "SiaSource",
    "Synthetic",
    "TextureSource",
    "View",
    "blend",
    "choose_foreground",
    "foreground_mask",
    "foreground_of_files",
    "format_spec",
    "make_source",
    "parse_spec",
    "perlin_mask",
    "perlin_noise",
    "preview_sheet",
    "resolve_foreground",
    "sia_files",
    "synthesise",
    "visible_difference",
]
