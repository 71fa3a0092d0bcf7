"""What was compared, in plain words: the models, what they share, their scale, and who passed the gate."""

from typing import Any

import pandas as pd

from lmcompare import statistics
from lmcompare.core.settings import GATE
from lmcompare.report.formatting import counted, engineering, joined
from lmcompare.report.markdown import code, escape
from lmcompare.report.results import Results
from lmcompare.report.sections.budget import means, sizes

_MANY = 4
"""More values than this are said as a range."""


def gates(rows: Results) -> str:
    """Say in one sentence which networks have learnt context."""
    known = {model: rows.converged(model) for model in rows.models}
    passed = [code(model) for model, gate in known.items() if gate]
    failed = [code(model) for model, gate in known.items() if gate is False]
    if not passed and not failed:
        return ""
    if not failed:
        every = "Every network that was trained here" if rows.checkpoints else "Every network"
        return f"{every} passed the gate (validation loss at least {GATE} nats below unigram): {joined(passed)}."
    text = f"**Gate not passed** by {joined(failed)}: validation loss less than {GATE} nats below unigram, "
    return text + "so every comparison that rests on it is INCONCLUSIVE."


def stamp(rows: Results) -> str:
    """Say at what scale all this holds: '1.2 M parameters, 1.0 M tokens, 2 seeds: do not extrapolate'."""
    frame = means(rows)
    parts = []
    for key, noun in (("parameters", "parameters"), ("corpus_tokens", "tokens")):
        known = [part.loc[key] for part in (frame, sizes(rows)) if key in part.index]
        if known:
            parts.append(f"{_range(pd.concat(known), 2)} {noun}")
    parts.append(counted(finished_seeds(rows), "seed"))
    return ", ".join(parts) + ": do not extrapolate"


