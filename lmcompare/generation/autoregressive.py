"""Left to right, by transformers' ``generate``, with its cache."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

from lmcompare.core.errors import InputError, not_whole
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.generation import DecodedTokens, gumbel
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.objectives import Objective


class SamplingProcessor(LogitsProcessor):
    """Turns the best token into a draw: each row has a generator of its own, so no draw depends on its batch."""

    def __init__(
        self, temperature: float, top_k: int, top_p: float, rngs: Sequence[np.random.Generator]
    ) -> None:
        self._temperature, self._rngs = temperature, rngs
        self._warpers: list[LogitsProcessor] = [TopKLogitsWarper(top_k)] if top_k else []
        self._warpers += [TopPLogitsWarper(top_p)] if top_p < 1 else []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Add float64 noise to the scores at the temperature. Shape (rows, vocabulary), in and out."""
        scores = scores.float() / self._temperature
        for warp in self._warpers:
            scores = warp(input_ids, scores)
        noise = np.stack([gumbel((scores.shape[1],), rng) for rng in self._rngs])
        return scores + torch.from_numpy(noise).to(scores.device)


class _Stop(StoppingCriteria):
    """Ends a row whose new text holds one of the strings."""

    def __init__(self, stop: Sequence[str], decode: Callable[[list[int]], str], start: int) -> None:
        self._stop, self._decode, self._start = stop, decode, start

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        texts = [self._decode(row) for row in input_ids[:, self._start :].tolist()]
        return torch.tensor(
            [any(word in text for word in self._stop) for text in texts], device=input_ids.device
        )


def left_to_right(
    network: Network,
    objective: Objective,
    prompts: Sequence[Ids],
    special: SpecialTokens,
    *,
    length: int,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 32,
    beams: int = 1,
    top_k: int = 0,
    top_p: float = 1.0,
    ends: bool = False,
    stop: Sequence[str] = (),
    decode: Callable[[list[int]], str] | None = None,
    cache: bool = True,
) -> DecodedTokens:
    """Continue each prompt by ``length`` ordinary tokens, or by fewer where the text ends.

    Args:
        network: a decoder or an encoder-decoder.
        objective: says how decoding begins.
        prompts: (n,) tokens each; they may differ in length.
        special: of the vocabulary; no special token is drawn (but eos, if the text may end).
        length: new tokens, at most.
        temperature: 0 takes the best token, 1 samples from the network's own distribution.
        seed: of the sampling; row i draws from a generator of (seed, i), in float64.
        batch: prompts at a time; it changes no result.
        beams: texts kept in view in a beam search; more than one needs temperature 0.
        top_k: draw from the k likeliest tokens alone; 0 for all.
        top_p: draw from the likeliest tokens that hold this share of the probability (Holtzman et al. 2020).
        ends: whether eos may be drawn, which ends the text (and is left out of it).
        stop: strings that end a text as soon as it holds one; the row goes up to the token that completed it.
        decode: ids to text, needed with ``stop``.
        cache: keep keys and values from step to step; without it the result is the same, later.

    Raises:
        InputError: a prompt is empty for a network that needs one, or settings that cannot be, or not together.
    """
    check(
        length, temperature, steps=None, seed=seed, beams=beams, top_k=top_k, top_p=top_p, stop=stop
    )
    length, beams, top_k = (
        int(length),
        int(beams),
        int(top_k),
    )  # transformers takes no integer of numpy
    if beams > 1 and temperature:
        raise InputError(
            f"beams: wanted 1 when drawing at temperature {temperature:g}, got {beams}; or temperature 0"
        )
    if stop and decode is None:
        raise InputError("stop: wanted `decode`, which turns ids into text, beside it; got none")
    begun = [objective.generation_prompt(prompt, length, special) for prompt in prompts]
    rows: list[Ids] = [np.array([], dtype=np.int64)] * len(prompts)
    calls, start = 0, time.perf_counter()
    suppressed = np.setdiff1d(np.arange(len(special.word_starts)), special.ordinary)
    # What a recurrent network has read of padding on the left stays in its state.
    alike = bool(getattr(network.transformer, "_is_stateful", False))
    for group in _groups(begun, batch, alike):
        examples = [begun[i] for i in group]
        sampling = SamplingProcessor(
            temperature, top_k, top_p, [np.random.default_rng([seed, i]) for i in group]
        )
        if not _by_generate(network, examples[0], cache):
            if beams > 1:
                raise InputError(
                    f"beams: wanted 1 for {objective.kind!r}, which is asked without a cache; got {beams}"
                )
            free = np.append(special.ordinary, special.eos) if ends else special.ordinary
            new = again(network, examples, special, length, free, sampling if temperature else None)
            calls = max(calls, new.shape[1])
            for i, row in zip(group, new, strict=True):
                rows[i] = _until(row, special, stop, decode)
            continue
        arguments = begun_with(examples, network, special)
        given = arguments[
            "decoder_input_ids" if "decoder_input_ids" in arguments else "inputs"
        ].shape[1]
        if temperature:
            arguments["logits_processor"] = LogitsProcessorList([sampling])
        if decode is not None and stop:
            arguments["stopping_criteria"] = StoppingCriteriaList([_Stop(stop, decode, given)])
        output = generate(
            network,
            arguments,
            special,
            max_new_tokens=length,
            min_new_tokens=None if ends else length,
            suppress_tokens=(
                suppressed[suppressed != special.eos] if ends else suppressed
            ).tolist(),
            num_beams=beams,
            use_cache=cache,
        )
        new = output[:, given:].cpu().numpy().astype(np.int64)
        calls = max(calls, new.shape[1] * beams)
        for i, row in zip(group, new, strict=True):
            rows[i] = _until(row, special, stop, decode)
    return DecodedTokens(rows, calls=calls, seconds=time.perf_counter() - start)


