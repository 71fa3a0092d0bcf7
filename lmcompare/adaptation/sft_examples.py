"""Training and scoring examples of an answer to a prompt, for every objective."""

import numpy as np

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.objectives import Objective


def with_eos(answer: Ids, length: int, special: SpecialTokens) -> Ids:
    """Return the answer and eos, cut to ``length`` tokens. Shape (n,).

    >>> [with_eos(np.array([6, 7]), length, special).tolist() for length in (3, 2)]
    [[6, 7, 2], [6, 7]]
    """
    return np.append(answer, special.eos)[:length].astype(np.int64)


def answer_training_example(
    objective: Objective,
    prompt: Ids,
    answer: Ids,
    length: int,
    special: SpecialTokens,
    rng: np.random.Generator,
) -> Example:
    """Return the example whose targets are the answer and its eos alone.

    Decoders and encoder-decoders have the example of ``scoring_examples``. After a masked LM's
    prompt stands a span of ``length`` tokens: the answer, then eos to the end. k of them are
    masked, k uniform from 1 to ``length``, and each weighs ``length`` / k: a masked diffusion LM of
    the answer (Nie et al. 2025, section 2.3), which learns from eos how long answers are.

    With prompt 5, answer 6 7, a length of 4, eos 2 and mask 4; k is 2 here:

    >>> from lmcompare.objectives.causal import Causal
    >>> from lmcompare.objectives.masked import Masked
    >>> prompt, answer, rng = np.array([5]), np.array([6, 7]), np.random.default_rng(24)
    >>> example = answer_training_example(Causal(), prompt, answer, 4, special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([1, 5, 6, 7], [-100, 6, 7, 2])
    >>> example = answer_training_example(Masked(), prompt, answer, 4, special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.weights.tolist()
    ([5, 6, 4, 4, 2], [-100, -100, 7, 2, -100], [0.0, 0.0, 2.0, 2.0, 0.0])

    Raises:
        InputError: a masked objective that cannot decode by unmasking.
    """
    if objective.role != "encoder":
        completion = with_eos(answer, length, special)
        (example,) = objective.scoring_examples(prompt, completion, special)
        return example

    # The prompt and ``length`` masks; the answer replaces those masks that are not drawn.
    start = objective.generation_prompt(prompt, length, special)
    span = np.flatnonzero(start.inputs == special.mask)[-length:]
    masked = span[np.sort(rng.permutation(length)[: rng.integers(length) + 1])]
    inputs = start.inputs.copy()
    inputs[span] = _padded(answer, length, special)
    targets, weights = np.full(len(inputs), IGNORE), np.zeros(len(inputs))
    targets[masked], weights[masked] = inputs[masked], length / len(masked)
    inputs[masked] = special.mask
    return Example(inputs, targets, attention=start.attention, weights=weights)


def answer_scoring_examples(
    objective: Objective, prompt: Ids, answer: Ids, length: int, special: SpecialTokens
) -> list[Example]:
    """Return the examples whose log-probabilities add up to log p(the answer, then eos).

    A masked LM predicts token by token, all later tokens of the span of ``length`` being masked.
    Each factor is normalized and eos ends the answer, so their product is a proper likelihood of
    the answer and its length.
    """
    completion = with_eos(answer, length, special)
    if objective.role != "encoder":
        return objective.scoring_examples(prompt, completion, special)
    span = _padded(answer, length, special)
    return objective.scoring_examples(prompt, span, special)[: len(completion)]


def _padded(answer: Ids, length: int, special: SpecialTokens) -> Ids:
    padding = np.full(max(0, length - len(answer)), special.eos)
    return np.append(answer, padding)[:length].astype(np.int64)
