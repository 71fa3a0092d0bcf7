import numpy as np
import pytest

from lmcompare.core.infilling_types import SpanInContext
from lmcompare.models.pretrained_objectives import (
    PretrainedCausal,
    PretrainedMasked,
    PretrainedSeq2Seq,
    PretrainedSpanCorruption,
    TextFrame,
)
from lmcompare.objectives import OBJECTIVES
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.mixture import Mixture, Part

KINDS = ["causal", "masked", "seq2seq", "prefix", "glm", "bart"]
GAP = SpanInContext(np.array([40, 41]), np.array([42, 43, 44]), np.array([45, 46]))


def ids(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_targets_are_the_span_in_order(kind, special):
    asked = OBJECTIVES[kind]().infilling_examples(GAP, special)
    assert (
        np.concatenate([one.targets[one.has_target] for one in asked]).tolist() == GAP.span.tolist()
    )
    for one in asked:
        read = one.inputs if one.decoder_inputs is None else one.decoder_inputs
        assert len(one.targets) == len(read)


@pytest.mark.parametrize("kind", KINDS)
def test_who_reads_the_right_side(kind, special):
    objective = OBJECTIVES[kind]()
    other = SpanInContext(GAP.left, GAP.span, ids(60, 61))
    same = all(
        np.array_equal(one.inputs, two.inputs)
        for one, two in zip(
            objective.infilling_examples(GAP, special),
            objective.infilling_examples(other, special),
            strict=True,
        )
    )
    assert same is not objective.reads_right_context(special)
    assert objective.reads_right_context(special) is (kind not in ("causal", "prefix"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_is_read(kind, special):
    # Whatever is asked later in the span must not stand in what is read before.
    for one in OBJECTIVES[kind]().infilling_examples(GAP, special):
        (first, *_) = np.flatnonzero(one.has_target)
        read = (
            one.inputs
            if one.decoder_inputs is None
            else np.concatenate([one.inputs, one.decoder_inputs])
        )
        assert one.targets[np.flatnonzero(one.has_target)[-1]] not in read
        assert first >= 0


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq", "prefix", "glm"])
def test_with_nothing_to_the_right_it_is_what_the_objective_scores(kind, special):
    objective = OBJECTIVES[kind]()
    ours = objective.infilling_examples(SpanInContext(GAP.left, GAP.span, ids()), special)
    for one, theirs in zip(
        ours, objective.scoring_examples(GAP.left, GAP.span, special), strict=True
    ):
        assert (
            one.inputs.tolist() == theirs.inputs.tolist()
            and one.targets.tolist() == theirs.targets.tolist()
        )
        assert one.attention == theirs.attention
        if one.decoder_inputs is not None:
            assert one.decoder_inputs.tolist() == theirs.decoder_inputs.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_weighs_both_sides_whoever_is_asked(kind, special):
    objective = OBJECTIVES[kind]()
    asked = np.concatenate(
        [
            one.targets[one.has_target]
            for one in objective.infilling_examples(GAP, special, score_right=True)
        ]
    ).tolist()
    after = [] if kind in ("masked", "seq2seq", "glm") else GAP.right.tolist()
    assert asked == GAP.span.tolist() + after


def test_a_shifted_one_is_asked_one_place_to_the_left(special):
    asked = Masked(shifted=True).infilling_examples(GAP, special)
    assert [one.inputs.tolist() for one in asked] == [
        [1, 40, 41, 4, 4, 4, 45],
        [1, 40, 41, 42, 4, 4, 45],
        [1, 40, 41, 42, 43, 4, 45],
    ]
    assert [int(np.flatnonzero(one.has_target)[0]) for one in asked] == [2, 3, 4]


def test_the_part_that_answers_is_asked(special):
    mixture = Mixture((Part(Causal()), Part(Masked())), inference="masked")
    assert mixture.reads_right_context(special)
    assert len(mixture.infilling_examples(GAP, special)) == 3


def test_checkpoints_are_asked_in_their_frames(special):
    frame = TextFrame((1,), (2,))
    (masked, *_) = PretrainedMasked(frame).infilling_examples(GAP, special)
    assert masked.inputs.tolist() == [1, 40, 41, 4, 4, 4, 45, 46, 2]
    (t5,) = PretrainedSpanCorruption(TextFrame(after=(2,)), (0,)).infilling_examples(GAP, special)
    assert (t5.inputs.tolist(), t5.decoder_inputs.tolist()) == (
        [40, 41, 9, 45, 46, 2],
        [0, 9, 42, 43],
    )
    (bart,) = PretrainedSeq2Seq(frame, (2, 1)).infilling_examples(GAP, special)
    assert bart.inputs.tolist() == [1, 40, 41, 4, 45, 46, 2]
    assert bart.decoder_inputs.tolist() == [2, 1, 40, 41, 42, 43]
    (gpt2,) = PretrainedCausal(TextFrame(), 1).infilling_examples(GAP, special)
    assert gpt2.inputs.tolist() == [40, 41, 42, 43]