def _range(values: pd.Series, digits: int, unit: str = "") -> str:
    low, high = (engineering(value, unit, digits) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def finished_seeds(rows: Results) -> int:
    """Return the number of seeds that every model has finished."""
    return min((rows.finished(model) for model in rows.models), default=0)


def seeds_warning(rows: Results) -> str:
    """Say what follows from having fewer than six seeds; '' with six or more, or of checkpoints alone."""
    number = finished_seeds(rows)
    if number >= statistics.ENOUGH_SEEDS or not rows.fresh:
        return ""
    smallest = ""
    if number > 1:
        least = f"{2 / 2**number:.3g}"
        smallest = f"A sign-flip test, which assumes nothing of how seeds vary, cannot give p below {least} with {number}; "
    return (
        f"With {counted(number, 'seed')} **no claim about objectives in general follows**: these are statements about "
        f"these networks. {smallest or 'Nothing is known of other seeds; '}"
        f"a claim needs at least {statistics.ENOUGH_SEEDS} seeds."
    )


def uncontrolled(rows: Results) -> str:
    """Say what a comparison with checkpoints cannot show; '' without any."""
    there = [code(model) for model in rows.checkpoints]
    if not there:
        return ""
    are, it = ("are checkpoints", "them") if len(there) > 1 else ("is a checkpoint", "it")
    return (
        f"**Not controlled:** {joined(there)} {are}, trained elsewhere: corpus, tokenizer, size and budget are not set "
        f"by this experiment. A difference that involves {it} is **no evidence about objectives alone**."
    )


def compared(rows: Results) -> list[str]:
    """Say what was compared: the networks, the corpus, the budget, the seeds."""
    settings = rows.settings
    network = settings.get("network") or {}
    corpus = settings.get("corpus") or {}
    seeds = ", ".join(map(str, rows.seeds))
    if rows.checkpoints:
        seeds += "; of a checkpoint they seed its adaptation alone: it was pretrained once"
    some = " (of the models trained here)" if rows.checkpoints else ""
    lines = [
        _line(f"Network{some}", _network(network) if rows.fresh else ""),
        _line("Corpus" if rows.fresh else "Held-out text and judge", _corpus(rows, corpus)),
        _line(f"Budget{some}", _budget(rows)),
        _line("Seeds", seeds),
        uncontrolled(rows),
    ]
    return [line for line in lines if line]


def _line(title: str, text: str) -> str:
    return f"**{title}:** {text}" if text else ""


def _network(network: dict[str, Any]) -> str:
    if not network:
        return ""
    wording = {"hidden_size": "hidden size {}", "num_layers": "{} layers", "num_heads": "{} heads"}
    sizes = [text.format(network[key]) for key, text in wording.items() if key in network]
    block = code(network.get("architecture", "block"))
    return ", ".join([f"one {block} block in each role", *sizes, "from random initialisation"])


def source(corpus: dict[str, Any]) -> str:
    """Name a source: its word, and its settings as far as they were given."""
    given = corpus.get("source", "")
    if not isinstance(given, dict):
        return code(given)
    more = [
        f"{key}={value}"
        for key, value in given.items()
        if key != "kind" and value not in (None, "", [], {})
    ]
    return code(" ".join([str(given.get("kind", "")), *more]).strip())


def _corpus(rows: Results, corpus: dict[str, Any]) -> str:
    sequence, tokenizer = (rows.settings.get(key) or {} for key in ("sequence", "tokenizer"))
    parts = [source(corpus)] if corpus else []
    if tokenizer.get("vocab_size"):
        parts.append(f"byte-level BPE of {tokenizer['vocab_size']:,}")
    if sequence.get("length"):
        packing = sequence.get("packing", "")
        parts.append(f"{packing} sequences of {sequence['length']} tokens".strip())
    return ", ".join(parts)


def _budget(rows: Results) -> str:
    frame = means(rows)
    if frame.empty:
        return ""
    parts = []
    for key, noun in (
        ("corpus_tokens", "corpus tokens read"),
        ("parameters", "parameters"),
        ("training_flops", ""),
    ):
        if key in frame.index:
            unit = "FLOPs" if key == "training_flops" else ""
            each = [engineering(value, unit) for value in frame.loc[key]]
            same = len(set(each)) == 1
            text = " / ".join(each) if len(each) <= _MANY else _range(frame.loc[key], 3, unit)
            parts.append(f"{each[0] if same else text} {noun}".strip() + (" each" if same else ""))
        if key == "corpus_tokens" and "unique_tokens" in frame.index:
            parts[-1] += f" ({_range(frame.loc['unique_tokens'], 3, '')} of them unique)"
    return ", ".join(parts) + (
        "; in the order of the models" if any(" / " in part for part in parts) else ""
    )


def _checkpoint(rows: Results, model: str, given: dict[str, Any]) -> str:
    said = rows.checkpoint(model)
    role = next((run.notes.role for run in rows.runs if run.model == model and run.notes.role), "")
    text = f"{escape(role)}, " if role else ""
    text += f"checkpoint {code(given['checkpoint'])}"
    named = given.get("revision") or (said.commit if said else None)
    text += f" at {code(named)}" if named else ""
    if said:
        own = f"a tokenizer of its own of {said.vocab_size:,}"
        own = "the shared tokenizer" if said.shared_tokenizer else own
        text += f" ({escape(said.architecture)}, {engineering(said.parameters)} parameters, {own})"
    return f"{text}, **not controlled**"


def objective(rows: Results, model: str) -> str:
    """Describe a model in one line: its objective, its role and what it changes of the shared settings."""
    given = rows.settings["models"][model]
    if model in rows.checkpoints:
        return _checkpoint(rows, model, given)
    role = next((run.notes.role for run in rows.pretraining(model)), "")
    text = f"{escape(role)}, " if role else ""
    text += f"objective {_asked(given['objective'])}"
    for part in ("training", "network"):
        shared = rows.settings.get(part) or {}
        changed = [
            f"{key} {value}"
            for key, value in (given.get(part) or {}).items()
            if value != shared.get(key)
        ]
        text += f", with its own {part} settings ({code(', '.join(changed))})" if changed else ""
    if given.get("tasks") is not None:
        text += f", given {joined([code(task) for task in given['tasks']]) + ' alone' if given['tasks'] else 'no task'}"
    return text


def _asked(objective: Any) -> str:
    """Name an objective with its settings, and those that it is made of."""
    asked = dict(objective) if isinstance(objective, dict) else {"kind": objective}
    text = code(str(asked.pop("kind", "")))
    settings = [
        f"{key} {value}" for key, value in asked.items() if not isinstance(value, dict | list)
    ]
    text += f" ({code(', '.join(settings))})" if settings else ""
    parts = [
        part
        for value in asked.values()
        if isinstance(value, list)
        for part in value
        if "objective" in part
    ]
    shares = [f"{part['share']:.0%} " if part.get("share") else "" for part in parts]
    made = [share + _asked(part["objective"]) for share, part in zip(shares, parts, strict=True)]
    return text + (f" of {joined(made)}" if made else "")
