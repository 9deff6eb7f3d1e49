"""Images of a category: where they lie, whether they are sound, how they are split and read."""

from realnet_edge.data.category import (
    CategoryData,
    Sample,
    category_folders,
    join_categories,
    load_categories,
    load_category,
)
from realnet_edge.data.check import ImageFacts, check_images, duplicates, inspect_images
from realnet_edge.data.collection import CollectionReport, examine_all
from realnet_edge.data.elpv import CELL_KINDS, ElpvCategory, write_elpv
from realnet_edge.data.layouts import TEST_FOLDERS, list_images
from realnet_edge.data.published import DATA_SETS, DataSet, Expected
from realnet_edge.data.reading import load_batches
from realnet_edge.data.recognition import Recognition
from realnet_edge.data.report import CategoryReport, examine, unusable
from realnet_edge.data.splits import MIN_GOOD_IMAGES, Splits, make_splits, refuse_leaks

__all__ = [
    "CELL_KINDS",
    "DATA_SETS",
    "MIN_GOOD_IMAGES",
    "TEST_FOLDERS",
    "CategoryData",
    "CategoryReport",
    "CollectionReport",
    "DataSet",
    "ElpvCategory",
    "Expected",
    "ImageFacts",
    "Recognition",
    "Sample",
    "Splits",
    "category_folders",
    "check_images",
    "duplicates",
    "examine",
    "examine_all",
    "inspect_images",
    "join_categories",
    "list_images",
    "load_batches",
    "load_categories",
    "load_category",
    "make_splits",
    "refuse_leaks",
    "unusable",
    "write_elpv",
]
