"""Versions that may be served in int8 and those that may not: each by its own engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backbones import Bank, Input, LayerStates, Preprocessed, load
from backbones.arrays import Rows
from prompt_store import Int8Verdict, Store
from serving.forward import ForwardPass, Slice, Work
from serving.metrics import PrometheusMetrics
from serving.precision import Engines, load_engines
from serving.problems import Problem
from serving.service import Service
from serving.settings import Settings
from serving.snapshot import SnapshotLoader
from tests.backbones.models import SUPPORTED, save
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, publish
from tests.serving.running import running

ENGINE = "bag-of-words-int8"
ACCEPTED = Int8Verdict(accepted=True, reason="as good", engine=ENGINE, rows=300)
REFUSED = Int8Verdict(accepted=False, reason="worse", engine=ENGINE, rows=300)
ELSEWHERE = Int8Verdict(accepted=True, reason="as good there", engine="other", rows=300)


class Counted(BagOfWords):
    """Notes the inputs of each pass."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(fingerprint)
        self.sizes: list[int] = []

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        self.sizes.append(len(batch))
        return super().encode_layers(batch, bank, rows)


@pytest.fixture
def int8() -> Counted:
    return Counted(ENGINE)


@pytest.mark.parametrize(
    ("verdict", "precision", "reason"),
    [
        (ACCEPTED, "int8", "as good"),
        (REFUSED, "fp32", "int8 was refused: worse"),
        (ELSEWHERE, "fp32", "int8 was judged on another processor"),
        (None, "fp32", "the learner has not judged int8 on it yet"),
    ],
)
def test_info_and_the_version_say_what_is_served_and_why(
    store: Store,
    backbone: BagOfWords,
    int8: Counted,
    serve: Serve,
    verdict: Int8Verdict | None,
    precision: str,
    reason: str,
) -> None:
    publish(store, backbone, MAIL, int8=verdict)
    client = serve(store, backbone, int8=int8).client
    info = client.get("/v1/info").json()
    assert info["precision"] == precision
    assert info["precision_reason"].startswith(reason)
    told = client.get("/v1/versions/1").json()["int8"]
    assert told == (None if verdict is None else verdict.model_dump(mode="json"))


def test_without_int8_a_verdict_changes_nothing(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL, int8=ACCEPTED)
    info = serve(store, backbone).client.get("/v1/info").json()
    assert (info["precision"], info["precision_reason"]) == ("fp32", "int8 was not asked for")


def test_a_swap_changes_the_engine_with_the_version(
    store: Store, int8: Counted, serve: Serve
) -> None:
    fp32 = Counted("bag-of-words")
    publish(store, fp32, MAIL, int8=ACCEPTED)
    running = serve(store, fp32, int8=int8)

    def asked() -> tuple[int, int]:
        """Passes of fp32 and int8 for one more request."""
        before = len(fp32.sizes), len(int8.sizes)
        answer = running.client.post("/v1/classify", json={"inputs": "where is my parcel"})
        assert answer.json()["results"][0]["predictions"][0]["label"] == "delivery"
        return len(fp32.sizes) - before[0], len(int8.sizes) - before[1]

    assert asked() == (0, 1)
    running.reach(publish(store, fp32, BOTH, int8=REFUSED).version)
    assert asked() == (1, 0)
    running.reach(publish(store, fp32, BOTH, int8=ACCEPTED).version)
    assert asked() == (0, 1)


def test_in_bf16_torch_serves_everything(store: Store, tmp_path: Path) -> None:
    folder = str(save(SUPPORTED["bert"], tmp_path))
    engines = load_engines(Settings(backbone=folder, precision="bf16", threads=1))
    fp32 = load(folder, threads=1)
    publish(store, fp32, {"size": {"small": ["small red"], "large": ["large blue"]}})
    with running(Service(store, engines, Settings(), PrometheusMetrics())) as server:
        info = server.client.get("/v1/info").json()
        answer = server.client.post("/v1/classify", json={"inputs": ["large blue"]}).json()
    assert (info["runtime"], info["precision"]) == ("torch", "bf16")
    assert info["device"] == str(fp32.device)
    assert (info["runtime_reason"], info["runtime_milliseconds"]) == ("precision bf16 needs it", {})
    assert answer["results"][0]["predictions"][0]["label"] == "large"
    batch = fp32.preprocess([Input("large blue")])
    assert not np.array_equal(engines.usual.encode(batch), fp32.encode(batch))


def test_a_batch_of_both_kinds_takes_a_pass_of_each_engine(store: Store, int8: Counted) -> None:
    fp32 = Counted("bag-of-words")
    verdicts = (ACCEPTED, REFUSED, ACCEPTED, None)
    versions = [publish(store, fp32, BOTH, int8=one).version for one in verdicts]
    loader = SnapshotLoader(store, fp32)
    inputs = [Input(text="so happy"), Input(text="so angry")]
    work, unknown = (Work(inputs, fp32.preprocess(inputs), task) for task in (None, "nowhere"))
    slices = [Slice(work, loader.load(version), np.arange(2)) for version in versions]
    slices.append(Slice(unknown, slices[0].snapshot, np.arange(2)))
    fp32.sizes.clear()
    *answers, problem = ForwardPass(Engines(fp32, int8))(slices)
    assert (fp32.sizes, int8.sizes) == ([4], [4])
    assert isinstance(problem, Problem)
    labels = [[one.predictions[0].label for one in results] for results in answers]  # type: ignore[union-attr]
    assert labels == [["glad", "cross"]] * 4
