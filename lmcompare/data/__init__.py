"""Text from where it lies to three splits: one source a file, and the cleaning, de-duplication and splitting of all."""

from lmcompare.data.corpus import Corpus, build_corpus
from lmcompare.data.items import ItemSplits, TaskItem, build_item_splits
from lmcompare.data.labeled import LabeledItem, LabeledSplits, build_labeled_splits
from lmcompare.data.sources.base import SOURCES, Source

__all__ = [
    "SOURCES",
    "Corpus",
    "TaskItem",
    "LabeledItem",
    "ItemSplits",
    "LabeledSplits",
    "Source",
    "build_corpus",
    "build_item_splits",
    "build_labeled_splits",
]
