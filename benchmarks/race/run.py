"""Learners that race, a client that teaches, an operator that promotes; then the account."""

from __future__ import annotations

import multiprocessing
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.lessons import lessons
from benchmarks.race.learner import NOT_LEARNT, contend
from benchmarks.random_models import save_bert
from benchmarks.stream import as_batch
from benchmarks.streams import Example, StreamTask
from benchmarks.verdict import Sent, Verdict, judge
from prompt_store import Batch, Conflict, Kind, Store, local_folder

ROWS = 4
BATCH_SECONDS = 0.2
PROMOTED_SHARE = 0.1
"""Of the batches, after which what is live is made live once more, as any replica may."""
SETTLE_SECONDS = 600
STOP_SECONDS = 300
Say = Callable[[str], None]


@dataclass(frozen=True)
class RaceResult:
    """epochs: how often a learner took over; commits: versions of each learner, fences aside;
    failed: learners that ended by an error.
    """

    place: str
    learners: int
    seconds: float
    epochs: int
    commits: dict[str, int]
    promotions: int
    failed: int
    verdict: Verdict

    @property
    def holds(self) -> bool:
        """Whether there is one history, with each batch in it once."""
        return self.verdict.holds and not self.failed

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "holds": self.holds}


def run_races(
    place: str | None, counts: Sequence[int], seconds: float, say: Say
) -> list[RaceResult]:
    """One race for each number of learners, each on a store of its own below `place`.

    place: a folder or a bucket's URL, where the stores stay; None: a folder that is removed
    """
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        (Path(folder) / "bert").mkdir()
        backbone = str(save_bert(Path(folder) / "bert", layers=2, width=48))
        below = place or f"{folder}/stores"
        return [_race(f"{below}/{secrets.token_hex(4)}", n, backbone, seconds, say) for n in counts]


def _race(url: str, learners: int, backbone: str, seconds: float, say: Say) -> RaceResult:
    store = Store.open(url)
    with _racing(url, learners, backbone) as processes:
        say(f"{learners} learners race on {url}")
        _until_all_began(store, processes)
        began = time.monotonic()
        sent = _teach(store, began + seconds, say)
        say("waiting for what is not yet learnt")
        _until_settled(store, processes)
    log = list(store.log.kept(store.timeline().head))
    by_kind = Counter(manifest.kind for manifest in log)
    own = [m.writer for m in log if m.kind not in NOT_LEARNT]
    return RaceResult(
        place="local" if local_folder(url) else url.partition(":")[0],
        learners=learners,
        seconds=time.monotonic() - began,
        epochs=by_kind[Kind.FENCE],
        commits=dict(sorted(Counter(own).items())),
        promotions=by_kind[Kind.PROMOTE],
        failed=sum(process.exitcode != 0 for process in processes),
        verdict=judge(store, sent),
    )


@contextmanager
def _racing(url: str, learners: int, backbone: str) -> Iterator[list[BaseProcess]]:
    """The learners' processes; they have ended afterwards."""
    context = multiprocessing.get_context("spawn")  # obstore's threads do not survive a fork
    stop: Event = context.Event()
    processes: list[BaseProcess] = []
    for number in range(learners):
        arguments = (url, backbone, f"learner-{number}", stop)
        processes.append(context.Process(target=contend, args=arguments))
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        stop.set()
        for process in processes:
            process.join(STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _teach(store: Store, until: float, say: Say) -> dict[str, Sent]:
    random = Random(0)
    sent: dict[str, Sent] = {}
    while time.monotonic() < until:
        batch = _batch(random, len(sent))
        assert store.intake.accept(batch)
        sent[batch.id] = Sent(batch.task, ROWS)
        timeline = store.timeline()
        if timeline.live is not None and random.random() < PROMOTED_SHARE:
            with suppress(Conflict):  # promoting what is live no longer would be a rollback
                store.promote(timeline.live, "operator", after=timeline.head)
        if len(sent) % 100 == 0:
            say(f"{len(sent)} batches, version {store.timeline().head}")
        time.sleep(BATCH_SECONDS)
    return sent


def _batch(random: Random, number: int) -> Batch:
    lesson = random.choice(lessons())
    chosen = random.sample(lesson.train, ROWS)
    rows = tuple(Example(f"{text} ({number})", label) for text, label in chosen)
    return as_batch(StreamTask(lesson.name, rows, ()))


def _until_all_began(store: Store, processes: Sequence[BaseProcess]) -> None:
    """Until each learner has fenced the others off once. Raises RuntimeError where one fails."""
    began: set[str] = set()
    seen = 0
    deadline = time.monotonic() + SETTLE_SECONDS
    while len(began) < len(processes):
        if time.monotonic() > deadline or not all(process.is_alive() for process in processes):
            raise RuntimeError(f"of {len(processes)} learners {sorted(began)} began")
        while seen < store.timeline().head:
            seen += 1
            began.add(store.manifest(seen).writer)
        time.sleep(BATCH_SECONDS)


def _until_settled(store: Store, processes: Sequence[BaseProcess]) -> None:
    """Until nothing is pending or nobody learns; what never settles is counted as lost."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while store.intake.pending() and time.monotonic() < deadline:
        if not any(process.is_alive() for process in processes):
            return
        time.sleep(BATCH_SECONDS)
