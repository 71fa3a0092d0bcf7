"""New texts, holes filled, and who sees whom while a text is read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.generation import DecodedTokens, cut
from lmcompare.generation import infilling as holes
from lmcompare.generation.autoregressive import check, left_to_right
from lmcompare.generation.unmask import unmasking
from lmcompare.generation.unmasking import not_masked
from lmcompare.models.pretrained_objectives import PretrainedSeq2Seq
from lmcompare.models.visibility import Visibility, measure_visibility
from lmcompare.scoring.model_protocol import Model, one, several
from lmcompare.scoring.requests import fitting
from lmcompare.scoring.scorer import ids_of

LENGTHS = (1, 2, 4, 8, 16, 32)
"""The lengths that a masked model tries where none is given."""


@dataclass(frozen=True)
class GeneratedTexts(Sequence[str]):
    """Continuations, a sequence of texts.

    Attributes:
        texts: one a prompt.
        calls: forward passes of the network for each sequence.
        decoded: the tokens, what they scored and how long it took.
    """

    texts: tuple[str, ...]
    calls: int
    decoded: DecodedTokens = field(repr=False, compare=False)

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index]

    def __len__(self) -> int:
        return len(self.texts)


def generate(
    model: Model,
    prompts: Sequence[str],
    *,
    length: int | None = None,
    temperature: float = 1.0,
    strategy: str = "confidence",
    steps: int | None = None,
    stop: Sequence[str] = (),
    beams: int = 1,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> GeneratedTexts:
    """Continue each prompt: left to right with a cache, or (masked) by iterative unmasking.

    Args:
        model: which is asked.
        prompts: texts.
        length: new tokens. None: up to 64, ending where the network says eos; masked: the one of ``LENGTHS`` whose
            continuation is likeliest a token.
        temperature: 0 takes the best token, 1 samples from the network's own distribution.
        strategy: of a masked model: 'confidence' (the surest token first), 'mask_predict' (all, then the least sure
            anew), 'left_to_right' or 'gibbs' (each anew, in turns): see ``decoding.filling.STRATEGIES``.
        steps: of a masked model: calls of the network; None: what the strategy says.
        stop: left to right: texts, or one, that end a continuation; they are cut off.
        beams: left to right, temperature 0: beam search.
        top_k: left to right: sample from so many best tokens; 0: all.
        top_p: left to right: sample from the best tokens that hold this probability.
        seed: of the sampling.

    Raises:
        InputError: as ``decode``, or what is no list of texts.
    """
    stop = several([stop] if isinstance(stop, str) else stop, "stop")
    decoded = decode(
        model,
        ids_of(model.tokenizer.encode_batch(several(prompts, "prompts"))),
        length=length,
        temperature=temperature,
        strategy=strategy,
        steps=steps,
        stop=stop,
        beams=beams,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    texts = tuple(cut(model.tokenizer.target.decode(row.tolist()), stop) for row in decoded.tokens)
    return GeneratedTexts(texts, decoded.calls, decoded)


def decode(
    model: Model,
    prompts: Sequence[Ids],
    *,
    length: int | None,
    temperature: float = 1.0,
    strategy: str = "confidence",
    steps: int | None = None,
    stop: Sequence[str] = (),
    beams: int = 1,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> DecodedTokens:
    """Do what ``generate`` does, on ids, and say what it cost.

    Raises:
        InputError: a setting that cannot be, or of the other way of decoding; more tokens than the context holds.
    """
    network, objective, special = model.network, model.objective, model.tokenizer.special
    stop = [stop] if isinstance(stop, str) else stop
    check(
        1 if length is None else length,
        temperature,
        steps,
        seed=seed,
        beams=beams,
        top_k=top_k,
        top_p=top_p,
        stop=stop,
    )
    most = _most_new(model, prompts)
    if most < (1 if length is None else length):
        raise InputError(
            f"length: wanted at most {max(most, 0)} new tokens, which is what the context of {model.context} holds "
            f"after the longest prompt, got {length or 1}"
        )
    if objective.role == "encoder":
        if stop or beams != 1 or top_k or top_p != 1:
            raise InputError(
                "generate: stop, beams, top_k and top_p are for decoding from left to right"
            )
        return unmasking(
            network,
            objective,
            prompts,
            special,
            length=[n for n in LENGTHS if n <= most] if length is None else length,
            strategy=strategy,
            steps=steps,
            temperature=temperature,
            seed=seed,
        )
    not_masked("generate", objective.kind, strategy, steps)
    return left_to_right(
        network,
        objective,
        prompts,
        special,
        length=min(64, most) if length is None else length,
        temperature=temperature,
        seed=seed,
        beams=beams,
        top_k=top_k,
        top_p=top_p,
        ends=length is None,
        stop=stop,
        decode=model.tokenizer.decode if stop else None,
    )


def infill(model: Model, text: str, **settings: Any) -> holes.InfilledText:
    """Fill the holes of a text: ``[MASK]`` (one token each) and ``<hole>`` (of unknown length).

    Args:
        model: which is asked.
        text: with holes.
        **settings: those of ``decoding.infill.infill``: ``lengths``, ``choices``, ``strategy``, ``steps``,
            ``temperature``, ``seed``.

    Raises:
        InputError: as there, a text that the context does not hold once its holes are filled, or what is no text.
    """
    if settings.get("choices") is not None:
        settings["choices"] = several(settings["choices"], "choices")
    text = one(text, "text")
    return holes.infill(
        model.network, model.objective, model.tokenizer, text, context=model.context, **settings
    )


def visibility(model: Model, text: str) -> Visibility:
    """Measure which output sees which input on what training asks of this text: see ``lmcompare.models.visibility``.

    An encoder-decoder of the plain form is asked for the text, given the text.

    Raises:
        InputError: no text, one without tokens, or one that the context does not hold.
    """
    special = model.tokenizer.special
    (tokens,) = ids_of(model.tokenizer.encode_batch([one(text, "text")]))
    if not len(tokens):
        raise InputError(f"text: wanted one with tokens, got {text!r}")
    if isinstance(model.objective, PretrainedSeq2Seq):
        (said,) = ids_of(model.tokenizer.target.encode_batch([text]))
        (example,) = model.objective.scoring_examples(tokens, said, special)
    else:
        example = model.objective.training_example(tokens, special, np.random.default_rng(0))
    example = fitting(example, model.context, "text")
    return measure_visibility(model.network, example, special, batch_tokens=model.batch_tokens)


def _most_new(model: Model, prompts: Sequence[Ids]) -> int:
    """Return how many new tokens the context holds after the longest prompt."""
    if model.context is None or not len(prompts):
        return 2**31
    begun = model.objective.generation_prompt(max(prompts, key=len), 1, model.tokenizer.special)
    if begun.decoder_inputs is None:
        return model.context + 1 - len(begun.inputs)
    return (
        model.context + 1 - len(begun.decoder_inputs) if len(begun.inputs) <= model.context else 0
    )
