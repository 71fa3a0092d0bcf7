"""A network asked to fill holes, in each of the ways that its kind allows."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import LogitsProcessor, LogitsProcessorList

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.generation.autoregressive import (
    SamplingProcessor,
    again,
    begun_with,
    generate,
    left_to_right,
)
from lmcompare.generation.constraints import SpanConstraint, TemplateConstraint
from lmcompare.generation.infilling_template import InfillingTemplate
from lmcompare.generation.unmasking import fill
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.objectives import Objective
from lmcompare.scoring.requests import fitting

BY_THE_WHOLE = "ranked by the whole text"

JOINT = 64
"""Most combinations of lengths that a masked model tries at once; of more, one hole is sized after another."""

Found = tuple[list[Ids], float, str, int]


@dataclass(frozen=True)
class InfillingRequest:
    """A network asked to fill holes, in each of the ways that its kind allows."""

    network: Network
    objective: Objective
    special: SpecialTokens
    strategy: str
    steps: int | None
    temperature: float
    seed: int
    context: int | None = None

    def _fits(self, count: int) -> None:
        """Refuse more tokens than the context holds."""
        row = np.zeros(count, dtype=np.int64)
        fitting(Example(row, row), self.context, "text")

    # -- masked

    def unmask(self, holes: InfillingTemplate, lengths: list[int]) -> Found:
        """Put masks in the holes and fill them; try the lengths of the unknown ones, together if they are few."""
        sizes = [min(lengths) if size is None else size for size in holes.sizes]
        calls = 0
        best = None
        unknown = [i for i, size in enumerate(holes.sizes) if size is None]
        together = len(lengths) ** len(unknown) <= JOINT
        for group in [unknown] if together else [[hole] for hole in unknown]:
            tried = []
            for chosen in itertools.product(lengths, repeat=len(group)):
                new = dict(zip(group, chosen, strict=True))
                tried.append([new.get(i, size) for i, size in enumerate(sizes)])
            decoded = fill(
                self.network,
                [self._masked(holes, these) for these in tried],
                self.special,
                strategy=self.strategy,
                steps=self.steps,
                temperature=self.temperature,
                seed=self.seed,
                shifted=getattr(self.objective, "shifted", False),
            )
            calls += decoded.calls
            top = max(range(len(tried)), key=lambda i: float(decoded.scores[i].mean()))
            sizes, best = tried[top], (decoded.tokens[top], decoded.scores[top], decoded.exactness)
        assert best is not None
        tokens, scores, exactness = best
        return list(np.split(tokens, np.cumsum(sizes)[:-1])), float(scores.sum()), exactness, calls

    def _masked(self, holes: InfillingTemplate, sizes: Sequence[int]) -> Example:
        whole = holes.filled([np.full(size, self.special.mask) for size in sizes])
        return fitting(self.objective.encoding_example(whole, self.special), self.context, "text")

    # -- encoder-decoder, by sentinels

    def span(self, holes: InfillingTemplate, most: int) -> Found:
        """Let the decoder write each hole after its sentinel."""
        begun = self._sentinels(holes)
        grammar = SpanConstraint(
            holes.sizes, most, self.special, self.temperature, np.random.default_rng([self.seed, 0])
        )
        written = self._written(begun, grammar, sum(grammar.longest) + len(holes.sizes) + 1)
        ends = np.flatnonzero(~np.isin(written, self.special.ordinary))
        fills = [part[1:] if i else part for i, part in enumerate(np.split(written, ends))][
            : len(holes.sizes)
        ]
        score = self._span_score(begun, holes, fills, stop=int(written[ends[len(holes.sizes) - 1]]))
        return fills, score, "exact", len(written) + 1

    def _sentinels(self, holes: InfillingTemplate, decoder: bool = True) -> Example:
        special = self.special
        if len(holes.sizes) > len(special.sentinels):
            raise InputError(
                f"text: wanted at most {len(special.sentinels)} holes (sentinels), got {len(holes.sizes)}"
            )
        whole = holes.filled(
            [np.array([sentinel]) for sentinel in special.sentinels[: len(holes.sizes)]]
        )
        inputs = self.objective.encoding_example(whole, special).inputs
        if not decoder:
            return Example(inputs, np.full(len(inputs), IGNORE))
        start = self.objective.generation_prompt(holes.parts[0], 1, special).decoder_inputs
        assert start is not None
        return Example(inputs, np.full(len(start), IGNORE), start)

    def _span_score(
        self, begun: Example, holes: InfillingTemplate, fills: Sequence[Ids], stop: int
    ) -> float:
        """Return log p (nats) of the fills; of a hole of unknown length, of its end too."""
        special, decoder, targets = self.special, [begun.decoder_inputs], [begun.targets[:-1]]
        for i, (new, size) in enumerate(zip(fills, holes.sizes, strict=True)):
            last = i + 1 == len(fills)
            end = stop if last else special.sentinels[i + 1]
            decoder.append(np.append(new, [] if last else [end]))
            targets.append(np.append(new, end if size is None else IGNORE))
        return self._asked(begun.inputs, np.concatenate(targets), np.concatenate(decoder))  # type: ignore[arg-type]

    # -- one stack, by sentinels

    def blank(self, holes: InfillingTemplate, most: int) -> Found:
        """Let the stack write each hole after the holed text and the holes before (Du et al. 2022, section 2.1)."""
        special = self.special
        part_a = self._sentinels(holes, decoder=False).inputs
        self._fits(len(part_a) + sum(2 + (size or most) for size in holes.sizes) - 1)
        inputs, fills, calls = part_a, [], 0
        for i, size in enumerate(holes.sizes):
            inputs = np.append(inputs, special.sentinels[i])
            begun = Example(inputs, np.full(len(inputs), IGNORE), attention=len(part_a))
            sampling = SamplingProcessor(
                self.temperature, 0, 1.0, [np.random.default_rng([self.seed, i])]
            )
            draw = sampling if self.temperature else None
            row = again(self.network, [begun], special, 1, special.ordinary, draw)[0]
            if size != 1:
                free = (
                    np.append(special.ordinary, special.eos) if size is None else special.ordinary
                )
                more = replace(begun, inputs=np.append(inputs, row))
                row = np.append(
                    row, again(self.network, [more], special, (size or most) - 1, free, draw)[0]
                )
            calls += len(row)
            fills.append(row[row != special.eos])
            inputs = np.concatenate([inputs, fills[-1], [special.eos]])
        return fills, self._blank_score(holes, fills), "exact", calls + 1

    def _blank_score(self, holes: InfillingTemplate, fills: Sequence[Ids]) -> float:
        """Return log p (nats) of the fills; of a hole of unknown length, of its end too."""
        special, part_a = self.special, self._sentinels(holes, decoder=False).inputs
        inputs, targets = [part_a], [np.full(len(part_a), IGNORE)]
        for i, (new, size) in enumerate(zip(fills, holes.sizes, strict=True)):
            inputs.append(np.concatenate([[special.sentinels[i]], new, [special.eos]])[:-1])
            targets.append(np.append(new, special.eos if size is None else IGNORE))
            if i + 1 < len(fills):
                inputs[-1], targets[-1] = (
                    np.append(inputs[-1], special.eos),
                    np.append(targets[-1], IGNORE),
                )
        whole = Example(part_a, part_a, attention=len(part_a))
        return self._asked(np.concatenate(inputs), np.concatenate(targets), None, whole)

    # -- encoder-decoder, plain text

    def led(self, holes: InfillingTemplate, lengths: list[int]) -> Found:
        """Let the decoder write the whole text, led along what is known."""
        if self.special.mask < 0:
            raise InputError("infill: wanted a vocabulary with sentinels or a mask, got neither")
        options, calls = [], 0
        masks = [np.full(size or 1, self.special.mask) for size in holes.sizes]
        inputs = self.objective.encoding_example(holes.filled(masks), self.special).inputs
        start = self._start()
        begun = Example(inputs, np.full(len(start), IGNORE), start)
        for length in lengths if None in holes.sizes else [1]:
            sizes = [length if size is None else size for size in holes.sizes]
            plan = holes.filled([np.full(size, -1) for size in sizes])
            grammar = TemplateConstraint(
                plan, self.special, self.temperature, np.random.default_rng([self.seed, length])
            )
            written = self._written(begun, grammar, len(plan))
            fills = list(np.split(written[plan < 0], np.cumsum(sizes)[:-1]))
            score = self._asked(inputs, *self._told(written, np.arange(len(written))))
            calls += len(written) + 1
            options.append((score, fills))
        _, fills = max(options, key=lambda option: option[0])
        score = self._asked(inputs, *self._told(holes.filled(fills), holes.places(fills)))
        return fills, score, "exact", calls + 1

    def _start(self) -> Ids:
        """Return what the decoder has read before its first token."""
        start = self.objective.generation_prompt(
            np.array([], dtype=np.int64), 1, self.special
        ).decoder_inputs
        assert start is not None
        return start

    def _told(self, whole: Ids, places: Ids) -> tuple[Ids, Ids]:
        """Return targets and decoder inputs that ask for some places of a text that the decoder writes."""
        start = self._start()
        targets = np.full(len(start) - 1 + len(whole), IGNORE)
        targets[len(start) - 1 + places] = whole[places]
        return targets, np.concatenate([start, whole[:-1]])

    # -- causal

    def continued(self, holes: InfillingTemplate, lengths: list[int]) -> Found:
        """Continue what stands to the left of each hole; choose a length by the likelihood of the whole text."""
        fills: list[Ids] = []
        calls = 0
        longest = holes.filled(
            [np.zeros(size or max(lengths), dtype=np.int64) for size in holes.sizes]
        )
        left, rest = np.split(longest, [len(holes.parts[0])])
        for example in self.objective.scoring_examples(left, rest, self.special):
            fitting(example, self.context, "text")
        for i, size in enumerate(holes.sizes):
            known = InfillingTemplate(holes.parts[: i + 1], holes.sizes[:i])
            decoded = left_to_right(
                self.network,
                self.objective,
                [known.filled(fills)],
                self.special,
                length=size or max(lengths),
                temperature=self.temperature,
                seed=self.seed + i,
            )
            calls += decoded.calls
            row = decoded.tokens[0]
            if size is None:
                left, right = known.filled(fills), holes.parts[i + 1]
                scores = [
                    self._text(left, np.concatenate([row[:length], right])) for length in lengths
                ]
                calls += len(lengths)
                row = row[: lengths[int(np.argmax(scores))]]
            fills.append(row)
        score, asked = self._whole(holes, fills)
        return fills, score, "exact", calls + asked

    def _text(self, prompt: Ids, completion: Ids) -> float:
        examples = self.objective.scoring_examples(prompt, completion, self.special)
        return sum(self._asked(e.inputs, e.targets, e.decoder_inputs, e) for e in examples)

    def _whole(self, holes: InfillingTemplate, fills: Sequence[Ids]) -> tuple[float, int]:
        """Return log p (nats) of the fills, each given all that stands to its left, and the calls."""
        score, calls = 0.0, 0
        for i, new in enumerate(fills):
            left = InfillingTemplate(holes.parts[: i + 1], holes.sizes[:i]).filled(fills[:i])
            score += self._text(left, new)
            calls += 1
        return score, calls

    # -- choices

    def choose(
        self, holes: InfillingTemplate, options: Sequence[list[Ids]]
    ) -> tuple[list[Ids], float, str, int, str]:
        """Return the fill of highest log p."""
        scores: list[float] = []
        calls = 0
        exactness, handicap = "exact", ""
        for fills in options:
            size = len(fills[0])
            exact = InfillingTemplate(holes.parts, [size])
            if self.objective.role == "encoder":
                score, exactness = 0.0, "chain"
                example = self._masked(exact, [size])
                places = np.flatnonzero(example.inputs == self.special.mask)
                inputs = example.inputs.copy()
                for place, token in zip(places, fills[0], strict=True):
                    targets = np.full(len(inputs), IGNORE)
                    targets[place - int(getattr(self.objective, "shifted", False))] = token
                    score += self._asked(inputs, targets, None, example)
                    inputs = inputs.copy()
                    inputs[place] = token
                calls += size
            elif self.objective.kind == "seq2seq":
                score = self._span_score(
                    self._sentinels(exact), exact, fills, stop=self.special.eos
                )
                calls += 1
            elif self.objective.kind == "glm":
                score = self._blank_score(exact, fills)
                calls += 1
            elif self.objective.role == "encoder-decoder" and self.objective.kind != "prefix":
                inputs = self.objective.encoding_example(
                    exact.filled([np.full(size, self.special.mask)]), self.special
                ).inputs
                whole = exact.filled(fills)
                score = self._asked(
                    inputs, *self._told(whole, np.arange(len(holes.parts[0]), len(whole)))
                )
                calls += 1
            else:
                score = self._text(holes.parts[0], np.concatenate([fills[0], holes.parts[1]]))
                calls += 1
                handicap = BY_THE_WHOLE
            scores.append(score)
        best = int(np.argmax(scores))
        return list(options[best]), scores[best], exactness, calls, handicap

    # -- asking

    def _asked(
        self, inputs: Ids, targets: Ids, decoder: Ids | None, like: Example | None = None
    ) -> float:
        """Return log p (nats) of the targets."""
        example = Example(
            inputs.astype(np.int64),
            targets.astype(np.int64),
            None if decoder is None else decoder.astype(np.int64),
            "full" if like is None else like.attention,
        )
        fitting(example, self.context, "text")
        with evaluation_mode(self.network):
            batch = BatchTensors.of(collate([example], self.special.pad), self.network.device)
            return -float(self.network(batch).double().sum())

    def _written(self, begun: Example, grammar: LogitsProcessor, most: int) -> Ids:
        """Let the decoder write under a grammar; return what it wrote, its end included."""
        arguments = begun_with([begun], self.network, self.special)
        given = arguments["decoder_input_ids"].shape[1]
        self._fits(max(len(begun.inputs), given + most - 1))
        arguments["logits_processor"] = LogitsProcessorList([grammar])
        output = generate(self.network, arguments, self.special, max_new_tokens=most)
        new: Ids = output[0, given:].cpu().numpy().astype(np.int64)
        return new
