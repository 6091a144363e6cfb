"""What each racing process does: learns, and takes over again as soon as it was fenced off."""

from __future__ import annotations

from multiprocessing.synchronize import Event
from random import Random

from backbones import load
from learner.build import build_learner
from learner.config import LearnerConfig
from learner.errors import Superseded
from learner.gate import GateConfig
from learner.loop import Learner
from learner.methods.config import AutoConfig
from prompt_store import Store, Unavailable

CONFIG = LearnerConfig(
    auto=AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2),
    gate=GateConfig(mode="open"),
    keep_per_class=4,
)
"""Short trainings whose candidates all go live: what is learnt is not the question here."""
IDLE_SECONDS = 0.05


def contend(url: str, backbone: str, writer: str, pause: float, stop: Event) -> None:
    """Until `stop`. pause: mean seconds for which one that was fenced off leaves the store alone"""
    random = Random(writer)
    store = Store.open(url)
    sees = load(backbone, threads=1, prompted_layers=1, precision="fp32")
    while not stop.is_set():
        learner = build_learner(store, sees, CONFIG, writer=writer, stopping=stop.is_set)
        try:
            _learn(learner, stop)
        except (Superseded, Unavailable):
            stop.wait(random.uniform(0, 2 * pause))


def _learn(learner: Learner, stop: Event) -> None:
    learner.start()
    while not stop.is_set():
        if not learner.step():
            stop.wait(IDLE_SECONDS)
