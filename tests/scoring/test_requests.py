import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.models.pooling import word_spans
from lmcompare.objectives.masked import Masked
from lmcompare.scoring.requests import (
    ContextLimits,
    TokenizedPair,
    scoring_requests,
    tokenize_pairs,
)


def test_each_draw_of_the_bound_has_the_weight_of_its_masks(special):
    pair = TokenizedPair(np.array([5]), np.array([36, 37, 38]), np.arange(3))
    asked = list(scoring_requests(Masked(), pair, special, "bound", draws=6))
    assert sorted(len(one.places) for one in asked) == [1, 1, 2, 2, 3, 3]
    for one in asked:
        assert one.weight == pytest.approx(3 / len(one.places) / 6)
        assert (one.example.inputs[1 + one.places] == special.mask).all()
        assert one.example.targets[1 + one.places].tolist() == pair.completion[one.places].tolist()


def test_a_shifted_masked_model_has_no_pseudo_likelihood(special):
    pair = TokenizedPair(np.array([35]), np.array([36, 37]), np.arange(2))
    with pytest.raises(InputError, match="does not predict tokens where their masks stand"):
        list(scoring_requests(Masked(shifted=True), pair, special, "pll"))


def test_windows_score_each_token_once():
    assert ContextLimits(4, 3, 4).windows(10, 2) == [(0, 0, 4), (2, 4, 6), (4, 6, 8), (6, 8, 10)]
    assert ContextLimits(None, None, None).windows(10, None) == [(0, 0, 10)]
    for room in (
        ContextLimits(9, 8, 8),
        ContextLimits(None, 5, 4),
        ContextLimits(6, 5, 5),
        ContextLimits(None, None, None),
    ):
        for count in (1, 7, 40):
            for stride in (None, 1, 3):
                windows = room.windows(count, stride)
                scored = [t for _, first, end in windows for t in range(first, end)]
                assert scored == list(range(count))
                assert all(read <= first for read, first, _ in windows)
                if room.together:
                    assert all(end - read <= room.together for read, _, end in windows)
    with pytest.raises(InputError, match="stride: wanted from 1 to 8"):
        ContextLimits(9, 8, 8).windows(20, 9)
    with pytest.raises(InputError, match="stride: wanted from 1"):
        ContextLimits(None, None, None).windows(20, -1)


def test_a_context_that_holds_no_window_is_too_short():
    """It said "stride: wanted from 1 to 0 tokens, got None"."""
    for room, wanted, got in ((ContextLimits(1, 0, 1), 2, 1), (ContextLimits(None, 0, 0), 1, 0)):
        with pytest.raises(
            InputError,
            match=f"context: wanted room for {wanted} or more tokens .*, got room for {got}",
        ):
            room.windows(3, None)


def test_what_does_not_fit_is_refused_or_cut():
    room, pair = ContextLimits(6, 5, 5), TokenizedPair(np.arange(5), np.arange(3), np.arange(3))
    with pytest.raises(
        InputError, match=r"prompts\[0\]: wanted at most 3 .* of 3, .*; log_likelihood\(cut=True\)"
    ):
        room.check([pair], cut=False)
    assert room.check([pair], cut=True)[0].prompt.tolist() == [2, 3, 4]
    with pytest.raises(InputError, match=r"completions\[0\]: wanted at most 5 tokens"):
        room.check([TokenizedPair(np.arange(0), np.arange(6), np.arange(6))], cut=True)


def test_white_space_goes_to_the_completion_and_seams_are_kept(tokenizer):
    (one, other, cut) = tokenize_pairs(
        tokenizer,
        ["the film ", "the film", "the fi"],
        ["was", " was", "lm"],
        together=True,
        words=True,
    )
    assert (
        one.prompt.tolist() == other.prompt.tolist()
        and one.completion.tolist() == other.completion.tolist()
    )
    assert tokenizer.decode(cut.prompt) == "the fi" and tokenizer.decode(cut.completion) == "lm"


def test_pieces(tokenizer):
    (pieces,) = tokenizer.encode_with_offsets(["the  film, 今天 😀"])
    text = "the  film, 今天 😀"
    assert pieces.ids.tolist() == tokenizer.encode(text)
    words = [text[start:end] for start, end in word_spans(pieces) if end > start]
    assert words == ["the", "film", ",", "今", "天", "😀"]
