"""Solved examples before a prompt, for networks that are asked as they are (Brown et al. 2020,
section 2.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmcompare.core.errors import InputError
from lmcompare.generation import cut
from lmcompare.tasks._prompts import TruncationSide, fit

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness


@dataclass(frozen=True)
class FewShotExample:
    """An item that is shown solved.

    Attributes:
        id: of the item.
        prompt: what may be cut.
        answer: as it was wanted, with the white space before it.
        render: puts the prompt into its template.
    """

    id: str
    prompt: str
    answer: str
    render: Callable[[str], str]


@dataclass(frozen=True)
class FewShotPrompt:
    """Solved examples as a network reads them.

    Attributes:
        text: stands before each prompt; '' for none.
        ids: of the items.
        prompts_cut: how many prompts were cut.
        answers_cut: how many answers were cut.
    """

    text: str = ""
    ids: tuple[str, ...] = ()
    prompts_cut: int = 0
    answers_cut: int = 0


def show(
    harness: "Harness",
    shots: Sequence[FewShotExample],
    between: str,
    *,
    most: int,
    longest: int,
    side: TruncationSide,
) -> FewShotPrompt:
    """Return the solved examples, each ended by ``between``.

    Each example, and the prompt that is to come, may take an equal part of ``most`` tokens; an
    answer may take ``longest`` tokens, and half of its part.

    Raises:
        InputError: the context is too small for so many.
    """
    share = most // (len(shots) + 1)
    longest = min(longest, share // 2)
    text, prompts_cut, answers_cut = "", 0, 0
    for shot in shots:
        (tokens,) = harness.encode([shot.answer])
        long = len(tokens) > longest
        # A character that is cut in two decodes to U+FFFD.
        answer = harness.decode([tokens[:longest]])[0].strip("\ufffd") if long else shot.answer

        def solved(
            prompt: str, render: Callable[[str], str] = shot.render, answer: str = answer
        ) -> str:
            return render(prompt) + answer + between

        try:
            one, was_cut = fit(harness, solved, shot.prompt, share, side)
        except InputError as error:
            problem = f"wanted fewer than {len(shots)}, each with {share} tokens of the context; of one: {error}"
            raise InputError(f"num_fewshot: {problem}") from error
        text, prompts_cut, answers_cut = text + one, prompts_cut + was_cut, answers_cut + long
    return FewShotPrompt(text, tuple(shot.id for shot in shots), prompts_cut, answers_cut)


def answered(text: str, between: str) -> str:
    r"""Return the answer in what a network wrote that was not taught to end: what stands before
    ``between``.

    >>> answered(" four\n\nfive", "\n\n"), answered("\n\nfour ", "\n\n")
    ('four', 'four')
    """
    return cut(text.lstrip(), [between]).rstrip()
