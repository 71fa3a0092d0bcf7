"""Text from where it lies to three splits: one source a file, and the cleaning, de-duplication and splitting of all."""

from lmcompare.data.corpus import Corpus, build_corpus
from lmcompare.data.items import Entry, Items, build_items
from lmcompare.data.labeled import Item, Labelled, build_labelled
from lmcompare.data.sources.base import SOURCES, Source

__all__ = [
    "SOURCES",
    "Corpus",
    "Entry",
    "Item",
    "Items",
    "Labelled",
    "Source",
    "build_corpus",
    "build_items",
    "build_labelled",
]
