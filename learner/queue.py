"""The prompt queue of Q-tuning (Guo et al. 2024): the prompts of the last tasks, in order.

Immutable: every operation returns a new queue. Rows are grouped by owner, the task that trained
them; rows that eviction compressed have no single owner any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from learner.rows import Rows, concat


@dataclass(frozen=True)
class Group:
    """Consecutive rows of one owner; `owner` is None for what eviction left."""

    owner: str | None
    rows: int


@dataclass(frozen=True, eq=False)
class PromptQueue:
    """Rows with their owners, oldest first, at most `capacity` rows."""

    rows: Rows
    groups: tuple[Group, ...]
    capacity: int

    def __post_init__(self) -> None:
        """Raises ValueError where groups, rows and capacity contradict each other."""
        counted = sum(group.rows for group in self.groups)
        if counted != len(self.rows):
            raise ValueError(f"groups count {counted} rows, the queue holds {len(self.rows)}")
        if len(self.rows) > self.capacity:
            raise ValueError(f"{len(self.rows)} rows in a queue of capacity {self.capacity}")
        owners = [group.owner for group in self.groups if group.owner is not None]
        if len(owners) != len(set(owners)):
            raise ValueError(f"a task owns two groups of the queue: {owners}")

    @classmethod
    def empty(cls, like: Rows, capacity: int) -> PromptQueue:
        """A queue without rows, of the shape of `like`."""
        return cls(like.empty(), (), capacity)

    def __len__(self) -> int:
        return len(self.rows)

    def has_room(self, rows: int) -> bool:
        """Whether `rows` more rows fit without eviction."""
        return len(self) + rows <= self.capacity

    def owns(self, task: str) -> bool:
        """Whether `task` still has rows of its own here."""
        return any(group.owner == task for group in self.groups)

    def span_of(self, task: str) -> slice:
        """Where the rows of `task` lie. Raises KeyError where it owns none."""
        start = 0
        for group in self.groups:
            if group.owner == task:
                return slice(start, start + group.rows)
            start += group.rows
        raise KeyError(f"task {task!r} owns no rows of the queue; owners: {self.owners}")

    def rows_of(self, task: str) -> Rows:
        """The rows `task` owns. Raises KeyError where it owns none."""
        return self.rows.take(self.span_of(task))

    @property
    def owners(self) -> tuple[str | None, ...]:
        """The owner of each group, oldest first."""
        return tuple(group.owner for group in self.groups)

    def enqueue(self, task: str, rows: Rows) -> PromptQueue:
        """Append the rows of a new owner. Raises ValueError where they do not fit."""
        if not self.has_room(len(rows)):
            raise ValueError(
                f"{len(rows)} rows do not fit: {len(self)} of {self.capacity} taken; evict first"
            )
        groups = (*self.groups, Group(task, len(rows)))
        return PromptQueue(concat([self.rows, rows]), groups, self.capacity)

    def replace(self, task: str, rows: Rows) -> PromptQueue:
        """The same queue with the rows of `task` exchanged for as many others."""
        span = self.span_of(task)
        if len(rows) != span.stop - span.start:
            raise ValueError(
                f"task {task!r} owns {span.stop - span.start} rows, got {len(rows)} to replace them"
            )
        before, after = self.rows.take(slice(span.start)), self.rows.take(slice(span.stop, None))
        return PromptQueue(concat([before, rows, after]), self.groups, self.capacity)

    def disown(self, task: str) -> PromptQueue:
        """The same rows, of which `task` owns none any more."""
        groups = tuple(Group(None, g.rows) if g.owner == task else g for g in self.groups)
        return PromptQueue(self.rows, groups, self.capacity)

    def compressed(self, rows: Rows) -> PromptQueue:
        """What eviction left of this queue: the same capacity, rows that belong to nobody."""
        groups = (Group(None, len(rows)),) if len(rows) else ()
        return PromptQueue(rows, groups, self.capacity)
