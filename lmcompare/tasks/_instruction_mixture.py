"""A mixture of tasks in words: where each task's items come from, their templates, and the
splits.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import digest
from lmcompare.data.deduplication import duplicate_key
from lmcompare.data.items import TaskItem, build_item_splits
from lmcompare.tasks._prompts import PromptedItem, columns_of, renderer
from lmcompare.tasks.base import SPLITS


@dataclass(frozen=True)
class InstructionTask:
    """One task of the mixture: where its items come from, and how they are put into words."""

    __pydantic_config__ = settings.STRICT
    columns: ClassVar[tuple[str, ...]] = ("prompt", "answer")

    source: object
    """a word of `lmcompare list sources`, or a mapping with its `kind`"""
    prompt: str = "prompt"
    """name of the column with the prompt, which is cut if it is too long"""
    answer: str = "answer"
    """name of the column with the answer, a label, or a list of answers: the first is learned, any
    counts as right"""
    verbalizer: dict[str, str] = field(default_factory=dict)
    """label -> the word that answers; the value of the column itself where none is given"""
    template: str = "{prompt}\n\n"
    """what the network reads, the instruction with it: {prompt} is the prompt, any other name in
    braces that column"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""

    def __post_init__(self) -> None:
        columns_of(self.template, self.prompt, self.answer)
        for label, word in self.verbalizer.items():
            if not word.strip():
                raise InputError(f"verbalizer.{label}: wanted a word, got {word!r}")

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that the template shows."""
        return columns_of(self.template, self.prompt, self.answer)

    def prompted(self, name: str, item: TaskItem) -> PromptedItem:
        """Put an item into words; empty answers are left out."""
        value = item.fields[self.answer]
        answers = [
            str(answer).strip() for answer in (value if isinstance(value, list) else [value])
        ]
        return PromptedItem(
            id=f"{name}/{item.id}",
            prompt=str(item.fields[self.prompt]),
            render=renderer(self.template, self.prompt, item.fields),
            answers=[self.verbalizer.get(answer, answer) for answer in answers if answer],
            task=name,
        )


@dataclass(frozen=True)
class InstructionMixture:
    """The items of all tasks."""

    train: list[PromptedItem]
    """of the tuned tasks"""
    validation: list[PromptedItem]
    """of the tuned tasks"""
    test: list[PromptedItem]
    """of all tasks"""
    counts: dict[str, int]
    """of the items, summed over the tasks: see ``ItemSplits``; ``held_out``: left out of train and
    validation, because their prompt is that of a test item of some task"""
    fingerprint: str
    """SHA-256 of the items of each split"""


def mix(
    tuned: Mapping[str, InstructionTask],
    unseen: Mapping[str, InstructionTask],
    *,
    validation: float,
    test: float,
    seed: int,
) -> InstructionMixture:
    """Return the items of all tasks; no prompt that is tested, in any task, is trained on.

    Args:
        tuned: name -> task that is split in three.
        unseen: name -> task that is tested whole.
        validation: share of the items of each tuned task.
        test: the same.
        seed: of the splits.

    Raises:
        InputError: a task has too few items, or a verbalizer for an unknown label.
    """
    parts: dict[str, list[PromptedItem]] = {split: [] for split in SPLITS}
    counts: Counter[str] = Counter()
    for kind, tasks, shares in (
        ("tuned", tuned, (validation, test)),
        ("unseen", unseen, (0.0, 1.0)),
    ):
        for name, task in tasks.items():
            items = build_item_splits(
                task.source,
                (*task.shown, task.answer),
                unique=task.shown,
                validation=shares[0],
                test=shares[1],
                items=task.items,
                seed=seed,
            )
            every = [*items.train, *items.validation, *items.test]
            _check_verbalizer(f"{kind}.{name}", task, every)
            counts.update(items.counts)
            for split in SPLITS:
                prompted = [task.prompted(name, item) for item in getattr(items, split)]
                answered = [item for item in prompted if item.answers]
                parts[split] += answered
                counts["empty"] += len(prompted) - len(answered)

    counts["held_out"] = _hold_out_tested(parts)
    for split, part in parts.items():
        counts[f"{split}_items"] = len(part)
    content = {
        split: [(item.id, item.rendered, item.answers) for item in part]
        for split, part in parts.items()
    }
    return InstructionMixture(**parts, counts=dict(counts), fingerprint=digest(content))


def _hold_out_tested(parts: dict[str, list[PromptedItem]]) -> int:
    """Remove from train and validation what is tested, in any task; return how many items."""
    tested, removed = {duplicate_key(item.prompt) for item in parts["test"]}, 0
    for split in ("train", "validation"):
        kept = [item for item in parts[split] if duplicate_key(item.prompt) not in tested]
        removed += len(parts[split]) - len(kept)
        parts[split] = kept
        if not kept:
            raise InputError(
                f"tuned: wanted items for {split} whose prompts no task tests, got none; lower "
                "`items` of unseen tasks"
            )
    return removed


def _check_verbalizer(path: str, task: InstructionTask, items: Sequence[TaskItem]) -> None:
    labels = {str(item.fields[task.answer]) for item in items} if task.verbalizer else set()
    for label in task.verbalizer:
        if label not in labels:
            raise InputError(f"{path}.verbalizer.{label}: no such label{nearest(label, labels)}")
