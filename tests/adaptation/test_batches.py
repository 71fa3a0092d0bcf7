from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmcompare.adaptation.batches import EncodedSplit, ModelWithHead
from lmcompare.adaptation.heads import ClassificationHead, SpanHead
from lmcompare.adaptation.trainable_parameters import trainable_copy
from lmcompare.core.settings import Adaptation
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES


def reader(kind, special):
    return SimpleNamespace(objective=OBJECTIVES[kind](), tokenizer=SimpleNamespace(special=special))


@pytest.mark.parametrize(("kind", "before"), [("causal", 1), ("masked", 0), ("seq2seq", 0)])
def test_marks_stand_at_the_tokens_of_the_text(kind, before, special):
    rows = [(np.array([40, 41, 42]),), (np.array([50]),)]
    part = TokenizedSplit(
        rows, [np.array([0, 1]), np.array([0])], [np.array([0, 0, 1]), np.array([0])]
    )
    batch = EncodedSplit.of(reader(kind, special), part, "own").batch([0, 1], torch.device("cpu"))
    after = before + 3
    assert batch.starts.tolist() == [before, before]
    assert batch.marks[0].tolist() == [*[-1] * before, 0, 0, 1, -1]
    assert batch.marks[1, before:after].tolist() == [0, -1, -1]
    assert batch.tensors.inputs[0, before:after].tolist() == [40, 41, 42]


@pytest.mark.parametrize(("attention", "prefix"), [("own", 0), ("causal", 0), ("bidirectional", 3)])
def test_the_attention_mask_is_an_option(attention, prefix, special):
    items = EncodedSplit.of(
        reader("causal", special), TokenizedSplit([(np.array([40]),)], [0]), attention
    )
    assert items.batch([0], torch.device("cpu")).tensors.prefix_lengths.tolist() == [prefix]


def test_a_pair_is_two_rows_one_after_another(special):
    part = TokenizedSplit(
        [(np.array([40]), np.array([50, 51])), (np.array([60]), np.array([70]))], [0.0, 1.0]
    )
    items = EncodedSplit.of(reader("masked", special), part, "own")
    assert items.lengths == [3, 2]
    assert items.batch([1, 0], torch.device("cpu")).tensors.inputs[:, 0].tolist() == [
        60,
        70,
        40,
        50,
    ]


def test_dropout_of_a_frozen_network_stays_off(special, small):
    network = build_network(small, "decoder", special, 1)
    frozen = ModelWithHead(
        trainable_copy(network, Adaptation(protocol="linear_probe")), ClassificationHead(2, "mean")
    ).train()
    assert frozen.dropout.training and not frozen.network.training
    assert ModelWithHead(trainable_copy(network, Adaptation()), SpanHead()).train().network.training
