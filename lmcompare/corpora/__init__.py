"""Text from where it lies to three splits: one source a file, and the cleaning, de-duplication and splitting of all."""

from lmcompare.corpora.build import Corpus, build_corpus
from lmcompare.corpora.labelled import Item, Labelled, build_labelled
from lmcompare.corpora.paired import Entry, Items, build_items
from lmcompare.corpora.source import SOURCES, Source

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
