"""What each racing process does: learns, and takes over again as soon as it was fenced off."""

from __future__ import annotations

import time
from multiprocessing.synchronize import Event
from random import Random

from backbones import load
from learner.build import build_learner
from learner.config import LearnerConfig
from learner.errors import Superseded
from learner.gate import GateConfig
from learner.loop import Learner
from learner.methods.config import AutoConfig
from prompt_store import Kind, Store, Unavailable

NOT_LEARNT = (Kind.FENCE, Kind.PROMOTE)
CONFIG = LearnerConfig(
    auto=AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2),
    gate=GateConfig(mode="open"),
    keep_per_class=4,
)
"""Short trainings whose candidates all go live: what is learnt is not the question here."""
IDLE_SECONDS = 0.05
BLIND_SHARE = 0.25
"""Of the takeovers, that wait for nothing. Before the others whoever fenced this learner off has
committed: else learners on a busy machine would do nothing but fence each other off."""
LONGEST_WAIT_SECONDS = 60


def contend(url: str, backbone: str, writer: str, stop: Event) -> None:
    """Until `stop`."""
    random = Random(writer)
    store = Store.open(url)
    sees = load(backbone, threads=1, prompted_layers=1, precision="fp32")
    while not stop.is_set():
        learner = build_learner(store, sees, CONFIG, writer=writer, stopping=stop.is_set)
        try:
            _learn(learner, stop)
        except (Superseded, Unavailable):
            if random.random() > BLIND_SHARE:
                _until_others_commit(store, stop)


def _until_others_commit(store: Store, stop: Event) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    learnt = _last_learnt(store)
    while not stop.is_set() and time.monotonic() < deadline and _last_learnt(store) == learnt:
        stop.wait(IDLE_SECONDS)


def _last_learnt(store: Store) -> int:
    """The newest version that a learner made, fences aside."""
    head = store.timeline().head
    of_learners = (m.version for m in store.log.kept(head) if m.kind not in NOT_LEARNT)
    return next(of_learners, 0)


def _learn(learner: Learner, stop: Event) -> None:
    learner.start()
    while not stop.is_set():
        if not learner.step():
            stop.wait(IDLE_SECONDS)
