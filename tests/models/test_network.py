import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, collate
from lmcompare.models.network import (
    BatchTensors,
    Network,
    build_network,
    evaluation_mode,
    load_network,
    save_network,
)
from lmcompare.objectives import OBJECTIVES, sequence_example

ROLES = {"causal": "decoder", "masked": "encoder", "seq2seq": "encoder-decoder"}


@pytest.fixture(params=["causal", "masked", "seq2seq"])
def kind(request):
    return request.param


@pytest.fixture
def network(kind, small, special):
    return build_network(small, ROLES[kind], special, seed=1)


def examples(kind, special, lengths, isolated=False):
    rng = np.random.default_rng(0)
    rows = [rng.choice(special.ordinary, n) for n in lengths]
    if isolated:
        for row in rows:
            row[len(row) // 2] = special.eos
    return [
        sequence_example(
            OBJECTIVES[kind](), row, special, np.random.default_rng(1), isolated=isolated
        )
        for row in rows
    ]


def losses(network, rows):
    with evaluation_mode(network):
        return network(BatchTensors.of(collate(rows, 0)))


def seen(network, example):
    """Measure the attention: change one input, compare the outputs. Shape (inputs, outputs)."""
    length = len(example.targets)
    asked = Example(
        example.inputs, np.full(length, 40), example.decoder_inputs, example.attention,
        example.segments, example.decoder_segments,
    )  # fmt: skip
    before = losses(network, [asked])
    moved = []
    for i in range(len(example.inputs)):
        inputs = example.inputs.copy()
        inputs[i] = 41 if inputs[i] != 41 else 42
        changed = Example(
            inputs,
            asked.targets,
            example.decoder_inputs,
            example.attention,
            example.segments,
            example.decoder_segments,
        )
        moved.append((losses(network, [changed]) - before).abs().numpy() > 1e-6)
    return np.stack(moved)


@pytest.mark.parametrize(
    ("kind", "attention", "expected"),
    [
        ("causal", "causal", np.triu(np.ones((6, 6), dtype=bool))),
        ("masked", "full", np.ones((6, 6), dtype=bool)),
        ("causal", "full", np.ones((6, 6), dtype=bool)),
        ("masked", "causal", np.triu(np.ones((6, 6), dtype=bool))),
        ("causal", 3, np.triu(np.ones((6, 6), dtype=bool)) | (np.arange(6) < 3)[:, None]),
    ],
)
def test_each_position_sees_what_its_example_says(kind, network, attention, expected):
    tokens = np.array([50, 51, 52, 53, 54, 55])
    assert (
        seen(network, Example(tokens, np.full(6, IGNORE), attention=attention)) == expected
    ).all()


@pytest.mark.parametrize("kind", ["seq2seq"])
def test_every_output_of_the_decoder_sees_every_input_of_the_encoder(kind, network):
    tokens = np.array([50, 51, 52, 53])
    assert seen(network, Example(tokens, np.full(3, IGNORE), np.array([1, 60, 61]))).all()


@pytest.mark.parametrize("kind", ["seq2seq"])
def test_the_decoder_sees_its_past_alone(kind, network):
    inputs, decoder = np.array([50, 51]), np.array([1, 60, 61, 62])
    before = losses(network, [Example(inputs, np.full(4, 40), decoder)])
    for i in range(4):
        changed = decoder.copy()
        changed[i] = 41
        moved = (losses(network, [Example(inputs, np.full(4, 40), changed)]) - before).abs() > 1e-6
        assert moved.tolist() == [j >= i for j in range(4)]


def test_documents_of_a_row_do_not_see_one_another(kind, network, special):
    (row,) = examples(kind, special, [16], isolated=True)
    apart = []
    for i in (0, 1):
        asked = (row.segments if row.decoder_segments is None else row.decoder_segments) == i
        decoder = None if row.decoder_inputs is None else row.decoder_inputs[asked]
        apart.append(
            losses(
                network,
                [
                    Example(
                        row.inputs[row.segments == i], row.targets[asked], decoder, row.attention
                    )
                ],
            )
        )
    torch.testing.assert_close(losses(network, [row]), torch.cat(apart), rtol=0, atol=2e-5)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_batch_neighbour_changes_no_score(kind, network, special, isolated):
    rows = examples(kind, special, [9, 30, 17], isolated)
    together = losses(network, rows)
    apart = torch.cat([losses(network, [row]) for row in rows])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)


def test_loss_equals_the_library_on_full_logits(kind, network, special):
    rows = examples(kind, special, [12, 20])
    batch = collate(rows, 0)
    tensors = BatchTensors.of(batch)
    arguments = {"input_ids": tensors.inputs, "attention_mask": tensors.attention_mask.long()}
    if tensors.decoder_inputs is not None:
        arguments["decoder_input_ids"] = tensors.decoder_inputs
    with evaluation_mode(network):
        logits = network.transformer(**arguments).logits
        theirs = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), tensors.targets.flatten(), reduction="none"
        )
        ours = network(tensors)
    torch.testing.assert_close(ours, theirs[tensors.targets.flatten() != IGNORE], rtol=0, atol=1e-5)


def test_what_is_saved_is_read_back_by_us_and_by_plain_transformers(
    kind, network, special, tmp_path
):
    save_network(network, tmp_path)
    rows = examples(kind, special, [12, 20])
    ours = losses(load_network(tmp_path, ROLES[kind]), rows)
    assert torch.equal(ours, losses(network, rows))
    auto = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
    plain = auto.from_pretrained(tmp_path, attn_implementation="eager")
    torch.testing.assert_close(losses(Network(plain, ROLES[kind]), rows), ours, rtol=0, atol=1e-5)
    assert load_network(tmp_path, ROLES[kind]).parameters_counted() == network.parameters_counted()


def test_parameters_by_hand(kind, network, small):
    width, inner, layers = 32, 64, 2
    block = 4 * width * width + 3 * width * inner + 4 * width
    stack = layers * block + width
    count = stack if kind != "seq2seq" else 2 * stack + layers * (4 * width * width + 2 * width)
    assert network.parameters_counted() == {
        "parameters": count + 96 * width,
        "parameters_without_embeddings": count,
    }


def test_same_seed_same_network(kind, network, small, special):
    again = build_network(small, ROLES[kind], special, seed=1)
    other = build_network(small, ROLES[kind], special, seed=2)
    rows = examples(kind, special, [12])
    assert torch.equal(losses(again, rows), losses(network, rows))
    assert not torch.equal(losses(other, rows), losses(network, rows))


def test_building_leaves_the_global_generator_alone(small, special):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_network(small, "decoder", special, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_saved_there(tmp_path):
    with pytest.raises(InputError, match="no network there"):
        load_network(tmp_path, "decoder")
