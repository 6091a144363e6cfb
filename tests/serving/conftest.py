"""Fixtures: a store, a backbone, and servers made of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backbones import Backbone
from prompt_store import Store
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.service import Service
from serving.settings import Settings
from tests.serving.bag_of_words import BagOfWords, HeldBagOfWords
from tests.serving.image_calls import LIMITS
from tests.serving.pictures import TONES
from tests.serving.publishing import MAIL, publish
from tests.serving.running import Running, running

if TYPE_CHECKING:
    from backbones.vision.backbone import TorchVisionBackbone

QUICK = {"versions_seconds": 0.05, "heartbeat_seconds": 0.2}

Serve = Callable[..., Running]


@pytest.fixture(params=["memory", "local"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    return Store.open(tmp_path / "store" if request.param == "local" else _memory())


@pytest.fixture
def store() -> Store:
    """An empty store in memory."""
    return Store.open(_memory())


def _memory() -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def backbone() -> BagOfWords:
    return BagOfWords()


@pytest.fixture
def held() -> Iterator[HeldBagOfWords]:
    """A backbone whose passes can be held; let go at the end."""
    backbone = HeldBagOfWords()
    yield backbone
    backbone.release()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers on a store and a backbone, with settings by name; stops them at the end."""
    with ExitStack() as stack:

        def start(
            store: Store,
            backbone: Backbone,
            *,
            int8: Backbone | None = None,
            ready: bool = True,
            hooks: dict[str, Any] | None = None,
            **settings: Any,
        ) -> Running:
            chosen = Settings(**{"polling": QUICK, **settings})
            engines = Engines(backbone, int8)
            service = Service(store, engines, chosen, PrometheusMetrics(), **(hooks or {}))
            return stack.enter_context(running(service, ready=ready))

        yield start


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> TorchVisionBackbone:
    """A small vision transformer with random weights."""
    from tests.backbones.vision.conftest import load_vision
    from tests.backbones.vision.models import timm_vit

    return load_vision(timm_vit(tmp_path_factory.mktemp("served")))


@pytest.fixture(scope="module")
def seeing(vit: TorchVisionBackbone) -> Iterator[Running]:
    """A server that knows `TONES`, with small limits. All tests of a module share it."""
    store = Store.open(_memory())
    publish(store, vit, TONES)
    settings = Settings(limits=LIMITS)
    with running(Service(store, Engines(vit), settings, PrometheusMetrics())) as server:
        yield server


@pytest.fixture
def busy(store: Store, held: HeldBagOfWords, serve: Serve) -> Running:
    """A server whose queue holds 10 inputs and whose passes take 8, now held in one of them."""
    publish(store, held, MAIL)
    running = serve(store, held, limits={"queue_depth": 10}, batching={"inputs": 8, "tokens": 1000})
    held.hold()
    return running