def _groups(begun: Sequence[Example], batch: int, alike: bool = False) -> list[list[int]]:
    """Group like lengths, at most ``batch`` at a time; what decoders have read must be of one length in a group.

    So must be the inputs if ``alike``: then there is no padding.
    """
    sizes = [
        (0 if e.decoder_inputs is None else len(e.decoder_inputs), len(e.inputs)) for e in begun
    ]
    groups: list[list[int]] = []
    for i in sorted(range(len(begun)), key=sizes.__getitem__):
        same = bool(groups) and sizes[groups[-1][0]][: 1 + alike] == sizes[i][: 1 + alike]
        if same and len(groups[-1]) < batch:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _by_generate(network: Network, example: Example, cache: bool) -> bool:
    """Return whether ``generate`` sees what the example says.

    Of a prefix it does with its cache alone: without, new tokens would be read as a part of the prefix.
    """
    if example.decoder_inputs is not None:
        return True
    if example.attention == "causal":
        return network.role == "decoder"
    return cache and example.attention in ("full", len(example.inputs))


def again(
    network: Network,
    begun: Sequence[Example],
    special: SpecialTokens,
    length: int,
    free: Ids,
    sampling: "LogitsProcessor | None" = None,
) -> Ids:
    """Write ``length`` of the ``free`` ids after each example, reading the whole row again for each: (rows, new) ids.

    This is for prefixes that ``generate`` does not know (GLM's: what the prompt may see ends before its last token).
    A row that has drawn eos goes on with eos.
    """
    new: list[list[int]] = [[] for _ in begun]
    shut = torch.full((len(special.word_starts),), -torch.inf)
    shut[torch.from_numpy(free)] = 0.0
    with evaluation_mode(network):
        while len(new[0]) < length and not all(row[-1:] == [special.eos] for row in new):
            rows = [
                np.append(e.inputs, row).astype(np.int64) for e, row in zip(begun, new, strict=True)
            ]
            asked = [
                replace(e, inputs=row, targets=np.append(np.full(len(row) - 1, IGNORE), 0))
                for e, row in zip(begun, rows, strict=True)
            ]
            batch = BatchTensors.of(collate(asked, special.pad), network.device)
            scores = network.logits(batch, batch.targets != IGNORE).float()
            scores = scores + shut[: scores.shape[1]].to(scores.device)
            if sampling is not None:
                scores = sampling(batch.inputs, scores)
            for row, best in zip(new, scores.argmax(-1).tolist(), strict=True):
                row.append(special.eos if row[-1:] == [special.eos] else best)
    return np.array(new, dtype=np.int64)


