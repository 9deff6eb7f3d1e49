"""Images of a category: where they lie, whether they are sound, how they are split and read."""

from realnet_edge.data.category import CategoryData, Sample, list_images, load_category
from realnet_edge.data.check import ImageFacts, check_images, duplicates, inspect_images
from realnet_edge.data.elpv import CELL_KINDS, ElpvCategory, write_elpv
from realnet_edge.data.reading import load_batches
from realnet_edge.data.report import CategoryReport, examine
from realnet_edge.data.splits import MIN_GOOD_IMAGES, Splits, make_splits, refuse_leaks

__all__ = [
    "CELL_KINDS",
    "MIN_GOOD_IMAGES",
    "CategoryData",
    "CategoryReport",
    "ElpvCategory",
    "ImageFacts",
    "Sample",
    "Splits",
    "check_images",
    "duplicates",
    "examine",
    "inspect_images",
    "list_images",
    "load_batches",
    "load_category",
    "make_splits",
    "refuse_leaks",
    "write_elpv",
]
