"""One task of many: where its items come from, how they are put into words, and the mixture of them
all."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import digest
from lmcompare.data.deduplication import duplicate_key
from lmcompare.data.items import TaskItem, build_item_splits
from lmcompare.tasks._prompts import fields_of

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class InstructionTask:
    """One task of the mixture: where its items come from, and how they are put into words."""

    __pydantic_config__ = settings.STRICT
    columns: ClassVar[tuple[str, ...]] = ("prompt", "answer")

    source: object
    """where the items come from: a word of `lmcompare list sources`, or a mapping with its
    `kind`"""
    prompt: str = "prompt"
    """name of the column with the prompt, which is cut if it is too long"""
    answer: str = "answer"
    """name of the column with the answer, a label, or a list of answers: the first is learnt, any
    counts as right"""
    verbalizer: dict[str, str] = field(default_factory=dict)
    """label -> the word that answers; the value of the column itself where none is given"""
    template: str = "{prompt}\n\n"
    """what the network reads, the instruction with it: {prompt} is the prompt, any other name in
    braces that column"""
    items: Annotated[int, Field(gt=0)] | None = None
    """at most so many items in all; every one if left out"""

    def __post_init__(self) -> None:
        if self.prompt not in self.shown:
            raise InputError(f"template: wanted {{prompt}} in it, got {self.template!r}")
        if self.answer in self.shown:
            raise InputError(f"template: wanted none that tells the answer, got {{{self.answer}}}")
        for label, word in self.verbalizer.items():
            if not word.strip():
                raise InputError(f"verbalizer.{label}: wanted a word, got {word!r}")

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that the template shows."""
        names = [self.prompt if name == "prompt" else name for name in fields_of(self.template)]
        return tuple(dict.fromkeys(names))

    def render(self, item: TaskItem) -> Callable[[str], str]:
        """Return what puts a prompt into the template of this item."""
        return lambda text: self.template.format(
            **{**item.fields, self.prompt: text, "prompt": text}
        )

    def answers(self, item: TaskItem) -> list[str]:
        """Return the answers that are right, in words; empty ones are left out."""
        value = item.fields[self.answer]
        said = [str(one).strip() for one in (value if isinstance(value, list) else [value])]
        return [self.verbalizer.get(one, one) for one in said if one]


@dataclass(frozen=True)
class InstructionItem:
    """An item of one of the tasks.

    Attributes:
        item: its id begins with the name of its task.
        task: that name.
        prompt: what may be cut.
        render: puts the prompt into its template.
        answers: those that are right.
    """

    item: TaskItem
    task: str
    prompt: str
    render: Callable[[str], str]
    answers: list[str]

    @property
    def whole(self) -> str:
        """The prompt in its template."""
        return self.render(self.prompt)


@dataclass(frozen=True)
class InstructionMixture:
    """The items of all tasks.

    Attributes:
        train: of the tuned tasks.
        validation: of the tuned tasks.
        test: of all tasks.
        counts: of the items, summed over the tasks: see ``paired.Items``; ``held_out``: left out of
            train and validation, because their prompt is that of a test item of some task.
        fingerprint: SHA-256 of the items of each split.
    """

    train: list[InstructionItem]
    validation: list[InstructionItem]
    test: list[InstructionItem]
    counts: dict[str, int]
    fingerprint: str


def mix(
    tuned: Mapping[str, InstructionTask],
    unseen: Mapping[str, InstructionTask],
    *,
    validation: float,
    test: float,
    seed: int,
) -> InstructionMixture:
    """Return the items of all tasks; what is learnt from holds no prompt that is tested, in any
    task.

    Args:
        tuned: name -> task that is split in three.
        unseen: name -> task that is tested whole.
        validation: share of the items of each tuned task.
        test: the same.
        seed: of the splits.

    Raises:
        InputError: a task has too few items, or ``verbalizer`` for a label that there is not.
    """
    parts: dict[str, list[InstructionItem]] = {split: [] for split in SPLITS}
    counts: Counter[str] = Counter()
    for kind, tasks, shares in (
        ("tuned", tuned, (validation, test)),
        ("unseen", unseen, (0.0, 1.0)),
    ):
        for name, one in tasks.items():
            columns = (*one.shown, one.answer)
            items = build_item_splits(
                one.source,
                columns,
                unique=one.shown,
                validation=shares[0],
                test=shares[1],
                items=one.items,
                seed=seed,
            )
            _check_words(f"{kind}.{name}", one, [*items.train, *items.validation, *items.test])
            counts.update(items.counts)
            for split in SPLITS:
                for item in getattr(items, split):
                    answers = one.answers(item)
                    if answers:
                        named = TaskItem(f"{name}/{item.id}", item.fields)
                        parts[split].append(
                            InstructionItem(
                                named, name, str(item.fields[one.prompt]), one.render(item), answers
                            )
                        )
                    else:
                        counts["empty"] += 1
    tested = {duplicate_key(asked.prompt) for asked in parts["test"]}
    for split in ("train", "validation"):
        kept = [asked for asked in parts[split] if duplicate_key(asked.prompt) not in tested]
        counts["held_out"] += len(parts[split]) - len(kept)
        parts[split] = kept
        if not kept:
            raise InputError(
                f"tuned: wanted items for {split} whose prompts no task tests, got none; lower `items` of unseen tasks"
            )
    for split, part in parts.items():
        counts[f"{split}_items"] = len(part)
    content = {
        split: [(one.item.id, one.whole, one.answers) for one in part]
        for split, part in parts.items()
    }
    return InstructionMixture(**parts, counts=dict(counts), fingerprint=digest(content))


def _check_words(path: str, one: InstructionTask, items: Sequence[TaskItem]) -> None:
    labels = {str(item.fields[one.answer]) for item in items} if one.verbalizer else set()
    for label in one.verbalizer:
        if label not in labels:
            raise InputError(f"{path}.verbalizer.{label}: no such label{nearest(label, labels)}")