def begun_with(
    begun: Sequence[Example], network: Network, special: SpecialTokens
) -> dict[str, Any]:
    """Return what ``generate`` reads, on the network's device: ids and mask, the decoder's ids if there is one.

    A decoder alone goes on from the last place, so its padding stands on the left (positions follow the mask); an
    encoder's stands on the right.
    """
    width = max(len(example.inputs) for example in begun)
    inputs = np.full((len(begun), width), special.pad, dtype=np.int64)
    mask = np.zeros((len(begun), width), dtype=np.int64)
    for row, example in enumerate(begun):
        size = len(example.inputs)
        place = slice(width - size, width) if example.decoder_inputs is None else slice(0, size)
        inputs[row, place], mask[row, place] = example.inputs, 1
    arrays = {"inputs": inputs, "attention_mask": mask}
    decoders = [example.decoder_inputs for example in begun if example.decoder_inputs is not None]
    if decoders:
        arrays["decoder_input_ids"] = np.stack(decoders)
    arguments: dict[str, Any] = {
        name: torch.from_numpy(array).to(network.device) for name, array in arrays.items()
    }
    if not decoders and begun[0].attention != "causal":
        # A prefix: what was given sees all of itself; new tokens come one at a time and see everything before.
        arguments["is_causal"] = False
    return arguments


def generate(
    network: Network, arguments: dict[str, Any], special: SpecialTokens, **settings: Any
) -> Tensor:
    """Call transformers' ``generate`` with these settings alone: (rows, given + new) ids.

    A checkpoint may bring settings of its own (BART: four beams, no n-gram twice, a forced first token), which would
    be added silently; they are put aside for the call.
    """
    transformer: Any = network.transformer
    kept = transformer.generation_config
    decoder = arguments.get("decoder_input_ids")
    config: Any = GenerationConfig
    transformer.generation_config = config(
        do_sample=False,
        bos_token_id=special.bos,
        eos_token_id=special.eos,
        pad_token_id=special.pad,
        decoder_start_token_id=special.bos if decoder is None else int(decoder[0, 0]),
        **settings,
    )
    try:
        with evaluation_mode(network):
            output: Tensor = transformer.generate(**arguments)
    finally:
        transformer.generation_config = kept
    return output


def check(
    length: int,
    temperature: float,
    steps: int | None,
    *,
    seed: int = 0,
    beams: int = 1,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
) -> None:
    """Refuse settings of decoding that cannot be, all at once.

    Raises:
        InputError: a length, steps or beams below 1; a temperature, top_k or seed below 0; top_p outside (0, 1]; an
            empty text to stop at; or what is no number.
    """
    least = (
        ("length", length, 1),
        ("steps", steps, 1),
        ("beams", beams, 1),
        ("top_k", top_k, 0),
        ("seed", seed, 0),
    )
    problems = [
        p
        for name, value, low in least
        if name != "steps" or value is not None
        for p in not_whole(name, value, low)
    ]
    if not (isinstance(temperature, Real) and temperature >= 0):
        problems.append(f"temperature: wanted 0 or more, got {temperature}")
    if not (isinstance(top_p, Real) and 0 < top_p <= 1):
        problems.append(f"top_p: wanted more than 0 and at most 1, got {top_p}")
    if "" in stop:
        problems.append("stop: wanted texts that end a continuation, got an empty one")
    if problems:
        raise InputError(*problems)


def _until(
    row: Ids, special: SpecialTokens, stop: Sequence[str], decode: Callable[[list[int]], str] | None
) -> Ids:
    """Return a row up to its eos (left out) or to the token that completed a stop string (kept)."""
    ended = np.flatnonzero(row == special.eos)
    row = row[: ended[0]] if len(ended) else row
    if decode is None or not stop:
        return row
    for size in range(1, len(row) + 1):
        if any(word in decode(row[:size].tolist()) for word in stop):
            return row[:size]
    return row
