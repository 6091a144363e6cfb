"""What every method shares: the lesson it is given, the state it returns, its protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from backbones import Description, Prefix, Preprocessed, TrainableBackbone
from learner.arrays import FloatArray, IntArray
from learner.queue import Group, PromptQueue
from learner.reweighing import Reweighing
from learner.rows import Form, Rows, fresh

if TYPE_CHECKING:
    from backbones.lower import LowerStates

Part = tuple[dict[str, FloatArray], dict[str, str]]
"""What one blob holds: tensors and metadata."""
SNAPSHOT = "prefix/"
"""Role of a task's snapshot: this and the task's name."""
EXTRA = "extra."


class Progress(Protocol):
    """Called after every training step; a receiver thins out what it passes on."""

    def __call__(self, epoch: int, epochs: int, loss: float, seconds: float) -> None:
        """`epoch` counts from 1, `loss` is its mean so far, `seconds` since the start.

        May raise Cancelled to stop.
        """
        ...


@dataclass(frozen=True, eq=False)
class Lesson:
    """One task's fit rows, and what a method may see of the others.

    `labels (n,)` are integers in `range(classes)`. `lower` may carry the
    states of `inputs` where the caller has them already. `memory` holds kept rows of other tasks;
    only eviction looks at it, never the loss.
    `half (n,)`, 0 or 1, splits the rows for a method that trains on halves to be judged across.
    """

    task: str
    inputs: Preprocessed
    labels: IntArray
    classes: int
    lower: LowerStates | None = None
    memory: Preprocessed | None = None
    seed: int = 0
    half: IntArray | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where inputs and labels do not fit each other."""
        if len(self.inputs) != len(self.labels):
            raise ValueError(f"{len(self.inputs)} inputs with {len(self.labels)} labels")
        if len(self.labels) < 2:
            raise ValueError(f"task {self.task!r} has {len(self.labels)} rows; two are needed")
        if self.classes < 2:
            raise ValueError(f"task {self.task!r} has {self.classes} class; two are needed")
        if self.labels.min() < 0 or self.labels.max() >= self.classes:
            raise ValueError(
                f"labels from {self.labels.min()} to {self.labels.max()} "
                f"for {self.classes} classes of task {self.task!r}"
            )

    def only(self, rows: IntArray) -> Lesson:
        """The lesson on some of its rows, their classes numbered anew; without a split."""
        known, labels = np.unique(self.labels[rows], return_inverse=True)
        chosen = rows.tolist()
        return replace(
            self,
            inputs=self.inputs.select(chosen),
            labels=labels.astype(np.int64),
            classes=len(known),
            lower=None if self.lower is None else self.lower.select(chosen),
            half=None,
        )

    def lower_states(self, backbone: TrainableBackbone) -> LowerStates:
        """The states below the prompted layers, computed where they were not given."""
        return backbone.lower(self.inputs) if self.lower is None else self.lower


