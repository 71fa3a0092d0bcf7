"""Autoregressive decoding by transformers' ``generate``, with its KV cache."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
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

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.core.infilling_types import AllowedTokens
from lmcompare.generation.sampling import DecodedTokens, Sampling, gumbel
from lmcompare.models.network import BatchTensors, Network, evaluation_mode

Decode = Callable[[list[int]], str]


class SamplingProcessor(LogitsProcessor):
    """Turns the best token into a draw: each row has its own generator, so no draw depends on its
    batch.
    """

    def __init__(self, sampling: Sampling, rngs: Sequence[np.random.Generator]) -> None:
        self._temperature, self._rngs = sampling.temperature, rngs
        self._warpers: list[LogitsProcessor] = []
        if sampling.top_k:
            # transformers takes no integer of numpy
            self._warpers.append(TopKLogitsWarper(int(sampling.top_k)))
        if sampling.top_p < 1:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Add float64 noise to the scores at the temperature. Shape (rows, vocab), in and out."""
        scores = scores.float() / self._temperature
        for warp in self._warpers:
            scores = warp(input_ids, scores)
        noise = np.stack([gumbel((scores.shape[1],), rng) for rng in self._rngs])
        return scores + torch.from_numpy(noise).to(scores.device)


class ConstrainedProcessor(LogitsProcessor):
    """Lets only some ids be written next in a single row; draws among them at a temperature, in
    float64.
    """

    def __init__(
        self, allowed: AllowedTokens, temperature: float, rng: np.random.Generator, start: int
    ) -> None:
        self._allowed, self._temperature, self._rng, self._start = allowed, temperature, rng, start

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave the chosen token alone possible. Shape (1, vocab), in and out."""
        allowed = self._allowed(input_ids[0, self._start :].cpu().numpy())
        values = scores[0, torch.from_numpy(allowed).to(scores.device)].double()
        if self._temperature:
            noise = torch.from_numpy(gumbel((len(allowed),), self._rng)).to(scores.device)
            values = values / self._temperature + noise
        chosen = torch.full_like(scores, -torch.inf)
        chosen[0, int(allowed[int(values.argmax())])] = 0.0
        return chosen


class _StopStrings(StoppingCriteria):
    """Ends a row whose new text holds one of the strings."""

    def __init__(self, stop: Sequence[str], decode: Decode, start: int) -> None:
        self._stop, self._decode, self._start = stop, decode, start

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        texts = [self._decode(row) for row in input_ids[:, self._start :].tolist()]
        ended = [any(word in text for word in self._stop) for text in texts]
        return torch.tensor(ended, device=input_ids.device)


def decode_autoregressively(
    network: Network,
    prompts: Sequence[Example],
    special: SpecialTokens,
    sampling: Sampling,
    *,
    decode: Decode | None = None,
    batch: int = 32,
    cache: bool = True,
) -> DecodedTokens:
    """Continue each prompt by ``sampling.length`` ordinary tokens, or by fewer where the text ends.

    Args:
        network: a decoder or an encoder-decoder.
        prompts: an objective's ``generation_prompt``s; they may differ in length.
        special: no special token is drawn (but eos, if the text may end).
        sampling: how tokens are drawn. A row that holds a stop string goes up to the token that
            completed it.
        decode: ids to text, needed with stop strings.
        batch: prompts at a time; it changes no result.
        cache: keep keys and values from step to step; without, the result is the same, later.

    Raises:
        InputError: settings that do not go together.
    """
    if sampling.beams > 1 and sampling.temperature:
        raise InputError(
            f"beams: wanted 1 when drawing at temperature {sampling.temperature:g}, got "
            f"{sampling.beams}; or temperature 0"
        )
    if sampling.stop and decode is None:
        raise InputError("stop: wanted `decode`, which turns ids into text, beside it; got none")
    rows: list[Ids] = [np.array([], dtype=np.int64)] * len(prompts)
    calls, start = 0, time.perf_counter()
    # What a recurrent network has read of padding on the left stays in its state.
    stateful = bool(getattr(network.transformer, "_is_stateful", False))
    for group in _groups(prompts, batch, stateful):
        examples = [prompts[i] for i in group]
        processor = SamplingProcessor(sampling, [sampling.rng(i) for i in group])
        new = continue_examples(
            network, examples, special, sampling,
            processor=processor if sampling.temperature else None, decode=decode, cache=cache,
        )  # fmt: skip
        calls = max(calls, new.shape[1] * int(sampling.beams))
        for i, row in zip(group, new, strict=True):
            rows[i] = _until_end(row, special, sampling.stop, decode)
    return DecodedTokens(rows, calls=calls, seconds=time.perf_counter() - start)


def _groups(prompts: Sequence[Example], batch: int, stateful: bool) -> list[list[int]]:
    """Group like lengths, at most ``batch`` at a time; what decoders have read must be of one
    length in a group.

    So must be the inputs if ``stateful``: then there is no padding.
    """
    sizes = [
        (0 if e.decoder_inputs is None else len(e.decoder_inputs), len(e.inputs)) for e in prompts
    ]
    groups: list[list[int]] = []
    for i in sorted(range(len(prompts)), key=sizes.__getitem__):
        fits = bool(groups) and sizes[groups[-1][0]][: 1 + stateful] == sizes[i][: 1 + stateful]
        if fits and len(groups[-1]) < batch:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _until_end(row: Ids, special: SpecialTokens, stop: Sequence[str], decode: Decode | None) -> Ids:
    """Return a row up to its eos (left out) or to the token that completed a stop string (kept)."""
    ended = np.flatnonzero(row == special.eos)
    row = row[: ended[0]] if len(ended) else row
    if decode is None or not stop:
        return row
    for size in range(1, len(row) + 1):
        if any(word in decode(row[:size].tolist()) for word in stop):
            return row[:size]
    return row


def continue_examples(
    network: Network,
    prompts: Sequence[Example],
    special: SpecialTokens,
    sampling: Sampling,
    *,
    processor: LogitsProcessor | None,
    least: int = 0,
    decode: Decode | None = None,
    cache: bool = True,
) -> Ids:
    """Write ``sampling.length`` tokens after each of some prompts in one batch: (rows, new) ids.

    Only ordinary tokens, and eos after ``least`` of them if ``sampling.may_end``, have a
    probability; a row that has ended goes on with eos or padding.

    Raises:
        InputError: beams without a KV cache.
    """
    if not _cacheable(network, prompts[0], cache):
        if sampling.beams > 1:
            raise InputError(
                f"beams: wanted 1 where decoding has no KV cache (the attention of the prompt is "
                f"{prompts[0].attention!r}), got {sampling.beams}"
            )
        return _continue_without_cache(network, prompts, special, sampling, processor, least)
    arguments = _generate_arguments(prompts, network, special)
    decoder = arguments.get("decoder_input_ids")
    start = (arguments["inputs"] if decoder is None else decoder).shape[1]
    if processor is not None:
        arguments["logits_processor"] = LogitsProcessorList([processor])
    if decode is not None and sampling.stop:
        criterion = _StopStrings(sampling.stop, decode, start)
        arguments["stopping_criteria"] = StoppingCriteriaList([criterion])
    suppressed = np.setdiff1d(np.arange(len(special.word_starts)), special.ordinary)
    if sampling.may_end:
        suppressed = suppressed[suppressed != special.eos]
    output = _generate(
        network,
        arguments,
        special,
        max_new_tokens=int(sampling.length),
        min_new_tokens=(least or None) if sampling.may_end else int(sampling.length),
        suppress_tokens=suppressed.tolist(),
        num_beams=int(sampling.beams),
        use_cache=cache,
    )
    new: Ids = output[:, start:].cpu().numpy().astype(np.int64)
    return new


def continue_constrained(
    network: Network, prompt: Example, special: SpecialTokens, length: int, allowed: AllowedTokens,
    temperature: float, rng: np.random.Generator,
) -> Ids:  # fmt: skip
    """Write up to ``length`` tokens after a prompt, each one of those allowed, until eos: (new,)
    ids, eos included.
    """
    arguments = _generate_arguments([prompt], network, special)
    read = prompt.inputs if prompt.decoder_inputs is None else prompt.decoder_inputs
    processor = ConstrainedProcessor(allowed, temperature, rng, len(read))
    arguments["logits_processor"] = LogitsProcessorList([processor])
    output = _generate(network, arguments, special, max_new_tokens=length)
    new: Ids = output[0, len(read) :].cpu().numpy().astype(np.int64)
    return new


def _cacheable(network: Network, prompt: Example, cache: bool) -> bool:
    """Return whether ``generate`` gives new tokens the attention that the example says.

    Of a prefix it does with its cache alone: without, new tokens would be read as a part of the
    prefix.
    """
    if prompt.decoder_inputs is not None:
        return True
    if prompt.attention == "causal":
        return network.role == "decoder"
    return cache and prompt.attention in ("full", len(prompt.inputs))


def _continue_without_cache(
    network: Network,
    prompts: Sequence[Example],
    special: SpecialTokens,
    sampling: Sampling,
    processor: LogitsProcessor | None,
    least: int,
) -> Ids:
    """Read the whole row again for each new token: (rows, new) ids.

    This is for prefixes that ``generate`` does not know (GLM's prefix ends before the last token of
    the prompt).
    """
    new: list[list[int]] = [[] for _ in prompts]
    # What is added to the logits: nothing for the ids that may be drawn. (vocab,)
    mask = torch.full((len(special.word_starts),), -torch.inf)
    mask[torch.from_numpy(special.ordinary)] = 0.0
    with evaluation_mode(network):
        while len(new[0]) < sampling.length and not all(row[-1:] == [special.eos] for row in new):
            if sampling.may_end and len(new[0]) >= least:
                mask[special.eos] = 0.0
            examples = []
            for prompt, row in zip(prompts, new, strict=True):
                inputs = np.append(prompt.inputs, row).astype(np.int64)
                targets = np.append(np.full(len(inputs) - 1, IGNORE), 0)
                examples.append(replace(prompt, inputs=inputs, targets=targets))
            batch = BatchTensors.of(collate(examples, special.pad), network.device)
            # (rows, vocab)
            logits = network.logits(batch, batch.targets != IGNORE).float()
            logits = logits + mask[: logits.shape[1]].to(logits.device)
            if processor is not None:
                logits = processor(batch.inputs, logits)
            for row, token in zip(new, logits.argmax(-1).tolist(), strict=True):
                row.append(special.eos if row[-1:] == [special.eos] else token)
    return np.array(new, dtype=np.int64)


def _generate_arguments(
    prompts: Sequence[Example], network: Network, special: SpecialTokens
) -> dict[str, Any]:
    """Return what ``generate`` reads, on the network's device: ids and attention mask, and the
    decoder's ids.

    A decoder alone goes on from the last place, so its padding stands on the left (positions follow
    the mask); an encoder's stands on the right.
    """
    width = max(len(example.inputs) for example in prompts)
    inputs = np.full((len(prompts), width), special.pad, dtype=np.int64)
    mask = np.zeros((len(prompts), width), dtype=np.int64)
    for row, example in enumerate(prompts):
        size = len(example.inputs)
        place = slice(width - size, width) if example.decoder_inputs is None else slice(0, size)
        inputs[row, place], mask[row, place] = example.inputs, 1
    arrays = {"inputs": inputs, "attention_mask": mask}
    decoders = [example.decoder_inputs for example in prompts if example.decoder_inputs is not None]
    if decoders:
        arrays["decoder_input_ids"] = np.stack(decoders)
    arguments: dict[str, Any] = {
        name: torch.from_numpy(array).to(network.device) for name, array in arrays.items()
    }
    if not decoders and prompts[0].attention != "causal":
        # A prefix: the prompt sees all of itself; new tokens come one at a time and see everything
        # before.
        arguments["is_causal"] = False
    return arguments


def _generate(
    network: Network, arguments: dict[str, Any], special: SpecialTokens, **settings: Any
) -> Tensor:
    """Call transformers' ``generate`` with these settings alone: (rows, prompt + new) ids.

    A checkpoint may bring settings of its own (BART: four beams, no n-gram twice, a forced first
    token), which would be added silently; they are put aside for the call.
    """
    transformer: Any = network.transformer
    own_config = transformer.generation_config
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
        transformer.generation_config = own_config
    return output
