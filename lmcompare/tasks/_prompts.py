"""Prompts: items rendered through a template, after few-shot examples, cut to fit the context."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.generation.sampling import cut_at_stop

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

TruncationSide = Literal["right", "left"]


@dataclass(frozen=True)
class PromptedItem:
    """An item as a network reads and answers it."""

    id: str
    prompt: str
    """what may be cut"""
    render: Callable[[str], str]
    """puts the prompt into its template"""
    answers: list[str]
    """the right ones; the first is learned"""
    space: str = ""
    """white space between the rendered prompt and the answer"""
    task: str = ""
    """of a mixture of tasks: which one"""

    @property
    def rendered(self) -> str:
        """The whole prompt in its template."""
        return self.render(self.prompt)

    @property
    def target(self) -> str:
        """What is to follow the rendered prompt."""
        return self.space + self.answers[0]


def fields_of(template: str, key: str = "template") -> list[str]:
    """Return the names in braces, in order; a literal brace is doubled.

    >>> fields_of("{question} {{given}} {prompt}")
    ['question', 'prompt']

    Raises:
        InputError: an unmatched brace, or more than a name in braces.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(
            f"{key}: {error}; a brace that is no field is doubled: {{{{ or }}}}"
        ) from error
    for _, name, form, conversion in parts:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise InputError(
                f"{key}: wanted the name of a column in braces, got {{{name}}} with more, or none"
            )
    return [name for _, name, _, _ in parts if name is not None]


def columns_of(template: str, prompt: str, answer: str) -> tuple[str, ...]:
    """Return the columns that a template shows; {prompt} stands for the column ``prompt``.

    Raises:
        InputError: the prompt is not among them, or the answer is.
    """
    names = [prompt if name == "prompt" else name for name in fields_of(template)]
    if prompt not in names:
        raise InputError(f"template: wanted {{prompt}} in it, got {template!r}")
    if answer in names:
        raise InputError(f"template: wanted none that tells the answer, got {{{answer}}}")
    return tuple(dict.fromkeys(names))


def renderer(template: str, prompt: str, fields: Mapping[str, Any]) -> Callable[[str], str]:
    """Return what puts a text into a template in the place of column ``prompt`` of an item."""
    return lambda text: template.format(**{**fields, prompt: text, "prompt": text})


def fit(
    harness: "Harness",
    render: Callable[[str], str],
    text: str,
    room: int,
    side: TruncationSide = "right",
) -> tuple[str, bool]:
    """Return ``render(text)``, and whether the text was cut for it to have at most ``room`` tokens.

    Only the text loses tokens, at its ``side``, never what ``render`` puts around it.

    Raises:
        InputError: not even an empty text fits.
    """
    rendered = render(text)
    excess = len(harness.encode([rendered])[0]) - room
    if excess <= 0:
        return rendered, False
    (tokens,) = harness.encode([text])
    size = len(tokens)
    while excess > 0 and size > 0:
        size = max(0, size - excess)
        kept = tokens[:size] if side == "right" else tokens[len(tokens) - size :]
        rendered = render(decode_cut(harness, kept))
        excess = len(harness.encode([rendered])[0]) - room
    if excess > 0:
        raise InputError(
            f"template: wanted one that fits into {room} tokens without its text, got "
            f"{room + excess}"
        )
    return rendered, True


def decode_cut(harness: "Harness", tokens: Ids) -> str:
    """Return the text of tokens that were cut; a character cut in two, which decodes to U+FFFD, is
    dropped.
    """
    return harness.decode([tokens])[0].strip("\ufffd")


def length_for(answers: Sequence[Ids], context: int) -> int:
    """Return how many tokens, eos counted, hold 95% of the answers: at most half of the context.

    >>> length_for([np.zeros(n, dtype=np.int64) for n in (1, 2, 3)], 128)
    4
    """
    sizes = [len(answer) + 1 for answer in answers]
    return min(int(np.ceil(np.percentile(sizes, 95))), context // 2)


@dataclass(frozen=True)
class FewShotExamples:
    """Examples with their answers, as a network reads them before each prompt."""

    text: str = ""
    ids: tuple[str, ...] = ()
    prompts_cut: int = 0
    answers_cut: int = 0


def render_examples(
    harness: "Harness",
    items: Sequence[PromptedItem],
    delimiter: str,
    *,
    room: int,
    max_new_tokens: int,
    side: TruncationSide,
) -> FewShotExamples:
    """Render few-shot examples (Brown et al. 2020, section 2.4), each ended by ``delimiter``.

    Each example, and the prompt that follows, may take an equal share of ``room`` tokens; an answer
    may take ``max_new_tokens`` tokens, and half of its share.

    Raises:
        InputError: the context is too small for so many.
    """
    share = room // (len(items) + 1)
    longest = min(max_new_tokens, share // 2)
    text, prompts_cut, answers_cut = "", 0, 0
    for item in items:
        (tokens,) = harness.encode([item.target])
        long = len(tokens) > longest
        answer = decode_cut(harness, tokens[:longest]) if long else item.target

        def with_answer(prompt: str, item: PromptedItem = item, answer: str = answer) -> str:
            return item.render(prompt) + answer + delimiter

        try:
            example, was_cut = fit(harness, with_answer, item.prompt, share, side)
        except InputError as error:
            raise InputError(
                f"num_fewshot: wanted fewer than {len(items)}, each with {share} tokens of the "
                f"context; of one: {error}"
            ) from error
        text, prompts_cut = text + example, prompts_cut + was_cut
        answers_cut += long
    return FewShotExamples(text, tuple(item.id for item in items), prompts_cut, answers_cut)


def first_answer(text: str, delimiter: str) -> str:
    r"""Return the answer in what a network generated that was not trained to end: the text before
    ``delimiter``.

    >>> first_answer(" four\n\nfive", "\n\n"), first_answer("\n\nfour ", "\n\n")
    ('four', 'four')
    """
    return cut_at_stop(text.lstrip(), [delimiter]).rstrip()
