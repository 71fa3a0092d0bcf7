"""Results as tidy rows with provenance; tables and figures are views of them."""

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmcompare.core.errors import InputError, LmcompareError

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """One value. ``item`` is the test item it belongs to, or '' for a value of the whole cell.

    Attributes:
        experiment: name of the experiment.
        model: name of the model, or of a control ('majority', 'tf-idf', 'unigram', ...).
        seed: pretraining seed; 0 for a control that has none.
        task: name of the task, or 'pretraining'.
        condition: 'pretrained', 'scratch' (the same network from random initialization) or
            'control'.
        split: 'validation' or 'test'.
        item: id of the item within its task.
        metric: what was measured ('correct', 'bits', 'bytes', 'accuracy', ...).
        part: the part of the items that the value is of, '<kind>/<name>' ('class/positive'); '' for
            all.
        value: the value; its unit is the metric's.
        exactness: for likelihoods: 'exact', 'chain' (exact given the length), 'bound' or 'pseudo';
            else ''.
    """

    experiment: str
    model: str
    seed: int
    task: str
    condition: str
    split: str
    item: str
    metric: str
    value: float
    exactness: str = ""
    part: str = ""


STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Convergence:
    """Whether pretraining learned to use context: its validation loss against that of a unigram
    model.
    """

    __pydantic_config__ = STRICT

    loss: float
    """nats per target that is text"""
    unigram_loss: float
    """nats on the same targets"""
    required_margin: float
    """nats by which ``loss`` must be below ``unigram_loss``"""

    @property
    def margin(self) -> float:
        """Nats by which the loss is below the unigram loss."""
        return self.unigram_loss - self.loss

    @property
    def passed(self) -> bool:
        """Whether the network has learned to use context."""
        return self.margin >= self.required_margin


@dataclass(frozen=True)
class Trials:
    """The settings that were tried on validation items."""

    __pydantic_config__ = STRICT

    tried: list[Json]
    """the settings of each trial, and its validation score"""
    chosen: Json
    """the best of them"""


@dataclass(frozen=True)
class TaskInfo:
    """A task as the report describes it; see ``tasks.Task``."""

    __pydantic_config__ = STRICT

    kind: str
    family: str
    primary_metric: str
    better: str
    conditions: tuple[str, ...]
    smallest_effect: float
    per_item: dict[str, tuple[str, str]]
    description: str


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint under test."""

    __pydantic_config__ = STRICT

    architecture: str
    """name of the transformers class"""
    vocab_size: int
    shared_tokenizer: bool
    """whether it reads the tokens of the experiment's tokenizer"""
    context: int | None
    """tokens that it can read at once; None if that is not known"""
    commit: str | None
    """on the hub; None for a folder"""
    parameters: int
    parameters_without_embeddings: int


@dataclass(frozen=True)
class Notes:
    """What the report says of a cell beside its values."""

    __pydantic_config__ = STRICT

    role: str = ""
    """of the network: 'decoder', 'encoder' or 'encoder-decoder'; '' where there is none"""
    convergence: Convergence | None = None
    """of a pretraining"""
    checkpoint: CheckpointInfo | None = None
    """of a cell whose model is a checkpoint"""
    task: TaskInfo | None = None
    """of a cell of a task"""
    trials: Trials | None = None
    """of a cell that chooses settings on validation items"""
    procedure: str = ""
    """how this network is scored or answers, where networks differ in that: a sentence without its
    period"""
    counts: Json = field(default_factory=dict)
    """of documents, items and the like, nested by what they count"""
    truncated: int | None = None
    """texts that were cut to fit into the context"""
    left_out: int | None = None
    """items that this model has no score of"""
    details: Json = field(default_factory=dict)
    """what one task alone has to say; the report lists its numbers"""


@dataclass(frozen=True)
class Run:
    """One finished cell: what was done, with what, at what cost.

    Attributes:
        experiment: name of the experiment.
        cell: name of the cell: 'prepare', 'pretrain/causal/1', 'sentiment/causal/1/scratch', ...
        key: content hash of all that decides the cell's result.
        model: as in Record ('' for 'prepare').
        seed: as in Record.
        task: as in Record.
        condition: as in Record ('' for 'prepare').
        config: the settings of the cell.
        fingerprints: content hash of each step of the data.
        costs: what the cell spent: see ``training.costs``.
        curve: learning curve, one mapping a point: ``{"tokens", "flops", "targets", "loss",
            "split", ...}``.
        samples: generations drawn at random: ``{"prompt", "text", "reference", ...}``.
        notes: what else the report says of the cell.
        versions: of Python and of each library.
        machine: processor, device, threads.
    """

    __pydantic_config__ = STRICT

    experiment: str
    cell: str
    key: str
    model: str
    seed: int
    task: str
    condition: str
    config: Json
    fingerprints: dict[str, str] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    curve: list[Json] = field(default_factory=list)
    samples: list[Json] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)


COLUMNS = list(Record.__dataclass_fields__)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either all of it or what it held before.

    Raises:
        LmcompareError: the disk is full or the folder cannot be written.
    """
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise LmcompareError(
            f"{path}: cannot be written ({error.strerror}); nothing that was there is lost"
        ) from error


def write_runs(path: Path, runs: Iterable[Run]) -> None:
    """Write one JSON object a line, sorted by cell; nothing for no runs."""
    lines = [
        json.dumps(asdict(run), ensure_ascii=False, sort_keys=True)
        for run in sorted(runs, key=lambda r: r.cell)
    ]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def read_runs(path: Path) -> list[Run]:
    """Read what ``write_runs`` wrote.

    Raises:
        InputError: there is no such file, or a line is not a run.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; wanted the rows of a finished `lmcompare run`")
    from pydantic import TypeAdapter  # slow to import

    adapter = TypeAdapter(Run)
    runs = []
    with path.open(
        encoding="utf-8", newline="\n"
    ) as lines:  # samples may hold U+2028, where splitlines would cut
        for number, line in enumerate(lines, 1):
            try:
                runs.append(adapter.validate_python(json.loads(line)))
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{path}:{number}: not a run of this version of lmcompare ({error})"
                ) from error
    return runs


def to_frame(records: Sequence[Record]) -> "pd.DataFrame":
    """Return a frame with one row a record and the fields of Record as columns."""
    import pandas as pd  # slow to import, and `lmcompare validate` needs none

    return pd.DataFrame([asdict(record) for record in records], columns=COLUMNS)


def write_records(path: Path, frame: "pd.DataFrame") -> None:
    """Write the rows as Parquet, sorted, atomically."""
    order = [column for column in COLUMNS if column != "value"]
    write_atomically(
        path, frame.sort_values(order, ignore_index=True)[COLUMNS].to_parquet(index=False)
    )


def read_records(path: Path) -> "pd.DataFrame":
    """Read what ``write_records`` wrote.

    Raises:
        InputError: there is no such file, or it lacks a column.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; wanted the rows of a finished `lmcompare run`")
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a Parquet file ({error})") from error
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise InputError(f"{path}: wanted the columns {COLUMNS}, got none called {missing}")
    return frame[COLUMNS]
