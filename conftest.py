"""Names that docstring examples use without importing them."""

import numpy as np
import pytest

from lmcompare.core.example import SpecialTokens


@pytest.fixture(autouse=True)
def _names_in_docstring_examples(doctest_namespace):
    """``np``, and ``special``: 96 ids, pad 0, bos 1, eos 2, mask 4, sentinels 9 to 15, and text."""
    special = SpecialTokens(
        pad=0,
        bos=1,
        eos=2,
        mask=4,
        sentinels=tuple(range(9, 16)),
        ordinary=np.array([5, 6, 7, 8, *range(16, 96)]),
        word_starts=np.ones(96, dtype=bool),
    )
    doctest_namespace |= {"np": np, "special": special}
