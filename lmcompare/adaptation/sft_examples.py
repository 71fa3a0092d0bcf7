"""What an objective asks about a prompt and its answer: to be fine-tuned on pairs, and to score them."""

import numpy as np

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.objectives import Objective


def ended(answer: Ids, length: int, special: SpecialTokens) -> Ids:
    """Return the answer and eos, at most ``length`` tokens: a longer answer is cut and has no end. Shape (n,).

    >>> ended(np.array([6, 7]), 3, special).tolist(), ended(np.array([6, 7]), 2, special).tolist()   # eos is 2
    ([6, 7, 2], [6, 7])
    """
    return np.append(answer, special.eos)[:length].astype(np.int64)


def learn_answer(
    objective: Objective,
    prompt: Ids,
    answer: Ids,
    length: int,
    special: SpecialTokens,
    rng: np.random.Generator,
) -> Example:
    """Ask for the answer after the prompt, and for its end; nothing is asked of the prompt.

    Decoders and encoder-decoders are asked as ``scoring_examples`` asks. After a masked LM's prompt stands a block of ``length``
    tokens, the answer and eos up to the block's end; k of them are masked, k drawn uniformly from 1 to ``length``, and
    each counts ``length`` / k: a masked diffusion LM of the answer (Nie et al. 2025, section 2.3), which learns from
    the eos how long answers are.

    With prompt 5, answer 6 7, a block of 4, eos 2 and mask 4; k came out as 2:

    >>> from lmcompare.objectives.causal import Causal
    >>> from lmcompare.objectives.masked import Masked
    >>> prompt, answer, rng = np.array([5]), np.array([6, 7]), np.random.default_rng(24)
    >>> example = learn_answer(Causal(), prompt, answer, 4, special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([1, 5, 6, 7], [-100, 6, 7, 2])
    >>> example = learn_answer(Masked(), prompt, answer, 4, special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.weights.tolist()
    ([5, 6, 4, 4, 2], [-100, -100, 7, 2, -100], [0.0, 0.0, 2.0, 2.0, 0.0])

    Raises:
        InputError: a masked objective that cannot decode by unmasking.
    """
    if objective.role != "encoder":
        (example,) = objective.scoring_examples(prompt, ended(answer, length, special), special)
        return example
    begun = objective.generation_prompt(prompt, length, special)
    places = np.flatnonzero(begun.inputs == special.mask)[-length:]
    asked = places[np.sort(rng.permutation(length)[: rng.integers(length) + 1])]
    inputs, targets, weights = (
        begun.inputs.copy(),
        np.full(len(begun.inputs), IGNORE),
        np.zeros(len(begun.inputs)),
    )
    inputs[places] = _block(answer, length, special)
    targets[asked] = inputs[asked]
    inputs[asked] = special.mask
    weights[asked] = length / len(asked)
    return Example(inputs, targets, attention=begun.attention, weights=weights)


def score_answer(
    objective: Objective, prompt: Ids, answer: Ids, length: int, special: SpecialTokens
) -> list[Example]:
    """Return the examples whose target log-probabilities add up to log p(the answer, and that it ends there).

    A masked LM is asked token by token, all later places of the block of ``length`` being masks. Each factor is
    normalised and eos ends the text, so the product is a proper likelihood of the text, its length included.
    """
    completion = ended(answer, length, special)
    if objective.role != "encoder":
        return objective.scoring_examples(prompt, completion, special)
    return objective.scoring_examples(prompt, _block(answer, length, special), special)[
        : len(completion)
    ]


def _block(answer: Ids, length: int, special: SpecialTokens) -> Ids:
    """Return the answer and then eos, ``length`` tokens in all."""
    return np.append(answer, np.full(max(0, length - len(answer)), special.eos))[:length].astype(
        np.int64
    )
