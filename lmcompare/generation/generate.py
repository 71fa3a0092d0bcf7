"""New texts from prompts: autoregressively, or by unmasking where the model is a masked one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.generation.autoregressive import decode_autoregressively
from lmcompare.generation.sampling import DecodedTokens, Sampling, cut_at_stop
from lmcompare.generation.unmasking import continue_by_unmasking
from lmcompare.scoring.model_protocol import ScoredModel, check_texts
from lmcompare.scoring.scorer import as_ids

LENGTHS = (1, 2, 4, 8, 16, 32)
"""The lengths that a masked model tries where none is given."""


@dataclass(frozen=True)
class GeneratedTexts(Sequence[str]):
    """Continuations, a sequence of texts."""

    texts: tuple[str, ...]
    """one a prompt"""
    calls: int
    """forward passes for each sequence"""
    decoded: DecodedTokens = field(repr=False, compare=False)
    """the tokens, their scores and how long it took"""

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index]

    def __len__(self) -> int:
        return len(self.texts)


def generate(
    model: ScoredModel,
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
    """Continue each prompt: autoregressively with a KV cache, or (masked) by iterative unmasking.

    Args:
        model: with its tokenizer and objective.
        prompts: texts.
        length: new tokens. None: up to 64, ending where the network writes eos; masked: the one of
            ``LENGTHS`` whose continuation is likeliest a token.
        temperature: 0 takes the best token, 1 samples from the network's own distribution.
        strategy: of a masked model: 'confidence' (the surest token first), 'mask_predict' (all,
            then the least sure anew), 'left_to_right' or 'gibbs' (each anew, in turns): see
            ``unmasking.STRATEGIES``.
        steps: of a masked model: forward passes; None: what the strategy says.
        stop: autoregressive: texts, or one, that end a continuation; they are cut off.
        beams: autoregressive, temperature 0: beam search.
        top_k: autoregressive: sample from so many best tokens; 0: all.
        top_p: autoregressive: sample from the best tokens that hold this probability.
        seed: of the sampling.

    Raises:
        InputError: a setting that cannot be, or of the other way of decoding; more tokens than the
            context holds; what is no list of texts.
    """
    stop = check_texts([stop] if isinstance(stop, str) else stop, "stop")
    decoded = decode(
        model,
        as_ids(model.tokenizer.encode_batch(check_texts(prompts, "prompts"))),
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
    written = [model.tokenizer.target.decode(row.tolist()) for row in decoded.tokens]
    return GeneratedTexts(
        tuple(cut_at_stop(text, stop) for text in written), decoded.calls, decoded
    )


def decode(
    model: ScoredModel, prompts: Sequence[Ids], *, length: int | None, **settings: Any
) -> DecodedTokens:
    """Do what ``generate`` does, on ids; ``settings`` are those of ``Sampling``.

    Raises:
        InputError: as ``generate``.
    """
    network, objective, special = model.network, model.objective, model.tokenizer.special
    if isinstance(settings.get("stop"), str):
        settings["stop"] = [settings["stop"]]
    sampling = Sampling(length=1 if length is None else length, **settings)
    room = _room_after(model, prompts)
    if room < sampling.length:
        raise InputError(
            f"length: wanted at most {max(room, 0)} new tokens, which is what the context of "
            f"{model.context} holds after the longest prompt, got {length or 1}"
        )
    if objective.role == "encoder":
        if sampling.stop or sampling.beams != 1 or sampling.top_k or sampling.top_p != 1:
            raise InputError(
                "generate: stop, beams, top_k and top_p are for decoding from left to right"
            )
        lengths = [size for size in LENGTHS if size <= room] if length is None else None
        return continue_by_unmasking(
            network, objective, prompts, special, sampling, lengths=lengths
        )
    sampling.check_without_unmasking("generate", objective.kind)
    if length is None:
        sampling = replace(sampling, length=min(64, room), may_end=True)
    return decode_autoregressively(
        network,
        [objective.generation_prompt(prompt, sampling.length, special) for prompt in prompts],
        special,
        sampling,
        decode=model.tokenizer.decode if sampling.stop else None,
    )


def _room_after(model: ScoredModel, prompts: Sequence[Ids]) -> int:
    """Return how many new tokens the context holds after the longest prompt."""
    if model.context is None or not len(prompts):
        return 2**31
    longest = max(prompts, key=len)
    example = model.objective.generation_prompt(longest, 1, model.tokenizer.special)
    if example.decoder_inputs is None:
        return model.context + 1 - len(example.inputs)
    if len(example.inputs) > model.context:
        return 0
    return model.context + 1 - len(example.decoder_inputs)
