"""Text from its source to three splits: reading, cleaning, deduplication, splitting, packing."""

from lmcompare.data.corpus import Corpus, build_corpus
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.data.labeled import LabeledItem, LabeledSplits, build_labeled_splits
from lmcompare.data.sources.base import SOURCES, Source

__all__ = [
    "SOURCES",
    "Corpus",
    "ItemSplits",
    "LabeledItem",
    "LabeledSplits",
    "Source",
    "TaskItem",
    "build_corpus",
    "build_item_splits",
    "build_labeled_splits",
]
