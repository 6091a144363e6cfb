"""What callers teach: tasks, examples, batches. Every call blocks: make it off the event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from backbones import Description
from learner.archive import EXAMPLES
from learner.examples import KeptExample, TaskExamples
from prompt_store import Batch, BodyMismatch, Example, NotFound, Store, StoreError
from serving import audit
from serving.declarations import Declaration, Declarations
from serving.limits import (
    check_count,
    check_declaration,
    check_ids,
    check_inputs,
    check_labels,
    check_name_length,
)
from serving.metrics import Metrics
from serving.problems import Problem
from serving.progress import Overlay, Progress, progress_of
from serving.settings import Limits
from serving.snapshot import Snapshot
from serving.submission import Submission

logger = logging.getLogger(__name__)


_NAMED = 100  # unknown ids of one request
PromptKind = Literal["none", "domain", "own"]


@dataclass(frozen=True)
class TaskState:
    """What is known of a task: taught (in the live version), declared, or both."""

    task: str
    labels: tuple[str, ...]
    declared_labels: tuple[str, ...] | None
    examples: int
    own_prompt: bool
    prompt: PromptKind
    domain: str | None
    version: int | None


class Learning:
    """Tasks and batches of one store, under one server's limits."""

    def __init__(
        self,
        store: Store,
        description: Description,
        limits: Limits,
        metrics: Metrics,
        snapshot: Callable[[], Snapshot | None],
    ) -> None:
        self._store = store
        self._description = description
        self._limits = limits
        self._metrics = metrics
        self._snapshot = snapshot
        self._declarations = Declarations(store.backend)
        self.overlay = Overlay()

    def check(self, submission: Submission) -> None:
        """Whether it may be learnt. Raises Problem: invalid-content, unsupported-input."""
        limits, member = self._limits, submission.member
        check_count(submission.examples, limits.examples, member)
        check_name_length(submission.task, limits, "#")
        for index, one in enumerate(submission.examples):
            check_name_length(one.label, limits, f"#/{member}/{index}/label")
        check_ids([one.id for one in submission.examples], member)
        inputs = [one.input for one in submission.examples]
        check_inputs(inputs, limits, self._description, f"{member}/{{}}/input")
        declaration = self._declarations.all().get(submission.task)
        declared = declaration.labels if declaration else ()
        taught = self._taught(submission.task)
        check_labels(submission.labels, taught, declared, limits, f"#/{member}")

    def accept(self, submission: Submission) -> Progress:
        """Makes a batch that `check` let pass durable; the same again changes nothing.

        Returns where it stands. Raises Problem idempotency-key-reused.
        """
        batch = submission.batch(self._store.blobs.put)
        try:
            fresh = self._store.intake.accept(batch)
        except BodyMismatch as error:
            raise Problem(
                "idempotency-key-reused",
                "this idempotency key came with another body before; use a new key for a new body",
                batch=batch.id,
            ) from error
        if fresh:
            self._metrics.add("perennial_examples", len(batch.examples))
            count = len(batch.examples)
            audit.tell(batch.via, batch=batch.id, examples=count)
        return self._progress_of_accepted(batch)

    def _progress_of_accepted(self, batch: Batch) -> Progress:
        """Where it stands. It is durable, so trouble with the log must not make it look refused."""
        try:
            return self.progress(batch.id)
        except StoreError:
            logger.exception("the log cannot be read; batch %s is accepted all the same", batch.id)
            received, count = batch.received_at, len(batch.examples)
            return Progress(batch.id, batch.task, "queued", examples=count, received_at=received)

    def progress(self, batch_id: str) -> Progress:
        """Where a batch stands. Raises Problem unknown-batch."""
        return progress_of(self._store, batch_id, self.overlay)

    def pending(self) -> int:
        """Batches that are accepted and not settled; also measured."""
        pending = len(self._store.intake.pending())
        self._metrics.set("perennial_pending_batches", pending)
        return pending

    def declare(self, task: str, labels: tuple[str, ...]) -> TaskState:
        """Says which labels a task may have (none: any). Durable when it returns.

        Raises Problem invalid-content: too many, too long, or fewer than it was taught already.
        """
        check_name_length(task, self._limits, "#")
        for index, label in enumerate(labels):
            check_name_length(label, self._limits, f"#/labels/{index}")
        check_declaration(labels, self._taught(task), self._limits)
        actor = audit.acting.get()
        if self._declarations.declare(Declaration(task=task, labels=labels, actor=actor)):
            audit.tell("declare", labels=len(labels))
        return self.task(task)

    def forget(self, task: str) -> str:
        """Asks the learner to forget a task and takes its declaration back. Durable on return.

        Returns the request's id. Raises Problem unknown-task.
        """
        if not self._waiting(task):
            self.task(task)
        asked = self._ask_to_forget(task)
        self._declarations.withdraw(task, audit.acting.get())
        return asked

    def forget_label(self, task: str, label: str) -> str:
        """Asks the learner to forget a class, and declares it no longer. Durable on return.

        Returns the request's id. Raises Problem: unknown-task, unknown-label.
        """
        declaration = self._declarations.all().get(task)
        declared = declaration.labels if declaration else ()
        waiting = {one.label for one in self._waiting(task)}
        known = {*waiting, *declared, *(row.label for row in self._kept(task)), *self._taught(task)}
        if label not in known:
            if not waiting:
                self.task(task)
            raise Problem("unknown-label", f"the task {task!r} has no label {label!r}")
        asked, actor = self._ask_to_forget(task, label=label), audit.acting.get()
        rest = tuple(one for one in declared if one != label)
        if rest:
            self._declarations.declare(Declaration(task=task, labels=rest, actor=actor))
        elif declared:  # without labels it would allow any
            self._declarations.withdraw(task, actor)
        return asked

    def forget_examples(self, task: str, ids: Sequence[str]) -> str:
        """Asks the learner to forget examples by their ids. Durable on return.

        Returns the request's id. Raises Problem: invalid-content, unknown-task, unknown-example,
        which names all that are not known; nothing is asked for then.
        """
        check_count(ids, self._limits.examples, "ids")
        waiting = {one.id for one in self._waiting(task)}
        known = waiting | {row.id for row in self._kept(task)}
        if not known:
            self.task(task)
        if unknown := [(index, one) for index, one in enumerate(ids) if one not in known]:
            raise _unknown_examples(unknown)
        return self._ask_to_forget(task, examples=ids)

    def _ask_to_forget(
        self, task: str, *, label: str | None = None, examples: Sequence[str] = ()
    ) -> str:
        """Durable on return, which is the request's id."""
        head, actor = self._store.timeline().head, audit.acting.get()
        asked = self._store.erasures.ask(task, head, label=label, examples=examples, actor=actor)
        audit.tell("forget", erasure=asked.id)
        return asked.id

    def _waiting(self, task: str) -> list[Example]:
        """Examples of a task whose batches are accepted and not settled."""
        examples: list[Example] = []
        for name in self._store.intake.pending():
            with suppress(NotFound):  # settled since we looked
                batch = self._store.intake.read(name)
                examples += batch.examples if batch.task == task else ()
        return examples

    def _kept(self, task: str) -> tuple[KeptExample, ...]:
        """Examples of a task that the live version keeps."""
        live = self._store.timeline().live
        digest = None if live is None else self._store.manifest(live).blobs.get(EXAMPLES + task)
        return () if digest is None else TaskExamples.from_bytes(self._store.blobs.get(digest)).rows

    def tasks(self) -> list[TaskState]:
        """Every task that is taught or declared, by name."""
        declarations = self._declarations.all()
        names = set(declarations).union(self._taught_tasks())
        return [self._state(name, declarations.get(name)) for name in sorted(names)]

    def task(self, name: str) -> TaskState:
        """One task. Raises Problem unknown-task."""
        declaration = self._declarations.all().get(name)
        if declaration is None and name not in self._taught_tasks():
            raise Problem(
                "unknown-task",
                f"there is no task {name!r}; GET /v1/tasks lists those there are, and examples "
                "for a new one may be posted at any time",
            )
        return self._state(name, declaration)

    def _state(self, name: str, declaration: Declaration | None) -> TaskState:
        snapshot = self._snapshot()
        entry = snapshot.manifest.tasks.get(name) if snapshot else None
        return TaskState(
            task=name,
            labels=self._taught(name),
            declared_labels=declaration.labels if declaration else None,
            examples=entry.examples if entry else 0,
            own_prompt=snapshot is not None and name in snapshot.content.heads,
            prompt=_prompt_of(name, snapshot),
            domain=entry.domain if entry else None,
            version=snapshot.version if snapshot and name in snapshot.tasks else None,
        )

    def _taught_tasks(self) -> list[str]:
        snapshot = self._snapshot()
        return list(snapshot.tasks) if snapshot else []

    def _taught(self, task: str) -> tuple[str, ...]:
        """Labels of the task in the live version."""
        snapshot = self._snapshot()
        view = snapshot.tasks.get(task) if snapshot else None
        return tuple(label for _, label in view.classes) if view else ()


def _unknown_examples(unknown: Sequence[tuple[int, str]]) -> Problem:
    """Ids with their places in the body, of which no example is kept."""
    errors = [
        {"pointer": f"#/ids/{index}", "detail": f"no example {one!r} is kept"}
        for index, one in unknown[:_NAMED]
    ]
    return Problem(
        "unknown-example",
        f"{len(unknown)} of the ids belong to no example that is kept, the first is "
        f"{unknown[0][1]!r}; nothing was forgotten, send the others again. Of examples that are "
        "kept no longer only sums are left, which cannot be taken apart: forget their label, or "
        "the task",
        errors=errors,
    )


def _prompt_of(task: str, snapshot: Snapshot | None) -> PromptKind:
    """Which prompt the task's requests are seen under."""
    if snapshot is None or task not in snapshot.tasks:
        return "none"
    content = snapshot.content
    if task in content.heads:
        return "own"
    return "none" if content.domains[content.index_of(task)].prefix is None else "domain"
