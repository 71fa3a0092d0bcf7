import json
import os
import signal

import hypothesis
import numpy as np
import pytest

from lmcompare.core import settings
from lmcompare.core.example import SpecialTokens

# A shell's background job has SIGINT ignored, and so would have every process that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# No test is timed: a slow machine is not a wrong answer.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

WORDS = "the film was a good bad dull long short story with an actor who played it well and never lost heart".split()


@pytest.fixture(scope="session")
def special():
    """96 ids: pad 0, bos 1, eos 2, mask 4, sentinels 9..., text from 32 on; every other text id
    begins a word.
    """
    text = np.arange(32, 96)
    starts = np.zeros(96, dtype=bool)
    starts[text[::2]] = True
    return SpecialTokens(
        pad=0,
        bos=1,
        eos=2,
        mask=4,
        sentinels=tuple(range(9, 32)),
        ordinary=text,
        word_starts=starts,
    )


@pytest.fixture(scope="session")
def small():
    return settings.NetworkSettings(hidden_size=32, num_layers=2, num_heads=2, ffn_multiplier=2.0)


@pytest.fixture(scope="session")
def sentences():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 12)) + "." for _ in range(400)]


@pytest.fixture(scope="session")
def tokenizer(sentences):
    from lmcompare.data.tokenizer import Tokenizer

    return Tokenizer.train(sentences, settings.TokenizerSettings(vocab_size=400, sentinels=16))


@pytest.fixture
def make(tmp_path):
    """Make a small experiment over one text file."""
    from lmcompare.experiments.experiment import parse

    text = tmp_path / "text.txt"
    text.write_text("some text\n")

    def made(name="small", seeds=(1,), says=None, **more):
        data = {
            "name": name,
            "corpus": {"source": {"kind": "text", "path": str(text)}},
            "seeds": list(seeds),
        }
        data |= {"models": {"causal": {"objective": "causal"}, "masked": {"objective": "masked"}}}
        data |= {"tasks": {"next": "continuation"}, "description": json.dumps(says or {})}
        return parse(data | more)

    return made
