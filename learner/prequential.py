"""Prequential accuracy: test, then train (Dawid 1984). No example is learnt before it is asked.

What is live answers the new examples of each task, their task named, before they are learnt. They
are encoded for learning anyway: it costs what their heads cost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from learner.arrays import IntArray
from learner.heads.viewed import ViewedHead
from learner.knowledge import Knowledge, TaskKnowledge
from learner.sight import Seen
from prompt_store import Prequential

ROWS = 1024
"""Rows answered at a time: random features take megabytes."""


def answered_before(live: Knowledge, learnt: Knowledge) -> dict[str, Prequential]:
    """How `live` answers the rows that tasks of `learnt` have more: `learn_batch` adds them last.

    Of classes that `live` does not know, rows are only counted.
    """
    return {
        name: _answered(name, live, task)
        for name, task in learnt.tasks.items()
        if task is not live.tasks.get(name)
    }


def _answered(name: str, live: Knowledge, task: TaskKnowledge) -> Prequential:
    known = live.tasks.get(name)
    if known is None:
        return Prequential(rows=0, right=0, new=len(task.examples.rows))
    rows, learnt = task.examples.rows, len(known.examples.rows)
    asked = [i for i in range(learnt, len(rows)) if rows[i].label in known.examples.seen]
    fresh = task.take(asked, replace(task.examples, rows=tuple(rows[i] for i in asked)))
    right = _right(_head(name, live), fresh.seen_alone, fresh.targets) if asked else 0
    return Prequential(rows=len(asked), right=right, new=len(rows) - learnt - len(asked))


def _head(name: str, live: Knowledge) -> ViewedHead:
    """What answers requests that name the task."""
    own = live.tasks[name].head
    if own is not None:
        return own
    domain = live.domain_of(name)
    assert domain.head is not None, "what is live has its heads"
    classes = set(live.labels_of([name]))
    labels = live.labels_of(domain.tasks)
    return domain.head.restrict([i for i, label in enumerate(labels) if label in classes])


def _right(head: ViewedHead, seen: Seen, targets: IntArray) -> int:
    """Of N rows. targets: (N,) columns of the head: a task's new classes come after its old."""
    parts = [np.arange(n, min(n + ROWS, len(seen))) for n in range(0, len(seen), ROWS)]
    answers = [head.log_posteriors(seen.take(part)).argmax(axis=1) for part in parts]
    return int((np.concatenate(answers) == targets).sum())