@dataclass(frozen=True, eq=False)
class MethodState:
    """All a method knows after a task; storable, immutable.

    `served` are the rows of the aggregate, `kept[task]` those that served at the end of the task's
    training. `shared`, `queue` and `reweighing` are Q-tuning's own; other methods leave them empty
    and may keep tensors of theirs in `extra`. `notes` say what the last training did.
    """

    method: str
    served: Rows
    kept: Mapping[str, Rows]
    shared: Rows
    queue: PromptQueue
    reweighing: Reweighing | None = None
    extra: Mapping[str, FloatArray] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def form(self) -> Form:
        """Which kind of rows this state holds."""
        return self.served.form

    @property
    def aggregate(self) -> Prefix:
        """The prefix served when no task is named. Raises ValueError for token prompts."""
        return self.served.to_prefix()

    @property
    def snapshots(self) -> dict[str, Prefix]:
        """Each task's own prefix. Raises ValueError for token prompts."""
        return {task: rows.to_prefix() for task, rows in self.kept.items()}

    def without(self, task: str) -> MethodState:
        """Forget a task's snapshot and that it owns rows; the rows and the aggregate stay."""
        kept = {name: rows for name, rows in self.kept.items() if name != task}
        return replace(self, kept=kept, queue=self.queue.disown(task))

    def tensors(self) -> dict[str, FloatArray]:
        """The method's own tensors: all but the aggregate and the snapshots."""
        tensors = {f"shared.{name}": array for name, array in self.shared.tensors().items()}
        tensors |= {f"queue.{name}": array for name, array in self.queue.rows.tensors().items()}
        if self.reweighing is not None:
            tensors["reweighing.rows"] = self.reweighing.over_rows
            tensors["reweighing.width"] = self.reweighing.over_width
        return tensors | {EXTRA + name: array for name, array in self.extra.items()}

    def metadata(self) -> dict[str, str]:
        """What `tensors` cannot say: the method's name, the queue's owners and capacity, notes."""
        groups = [[group.owner, group.rows] for group in self.queue.groups]
        return {
            "method": self.method,
            "queue": json.dumps({"capacity": self.queue.capacity, "groups": groups}),
            "notes": json.dumps(dict(self.notes), sort_keys=True),
        }

    def parts(self) -> dict[str, Part]:
        """One part per blob role: `queue`, `aggregate`, `prefix/<task>`.

        A snapshot that did not change has the same bytes in every version, and the last task's
        snapshot those of the aggregate: the store keeps each once.
        """
        parts: dict[str, Part] = {
            "queue": (self.tensors(), self.metadata()),
            "aggregate": (self.served.tensors(), {}),
        }
        return parts | {SNAPSHOT + task: (rows.tensors(), {}) for task, rows in self.kept.items()}

    @classmethod
    def assemble(cls, parts: Mapping[str, Part]) -> MethodState:
        """The inverse of `parts`; other roles are ignored. Raises KeyError where one is missing."""
        tensors, metadata = parts["queue"]
        queue = json.loads(metadata["queue"])
        groups = tuple(Group(owner, rows) for owner, rows in queue["groups"])
        return cls(
            method=metadata["method"],
            served=Rows.load(parts["aggregate"][0]),
            kept={
                role.removeprefix(SNAPSHOT): Rows.load(part[0])
                for role, part in parts.items()
                if role.startswith(SNAPSHOT)
            },
            shared=Rows.load(_under("shared.", tensors)),
            queue=PromptQueue(Rows.load(_under("queue.", tensors)), groups, queue["capacity"]),
            reweighing=_reweighing(tensors),
            extra=_under(EXTRA, tensors),
            notes=json.loads(metadata["notes"]),
        )


def _under(prefix: str, tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _reweighing(tensors: Mapping[str, FloatArray]) -> Reweighing | None:
    if "reweighing.rows" not in tensors:
        return None
    return Reweighing(tensors["reweighing.rows"], tensors["reweighing.width"])


class Method(Protocol):
    """Learns one task at a time; holds its config and nothing that changes."""

    @property
    def name(self) -> str:
        """As in a manifest."""
        ...

    @property
    def digest(self) -> str:
        """Of the config, as in a manifest."""
        ...

    def start(self, description: Description) -> MethodState:
        """The state before the first task: an empty aggregate, no snapshots."""
        ...

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """The state after the lesson; equal inputs and seed give an equal state.

        Raises Cancelled where `report` does; `state` itself never changes.
        """
        ...


def no_rows(description: Description, form: Form) -> Rows:
    """Zero rows in the shape this backbone takes."""
    if form == "tokens":
        return fresh(np.zeros((1, 1, 1, 0, description.width), dtype=np.float32))
    layers, heads = description.prompted_layers, description.heads
    return fresh(np.zeros((layers, 2, heads, 0, description.head_dim), dtype=np.float32))


def blank(method: str, rows: Rows, capacity: int = 0) -> MethodState:
    """A state that knows nothing; `rows` gives the shape."""
    empty = rows.empty()
    return MethodState(method, empty, {}, empty, PromptQueue.empty(empty, capacity))
