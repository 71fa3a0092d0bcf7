"""What each objective makes of a text: tokens, targets, losses and measured attention."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

MAX_TOKENS = 64
"""Tokens that fit into a picture."""

CORRUPTED_SHARE = 0.3
"""Share of the tokens that fresh denoising networks corrupt: enough to show in a short text."""

_UNKNOWN = "?"
_WORDS = "a the of and in is was not it that 一 是 在 有 人 上 大 中".split()


@dataclass(frozen=True)
class PanelRow:
    """One position of a network."""

    token: str
    """the input"""
    is_text: bool
    """whether the input is part of the text: masks, sentinels, bos and eos are not"""
    target: str | None = None
    nats: float | None = None
    """the loss, -log p of the target; None if there is no target, or it is unknown"""


@dataclass(frozen=True)
class Panel:
    """One objective on one text."""

    name: str
    """the kind of the objective, or the folder of a checkpoint"""
    role: str
    settings: str
    """of the objective, in words"""
    trained: bool
    """whether the network is a checkpoint, not one with random weights"""
    rows: list[PanelRow]
    """of the network; of an encoder-decoder, of the decoder"""
    encoder: list[PanelRow] | None
    """of the encoder, if there is one"""
    attention: Visibility
    """measured"""
    notes: list[str]
    """what the measurement shows, in sentences"""

    @property
    def title(self) -> str:
        return f"{self.name} ({self.role.replace('-', '–')})"

    def as_json(self) -> dict[str, Any]:
        """Return plain data; in each matrix [i][j] is 1 if output i attends to input j."""
        plain = asdict(self)
        plain["attention"] = {
            name: None if matrix is None else matrix.astype(int).tolist()
            for name, matrix in plain["attention"].items()
        }
        return plain


def panels(text: str, models: Sequence[Path], kinds: Sequence[str], seed: int = 0) -> list[Panel]:
    """Run a text through checkpoints or, without any, a fresh tiny network for each objective.

    In the text, ``[MASK]``, ``<mask>`` or ``<hole>`` marks a masked span of one unknown token
    (shown as '?') for the objectives that infill; without a mark, ``seed`` draws the corruption.

    Raises:
        InputError: no text, too long a text, a folder without a model, or an unknown objective.
    """
    if not text.strip():
        raise InputError("text: wanted at least a word, got none")
    template = _template(text)
    if models:
        loaded = [(folder, load(folder)) for folder in models]
        return [
            _panel(
                Subject(folder.name or str(folder), model.network, model.objective, trained=True),
                model.tokenizer,
                template,
                seed,
            )
            for folder, model in loaded
        ]
    tokenizer = word_tokenizer(" ".join(template.parts))
    small = settings.NetworkSettings(hidden_size=64, num_layers=2, num_heads=2)
    fresh = []
    for kind in kinds:
        objective = _objective(kind)
        network = build_network(small, objective.role, tokenizer.special, seed=seed + 1)
        subject = Subject(kind, network, objective, trained=False)
        fresh.append(_panel(subject, tokenizer, template, seed))
    return fresh


def word_tokenizer(text: str) -> Tokenizer:
    """Return a tokenizer of the words of a text, or of its characters where there are no spaces."""
    import tokenizers
    from tokenizers import AddedToken, Regex, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    word = Regex(r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}'’]+|[^\p{L}\p{M}\p{N}\s]")
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(word, "isolated")]
    )
    words = [piece for piece, _ in splitter.pre_tokenize_str(text)]
    special = [*RESERVED, *(f"<extra_id_{n}>" for n in range(32))]
    vocab = dict.fromkeys([*special, *words, *_WORDS, _UNKNOWN])
    ids = {token: i for i, token in enumerate(vocab)}
    backend = tokenizers.Tokenizer(models.WordLevel(ids, unk_token=_UNKNOWN))
    backend.pre_tokenizer = splitter
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "mask")}
    fast: Any = PreTrainedTokenizerFast
    return Tokenizer.wrap(fast(tokenizer_object=backend, **names))


def _template(text: str) -> TypedTemplate:
    try:
        return parse(text)
    except InputError:
        return TypedTemplate([text], [], [])


def _objective(kind: str) -> Objective:
    corruption: dict[str, dict[str, Any]] = {
        "masked": {
            "mask_rate": CORRUPTED_SHARE,
            "mask_token_share": 1.0,
            "random_token_share": 0.0,
        },
        "seq2seq": {"corruption_rate": CORRUPTED_SHARE, "mean_span_length": 2},
        "glm": {"corruption_rate": CORRUPTED_SHARE, "mean_span_length": 2},
        "bart": {"mask_rate": CORRUPTED_SHARE, "mean_span_length": 2, "permute_sentences": False},
    }
    return parse_objective({"kind": kind, **corruption.get(kind, {})})


@dataclass(frozen=True)
class Subject:
    """The network of a panel and its objective."""

    name: str
    network: Network
    objective: Objective
    trained: bool


def _panel(subject: Subject, tokenizer: Tokenizer, template: TypedTemplate, seed: int) -> Panel:
    network, objective, special = subject.network, subject.objective, tokenizer.special
    tokens, masked = _tokens(template, tokenizer)
    if not 1 < len(tokens) <= MAX_TOKENS:
        raise InputError(
            f"text: wanted 2 to {MAX_TOKENS} tokens for {subject.name}, got {len(tokens)}"
        )
    marked = _marked_example(objective, tokens, masked, special) if len(masked) else None
    example = marked or _drawn_example(objective, tokens, special, seed)
    attention = measure_visibility(network, example, special)
    unknown = int(tokens[masked[0]]) if len(masked) else None
    notes = _notes(network, example, attention, special)
    if marked is None and unknown is not None and attention.decoder is None:
        notes.append(
            "The masked token is a token like any other here: it is predicted from the left, then "
            "read as '?'."
        )
    encoder = None
    if example.decoder_inputs is not None:
        is_text = ~special.is_special(example.inputs)
        encoder = [
            PanelRow(_shown(token, tokenizer, unknown), bool(text))
            for token, text in zip(example.inputs, is_text, strict=True)
        ]
    return Panel(
        name=subject.name,
        role=objective.role,
        settings="masked where the text says" if marked else _settings(objective),
        trained=subject.trained,
        rows=_rows(network, example, tokenizer, unknown),
        encoder=encoder,
        attention=attention,
        notes=notes,
    )


def _rows(
    network: Network, example: Example, tokenizer: Tokenizer, unknown: int | None
) -> list[PanelRow]:
    """Return the inputs, targets and losses of the stack that predicts."""
    special = tokenizer.special
    batch = BatchTensors.of(collate([example], special.pad), network.device)
    with evaluation_mode(network):
        losses = iter(network(batch).float().cpu().tolist())
    inputs = example.inputs if example.decoder_inputs is None else example.decoder_inputs
    is_text = ~special.is_special(inputs)
    rows = []
    for token, text, target in zip(inputs, is_text, example.targets, strict=True):
        row = PanelRow(_shown(token, tokenizer, unknown), bool(text))
        if target != IGNORE:
            nats = next(losses)
            known = target != unknown
            row = replace(
                row, target=_shown(target, tokenizer, unknown), nats=nats if known else None
            )
        rows.append(row)
    return rows


def _drawn_example(objective: Objective, tokens: Ids, special: SpecialTokens, seed: int) -> Example:
    try:
        return objective.training_example(tokens, special, np.random.default_rng(seed))
    except InputError:
        # A translator has no training loss on a text alone: it continues the first half.
        half = (len(tokens) + 1) // 2
        return objective.scoring_examples(tokens[:half], tokens[half:], special)[0]


def _tokens(template: TypedTemplate, tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    """Return the text as ids, with an unknown one in each masked span, and the places of those."""
    unknown = (tokenizer.encode(_UNKNOWN) or [int(tokenizer.special.ordinary[0])])[-1]
    spans = template.ids(tokenizer)
    fills = [np.full(size or 1, unknown, dtype=np.int64) for size in spans.lengths]
    return spans.filled(fills), spans.places(fills)


def _marked_example(
    objective: Objective, tokens: Ids, masked: Ids, special: SpecialTokens
) -> Example | None:
    """Return the example that predicts the marked tokens, if the objective can choose them."""
    while isinstance(objective, Composed):
        objective = objective.inference_objective
    inside = np.zeros(len(tokens), dtype=bool)
    inside[masked] = True
    if objective.kind == "masked":
        # The tokenizer's frame around the text is that of ``encoding_example``.
        example = objective.encoding_example(tokens, special)
        start = next(
            i
            for i in range(len(example.inputs))
            if (example.inputs[i : i + len(tokens)] == tokens).all()
        )
        inputs, targets = example.inputs.copy(), example.targets.copy()
        inputs[start + masked] = special.mask
        # A shifted objective predicts a token where the one before it is the input.
        targets[start + masked - int(getattr(objective, "shifted", False))] = tokens[masked]
        return replace(example, inputs=inputs, targets=targets)
    if objective.kind not in ("seq2seq", "glm", "bart"):
        return None
    starts = inside & ~np.concatenate([[False], inside[:-1]])
    sentinel = np.array(special.sentinels[: int(starts.sum())], dtype=np.int64)
    corrupted = tokens.copy()
    corrupted[starts] = special.mask if objective.kind == "bart" else sentinel
    inputs = objective.encoding_example(corrupted[~inside | starts], special).inputs
    if objective.kind == "bart":
        return Example(
            inputs, tokens, np.concatenate([[special.bos], tokens[:-1]]).astype(np.int64)
        )
    spans = np.split(tokens[inside], np.flatnonzero(starts[inside])[1:])
    if objective.kind == "glm":
        heads = [np.concatenate([[name], span]) for name, span in zip(sentinel, spans, strict=True)]
        ends = [np.append(span, special.eos) for span in spans]
        targets = np.concatenate([np.full(len(inputs), IGNORE), *ends])
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
    """Return a token in print: a space as '␣', bytes that are no character by their name."""
    if token == unknown:
        return _UNKNOWN
    special = tokenizer.special
    if token in special.sentinels:
        return f"<{special.sentinels.index(token)}>"
    name = str(tokenizer.hf_tokenizer.convert_ids_to_tokens(int(token)))
    if special.is_special(np.array([token]))[0]:
        return name
    text = tokenizer.decode([int(token)])
    if "\ufffd" in text or not text:
        return name
    return text.replace("\n", "⏎").replace(" ", "␣")


def _settings(objective: Objective) -> str:
    """Return the main settings of an objective: 'corruption_rate 0.3, mean_span_length 2'."""
    names = ("mask_rate", "corruption_rate", "mean_span_length", "inference")
    values = {name: getattr(objective, name, "") for name in names}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
        if value
    )


def _notes(
    network: Network, example: Example, attention: Visibility, special: SpecialTokens
) -> list[str]:
    count, outputs = int(example.has_target.sum()), len(example.targets)
    if attention.decoder is None or attention.cross is None:
        notes = [
            f"The loss is on {count} of {outputs} outputs.",
            f"An output attends to {pattern(attention.own)}.",
        ]
    else:
        notes = [
            f"The loss is on {count} of the decoder's {outputs} outputs, on none of the encoder's.",
            f"The encoder attends to {pattern(attention.own)}; the decoder, of its own inputs, to "
            f"{pattern(attention.decoder)}, and of the encoder's, to {pattern(attention.cross)}.",
        ]
    if np.isin(example.inputs, special.sentinels).any():
        notes.append("<0> is a sentinel: it stands for a masked span.")
    masked = np.flatnonzero(example.inputs == special.mask)
    if special.mask >= 0 and len(masked) and attention.decoder is None:
        notes.append(_mask_note(network, example, attention, masked))
    return notes


def _mask_note(
    network: Network, example: Example, attention: Visibility, masked: NDArray[np.int64]
) -> str:
    if not attention.own[masked, masked].all():
        return "A masked token does not attend to itself here."
    weight = attention_on_itself(network, example, masked)
    if weight is None:
        return "A masked token does attend to itself."
    even = 1 / len(example.inputs)
    return (
        f"A masked token does attend to itself, with {weight:.1%} of its attention (an even share "
        f"is {even:.1%})."
    )
