"""The examples a task keeps, so that heads can be refitted and candidates judged.

Every class keeps at most `per_class` examples: in each role those with the smallest digests of
their ids, which is a uniform choice that never changes its mind. One in `HELD_OUT_EVERY` of a
class, in order of arrival, is *held out*: prompts never train on it, the gate judges with it, heads
that go live use it. The role is fixed on arrival, so that a later gate never judges with a row some
earlier prompt has seen.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from prompt_store import Example

HELD_OUT_EVERY = 4
"""Every fourth example of a class is held out; a class with fewer than four has none."""


@dataclass(frozen=True, slots=True)
class KeptExample:
    """One labelled input, its batch and its role. `held_out` changes by forgetting alone."""

    id: str
    label: str
    batch: str
    held_out: bool
    text: str | None = None
    text_pair: str | None = None
    image: str | None = None

    @property
    def rank(self) -> bytes:
        """Decides who stays when a class is over its limit: smaller stays."""
        return hashlib.sha256(f"{self.batch}/{self.id}".encode()).digest()


@dataclass(frozen=True)
class TaskExamples:
    """The kept examples of one task, in order of arrival, and how many were ever seen a class."""

    task: str
    rows: tuple[KeptExample, ...] = ()
    seen: dict[str, int] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The task's labels in order of first appearance."""
        return tuple(self.seen)

    def add(self, batch: str, examples: Sequence[Example]) -> TaskExamples:
        """The task with a batch added; roles are dealt, nothing is dropped yet."""
        seen = dict(self.seen)
        rows = list(self.rows)
        for example in examples:
            count = seen[example.label] = seen.get(example.label, 0) + 1
            rows.append(
                KeptExample(
                    id=example.id,
                    label=example.label,
                    batch=batch,
                    held_out=count % HELD_OUT_EVERY == 0,
                    text=example.text,
                    text_pair=example.text_pair,
                    image=example.image,
                )
            )
        return replace(self, rows=tuple(rows), seen=seen)

    def without(
        self, gone: Collection[int], labels: Collection[str] = ()
    ) -> tuple[TaskExamples, list[int]]:
        """Without the rows at `gone` and without whole labels; and the indices of the others.

        Roles are dealt again, and labels ordered, as if the others had just arrived, as far as all
        that arrived is kept: no prompt that has seen any of them may stay.
        """
        lost = Counter(self.rows[i].label for i in gone)
        stay = [i for i in range(len(self.rows)) if i not in gone]
        stay = [i for i in stay if self.rows[i].label not in labels]
        left = {label: n - lost[label] for label, n in self.seen.items() if label not in labels}
        seen = {label: n for label, n in left.items() if n}
        rows = _dealt([self.rows[i] for i in stay], seen)
        if len(rows) == sum(seen.values()):
            seen = {label: seen[label] for label in dict.fromkeys(row.label for row in rows)}
        return replace(self, rows=rows, seen=seen), stay

    def keep(self, per_class: int) -> tuple[TaskExamples, list[int]]:
        """At most `per_class` rows of each class, and the indices of the rows that stay."""
        over = {label for label, n in Counter(r.label for r in self.rows).items() if n > per_class}
        stay = set(range(len(self.rows)))
        for label in over:
            of_label = [i for i, row in enumerate(self.rows) if row.label == label]
            stay -= set(of_label) - self._chosen(of_label, per_class)
        indices = sorted(stay)
        return replace(self, rows=tuple(self.rows[i] for i in indices)), indices

    def _chosen(self, of_label: list[int], count: int) -> set[int]:
        """`count` of a class's rows, held-out ones in their share where there are enough."""
        ranked = sorted(of_label, key=lambda i: self.rows[i].rank)
        held = [i for i in ranked if self.rows[i].held_out][: count // HELD_OUT_EVERY]
        fit = [i for i in ranked if not self.rows[i].held_out][: count - len(held)]
        return set(held + fit)

    def to_bytes(self) -> bytes:
        """JSON for the store."""
        return orjson.dumps({"task": self.task, "seen": self.seen, "rows": self.rows})

    @classmethod
    def from_bytes(cls, data: bytes) -> TaskExamples:
        """The inverse of `to_bytes`."""
        raw = orjson.loads(data)
        rows = tuple(KeptExample(**row) for row in raw["rows"])
        return cls(task=raw["task"], rows=rows, seen=raw["seen"])


def _dealt(rows: Sequence[KeptExample], seen: Mapping[str, int]) -> tuple[KeptExample, ...]:
    """Rows in order of arrival, with the roles of their places where all of a label are here."""
    kept = Counter(row.label for row in rows)
    place = Counter[str]()
    dealt = []
    for row in rows:
        place[row.label] += 1
        whole = kept[row.label] == seen[row.label]
        held_out = place[row.label] % HELD_OUT_EVERY == 0 if whole else row.held_out
        dealt.append(replace(row, held_out=held_out))
    return tuple(dealt)


def per_class_limit(classes: int, *, per_class: int, total: int, floor: int = 4) -> int:
    """Examples a class may keep so that all stay within `total`; never under `floor`."""
    return max(floor, min(per_class, total // max(1, classes)))


def spread_over(groups: Sequence[Sequence[KeptExample]], budget: int) -> list[KeptExample]:
    """At most `budget` examples, in order, spread evenly over the groups they come from."""
    rows = [row for group in groups for row in group]
    places: list[range] = []
    for group in groups:
        start = places[-1].stop if places else 0
        places.append(range(start, start + len(group)))
    return [rows[i] for i in pick_spread(places, budget)]


def pick_spread(groups: Iterable[Sequence[int]], budget: int) -> list[int]:
    """At most `budget` indices, taken round-robin from `groups` so that each is represented."""
    queues = [list(group) for group in groups if group]
    picked: list[int] = []
    depth = 0
    while len(picked) < budget and any(depth < len(queue) for queue in queues):
        for queue in queues:
            if depth < len(queue) and len(picked) < budget:
                picked.append(queue[depth])
        depth += 1
    return sorted(picked)
