"""The progress bar of `perennial learn`."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from perennial.cli.event_line import phase_words
from perennial.client import Batch, Event

_STEPS = {
    "queued": 0, "refreshed": 1, "training": 2, "evaluating": 3, "published": 4,
}  # fmt: skip
_LAST_STEP = {"none": 0, "refreshed": 1, "published": 4}


class LearningProgress:
    """Two bars on stderr: examples sent, and how far the batches are on their way.

    until: the state that is waited for (published, refreshed or none).
    """

    def __init__(self, task: str, examples: int, until: str, *, shown: bool) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._task = task
        self._last_step = _LAST_STEP[until]
        self._bars = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self._sending = self._bars.add_task("sending", total=examples)
        self._learning = self._bars.add_task("waiting", total=None, visible=False)
        self._batches = 0
        self._steps: dict[str, int] = {}

    def sent(self, examples: int) -> None:
        """One more batch of so many examples is safe with the server."""
        self._batches += 1
        self._bars.advance(self._sending, examples)
        self._bars.update(
            self._learning,
            total=self._batches * self._last_step,
            description="queued",
            visible=self._last_step > 0,
        )

    def batch(self, batch: Batch) -> None:
        """A batch has changed."""
        self._steps[batch.batch] = min(_STEPS.get(batch.status, 0), self._last_step)
        self._bars.update(
            self._learning, completed=sum(self._steps.values()), description=batch.status
        )

    def event(self, event: Event) -> None:
        """The learner says what it does; only this task's news is shown."""
        if event.data.get("task") == self._task and "phase" in event.data:
            self._bars.update(self._learning, description=phase_words(event.data))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()
