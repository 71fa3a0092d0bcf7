"""What one objective makes of a text, as tokens, matrices and sentences; nothing is drawn here."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmcompare.cli.inspect.patterns import attention_on_itself, pattern
from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.data.tokenizer import RESERVED, Tokenizer
from lmcompare.generation.infilling_template import TypedTemplate, parse
from lmcompare.language_model import load
from lmcompare.models.network import BatchTensors, Network, build_network, evaluation_mode
from lmcompare.models.visibility import Visibility, measure_visibility
from lmcompare.objectives import Composed, Objective, parse_objective

MOST = 64
"""Tokens that fit into a picture."""

SHARE = 0.3
"""What fresh masked and seq2seq networks are asked for: more than in training, so that a short text shows it."""

_UNKNOWN = "?"
_WORDS = "a the of and in is was not it that 一 是 在 有 人 上 大 中".split()


@dataclass(frozen=True)
class PanelRow:
    """What goes into one place of a network, and what is wanted out of it.

    Attributes:
        reads: the token.
        text: whether it stands in the text: masks, sentinels, bos and eos do not.
        asked: the token wanted, or None.
        nats: the loss on it, -log p; None if nothing is asked, or the answer is not known.
    """

    reads: str
    text: bool
    asked: str | None = None
    nats: float | None = None


@dataclass(frozen=True)
class Panel:
    """One objective on one text.

    Attributes:
        name: the word of the objective, or the folder of a checkpoint.
        role: 'decoder', 'encoder' or 'encoder-decoder'.
        settings: the objective's, in words.
        trained: whether the network is a checkpoint; else its weights are random.
        rows: of the network, or of the decoder if there are two stacks: where the loss falls.
        encoder: the rows of the encoder, if there are two stacks.
        seen: who sees whom, measured.
        notes: what the measurement shows, in sentences.
    """

    name: str
    role: str
    settings: str
    trained: bool
    rows: list[PanelRow]
    encoder: list[PanelRow] | None
    seen: Visibility
    notes: list[str]

    @property
    def title(self) -> str:
        """The name and what kind of network it is."""
        return f"{self.name} ({self.role.replace('-', '–')})"

    def as_json(self) -> dict[str, Any]:
        """Return the panel as plain data; each matrix [i][j] is 1 where output i sees input j."""
        plain = asdict(self)
        plain["seen"] = {
            name: None if matrix is None else matrix.astype(int).tolist()
            for name, matrix in plain["seen"].items()
        }
        return plain


def panels(text: str, models: Sequence[Path], kinds: Sequence[str], seed: int = 0) -> list[Panel]:
    """Show a text to checkpoints, or, if there are none, to a fresh tiny network for each kind of objective.

    In the text, ``[MASK]``, ``<mask>`` or ``<hole>`` fix what masked, seq2seq and glm models are asked (each stands for
    one unknown token, shown as '?'); else ``seed`` draws it, as in training.

    Raises:
        InputError: no text, too long a text, a folder without a model, or an unknown objective.
    """
    if not text.strip():
        raise InputError("text: wanted at least a word, got none")
    typed = _typed(text)
    found = []
    if models:
        for folder in models:
            model = load(folder)
            objective, tokenizer = model.objective, model.tokenizer
            found.append(
                _panel(
                    folder.name or str(folder),
                    model.network,
                    objective,
                    tokenizer,
                    typed,
                    seed,
                    True,
                )
            )
        return found
    tokenizer = word_tokenizer(" ".join(typed.parts))
    for kind in kinds:
        objective = _fresh(kind)
        small = settings.NetworkSettings(hidden_size=64, num_layers=2, num_heads=2)
        network = build_network(small, objective.role, tokenizer.special, seed=seed + 1)
        found.append(_panel(kind, network, objective, tokenizer, typed, seed, False))
    return found


def word_tokenizer(text: str) -> Tokenizer:
    """Return a vocabulary of the words of a text (of its characters, where words have no spaces between them)."""
    import tokenizers
    from tokenizers import AddedToken, Regex, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    word = Regex(r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}'’]+|[^\p{L}\p{M}\p{N}\s]")
    cut = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(word, "isolated")]
    )
    words = [piece for piece, _ in cut.pre_tokenize_str(text)]
    special = [*RESERVED, *(f"<extra_id_{n}>" for n in range(32))]
    names = dict.fromkeys([*special, *words, *_WORDS, _UNKNOWN])
    backend = tokenizers.Tokenizer(
        models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=_UNKNOWN)
    )
    backend.pre_tokenizer = cut
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    made: Any = PreTrainedTokenizerFast
    return Tokenizer.wrap(
        made(
            tokenizer_object=backend,
            pad_token="<pad>",
            bos_token="<bos>",
            eos_token="<eos>",
            mask_token="<mask>",
        )
    )


def _typed(text: str) -> TypedTemplate:
    try:
        return parse(text)
    except InputError:
        return TypedTemplate([text], [], [])


def _fresh(kind: str) -> Objective:
    shares: dict[str, dict[str, Any]] = {
        "masked": {"mask_rate": SHARE, "mask_token_share": 1.0, "random_token_share": 0.0},
        "seq2seq": {"corruption_rate": SHARE, "mean_span_length": 2},
        "glm": {"corruption_rate": SHARE, "mean_span_length": 2},
        "bart": {"mask_rate": SHARE, "mean_span_length": 2, "permute_sentences": False},
    }
    return parse_objective({"kind": kind, **shares.get(kind, {})})


def _panel(
    name: str,
    network: Network,
    objective: Objective,
    tokenizer: Tokenizer,
    typed: TypedTemplate,
    seed: int,
    trained: bool,
) -> Panel:
    special = tokenizer.special
    tokens, holes = _tokens(typed, tokenizer)
    if not 1 < len(tokens) <= MOST:
        raise InputError(f"text: wanted 2 to {MOST} tokens for {name}, got {len(tokens)}")
    example = _asked_at(objective, tokens, holes, special) if len(holes) else None
    fixed = example is not None
    rng = np.random.default_rng(seed)
    try:
        example = example or objective.training_example(tokens, special, rng)
    except InputError:
        # A translator has no loss on a text alone: it is asked how the text goes on.
        half = (len(tokens) + 1) // 2
        example = objective.scoring_examples(tokens[:half], tokens[half:], special)[0]
    with evaluation_mode(network):
        losses = (
            network(BatchTensors.of(collate([example], special.pad), network.device))
            .float()
            .cpu()
            .tolist()
        )
    unknown = int(tokens[holes[0]]) if len(holes) else None
    read = example.inputs if example.decoder_inputs is None else example.decoder_inputs
    seen = measure_visibility(network, example, special)
    rows, left = [], iter(losses)
    for token, target in zip(read, example.targets, strict=True):
        nats = next(left) if target != IGNORE else None
        shown = None if target == IGNORE else _shown(target, tokenizer, unknown)
        rows.append(
            PanelRow(
                _shown(token, tokenizer, unknown),
                not special.is_special(np.array([token]))[0],
                shown,
                None if shown == _UNKNOWN and unknown is not None else nats,
            )
        )
    encoder = None
    if example.decoder_inputs is not None:
        inside = ~special.is_special(example.inputs)
        encoder = [
            PanelRow(_shown(t, tokenizer, unknown), bool(b))
            for t, b in zip(example.inputs, inside, strict=True)
        ]
    notes = _notes(network, example, seen, special, fixed, unknown is not None)
    told = "asked where the text says" if fixed else _settings(objective)
    return Panel(name, objective.role, told, trained, rows, encoder, seen, notes)


def _tokens(typed: TypedTemplate, tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    """Return the text as ids, an unknown one in each hole, and where those stand."""
    unknown = (tokenizer.encode(_UNKNOWN) or [int(tokenizer.special.ordinary[0])])[-1]
    holes = typed.ids(tokenizer)
    fills = [np.full(size or 1, unknown, dtype=np.int64) for size in holes.sizes]
    return holes.filled(fills), holes.places(fills)


def _asked_at(
    objective: Objective, tokens: Ids, holes: Ids, special: SpecialTokens
) -> Example | None:
    """Ask for the holes, where an objective can choose what it asks; else None."""
    while isinstance(objective, Composed):
        objective = objective.inference_objective
    inside = np.zeros(len(tokens), dtype=bool)
    inside[holes] = True
    if objective.kind == "masked":
        # The frame that a tokenizer puts around a text, if any, is that of ``encoding_example``.
        example = objective.encoding_example(tokens, special)
        start = next(
            i
            for i in range(len(example.inputs))
            if (example.inputs[i : i + len(tokens)] == tokens).all()
        )
        inputs, targets = example.inputs.copy(), example.targets.copy()
        inputs[start + holes] = special.mask
        # A shifted objective answers where the token before the mask is read.
        targets[start + holes - int(getattr(objective, "shifted", False))] = tokens[holes]
        return replace(example, inputs=inputs, targets=targets)
    if objective.kind not in ("seq2seq", "glm", "bart"):
        return None
    starts = inside & ~np.concatenate([[False], inside[:-1]])
    sentinel = np.array(special.sentinels[: int(starts.sum())], dtype=np.int64)
    holed = tokens.copy()
    holed[starts] = special.mask if objective.kind == "bart" else sentinel
    inputs = objective.encoding_example(holed[~inside | starts], special).inputs
    if objective.kind == "bart":
        return Example(
            inputs, tokens, np.concatenate([[special.bos], tokens[:-1]]).astype(np.int64)
        )
    spans = np.split(tokens[inside], np.flatnonzero(starts[inside])[1:])
    if objective.kind == "glm":
        heads = [np.concatenate([[name], span]) for name, span in zip(sentinel, spans, strict=True)]
        wanted = [np.append(span, special.eos) for span in spans]
        targets = np.concatenate([np.full(len(inputs), IGNORE), *wanted])
        return Example(np.concatenate([inputs, *heads]), targets, attention=len(inputs))
    written = np.concatenate(
        [np.append(name, span) for name, span in zip(sentinel, spans, strict=True)]
    )
    begun = objective.generation_prompt(tokens[:1], 1, special).decoder_inputs
    assert begun is not None
    decoder = np.concatenate([begun[:-1], written])
    targets = np.concatenate([np.full(len(begun) - 2, IGNORE), written, [special.eos]])
    return Example(inputs, targets.astype(np.int64), decoder.astype(np.int64))


def _shown(token: int, tokenizer: Tokenizer, unknown: int | None) -> str:
    """Return a token as people read it: a space in it as '␣', bytes that are no character by their numbers."""
    if token == unknown:
        return _UNKNOWN
    special = tokenizer.special
    if token in special.sentinels:
        return f"<{special.sentinels.index(token)}>"
    spelt = str(tokenizer.hf_tokenizer.convert_ids_to_tokens(int(token)))
    if special.is_special(np.array([token]))[0]:
        return spelt
    said = tokenizer.decode([int(token)])
    if "\ufffd" in said or not said:
        return spelt
    return (
        (("␣" + said[1:]) if said.startswith(" ") and len(said) > 1 else said)
        .replace("\n", "⏎")
        .replace(" ", "␣")
    )


def _settings(objective: Objective) -> str:
    """Return what an objective was told, in a few words: 'mask_rate 0.3, mean_span_length 2'."""
    shown = ("mask_rate", "corruption_rate", "mean_span_length", "inference")
    said = {name: getattr(objective, name, "") for name in shown}
    return ", ".join(
        f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in said.items() if v
    )


def _notes(
    network: Network,
    example: Example,
    seen: Visibility,
    special: SpecialTokens,
    fixed: bool,
    unknown: bool,
) -> list[str]:
    count = int(example.has_target.sum())
    if seen.decoder is None or seen.cross is None:
        notes = [f"The loss falls on {count} of {len(example.targets)} outputs."]
        notes.append(f"An output sees {pattern(seen.own)}.")
    else:
        notes = [
            f"The loss falls on {count} of the decoder's {len(example.targets)} outputs, on none of the encoder's."
        ]
        notes.append(
            f"The encoder sees {pattern(seen.own)}; the decoder, of what it has written, {pattern(seen.decoder)},"
        )
        notes[-1] += f" and of what the encoder read, {pattern(seen.cross)}."
    if np.isin(example.inputs, special.sentinels).any():
        notes.append("<0> is a sentinel: it names a hole.")
    if not fixed and unknown and seen.decoder is None:
        notes.append(
            "The hole is a token like any other here: it is guessed from the left alone, then read as '?'."
        )
    masked = np.flatnonzero(example.inputs == special.mask)
    if special.mask >= 0 and len(masked) and seen.decoder is None:
        if seen.own[masked, masked].all():
            weight = attention_on_itself(network, example, masked)
            even = 1 / len(example.inputs)
            share = (
                ""
                if weight is None
                else f", with {weight:.1%} of its attention (an even share is {even:.1%})"
            )
            notes.append(f"A masked token does attend to itself{share}.")
        else:
            notes.append("A masked token does not see itself here.")
    return notes
