"""int8 is judged on kept examples: accepted where it is as good, refused where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from backbones import Backbone, Bank, LayerStates, Preprocessed, in_int8
from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from learner import int8 as judging
from learner.build import build_learner
from learner.config import LearnerConfig
from learner.loop import Learner
from prompt_store import Batch, Example, Int8Verdict, Kind, Manifest, Store
from tests.backbones.models import SUPPORTED, WORDS, save
from tests.learner.conftest import batch, quick, run_dry

pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
pytest.importorskip("backbones.onnx.backbone", reason="needs onnxruntime")

from backbones.onnx.backbone import OnnxBackbone
from backbones.onnx.export import export

pytestmark = pytest.mark.slow

COLOURS, SIZES = ("red", "green", "blue", "old"), ("small", "large", "round", "flat")
OTHERS = [word for word in WORDS if word not in COLOURS + SIZES]


def quantised(backbone: TorchTextBackbone, folder: Path) -> Backbone:
    export(backbone, folder)
    return in_int8(OnnxBackbone.load(folder, "int8", threads=1))


@pytest.fixture(scope="module")
def int8(tiny: TorchTextBackbone, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return quantised(tiny, tmp_path_factory.mktemp("tiny-int8"))


def easy(task: str, labels: tuple[str, ...] = COLOURS, rows: int = 60) -> Batch:
    """Each text holds its label's name twice."""
    texts = {
        label: [f"{OTHERS[i % 7]} {label} {label} {OTHERS[i // 7 % 7]}" for i in range(rows)]
        for label in labels
    }
    examples = tuple(
        Example(id=f"{label}-{i}", label=label, text=text)
        for label, some in texts.items()
        for i, text in enumerate(some)
    )
    return batch(task, labels).model_copy(update={"examples": examples})


def taught(store: Store, learner: Learner, *batches: Batch) -> Manifest:
    """The live version after some batches, one after the other."""
    for one in batches:
        store.intake.accept(one)
        run_dry(learner)
    return store.manifest(store.timeline().live or 0)


def verdict_of(version: Manifest) -> Int8Verdict:
    assert version.int8 is not None
    return version.int8


def noted(int8: Backbone, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Of every look from here on: at how many examples, and whether under a prompt."""
    looks: list[tuple[int, bool]] = []
    look = int8.encode_layers

    def note(batch: Preprocessed, bank: Bank | None) -> LayerStates:
        looks.append((len(batch), bank is not None))
        return look(batch, bank)

    monkeypatch.setattr(int8, "encode_layers", note)
    return looks


Judging = Callable[..., Learner]


@pytest.fixture
def judging_on(tiny: TorchTextBackbone, int8: Backbone) -> Judging:
    """`judging_on(store, …)`: a started learner with the tiny backbone and its int8 engine."""

    def make(store: Store, config: LearnerConfig | None = None) -> Learner:
        learner = build_learner(store, tiny, config or quick(method="frozen"), int8=int8)
        learner.start()
        return learner

    return make


def test_what_is_learnt_goes_live_first_and_is_judged_by_a_version_of_its_own(
    store: Store, judging_on: Judging, int8: Backbone
) -> None:
    live = taught(store, judging_on(store), easy("mail"))
    verdict, learnt = verdict_of(live), store.manifest(live.version - 1)
    assert verdict.accepted, verdict.reason
    assert verdict.engine == int8.description.fingerprint
    assert (verdict.rows, verdict.agreement, verdict.accuracy["fp32"]) == (240, 1, 1)
    assert (learnt.int8, learnt.kind, len(learnt.batches)) == (None, Kind.REFRESH, 1)
    assert (live.parent, live.batches, live.blobs) == (learnt.version, (), learnt.blobs)
    assert store.promote(learnt.version, "test").int8 is None
    assert store.promote(live.version, "test").int8 == verdict
    head = store.timeline().head
    assert not judging_on(store).step()  # a successor finds it judged
    assert store.timeline().head == head + 1  # its fence


def test_int8_looks_at_each_example_once_some_at_a_time(
    store: Store, judging_on: Judging, int8: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "LOOK", 100)
    looks = noted(int8, monkeypatch)
    learner = judging_on(store)
    taught(store, learner, easy("mail"))
    assert looks == [(100, False), (100, False), (40, False)]
    live = taught(store, learner, easy("room", SIZES, rows=20))
    assert looks[3:] == [(80, False)]
    assert verdict_of(live).rows == 320


@pytest.mark.parametrize(
    ("rows", "retain", "reason"), [(49, "k", "196 examples"), (60, "none", "0 examples")]
)
def test_few_examples_or_none_are_a_refusal(
    store: Store, judging_on: Judging, rows: int, retain: str, reason: str
) -> None:
    config = quick(method="frozen", retain=retain)
    verdict = verdict_of(taught(store, judging_on(store, config), easy("mail", rows=rows)))
    assert not verdict.accepted
    assert verdict.reason == f"{reason} to judge it by, 200 are needed"


@pytest.mark.parametrize("method", ["q-tuning", "auto"])
def test_versions_with_prompts_and_routes_are_judged_under_them(
    store: Store,
    judging_on: Judging,
    int8: Backbone,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """q-tuning serves an aggregate; auto a prompt for each of two domains, and a router."""
    apart = {"declared_domains": {"mail": "a", "room": "b"}} if method == "auto" else {}
    config = quick(gate="open", method=method, minimum_rows=8, **apart)
    looks = noted(int8, monkeypatch)
    live = taught(store, judging_on(store, config), easy("mail"), easy("room", SIZES))
    assert sum(rows for rows, prompted in looks if prompted) >= 480
    roles = [role for role in live.blobs if role.startswith("prefix/domain/")]
    assert (len(roles), "router" in live.blobs) == ((2, True) if apart else (1, False))
    verdict = verdict_of(live)
    assert verdict.rows == 480
    assert (verdict.agreement or 0) > 0.9
    assert verdict.accuracy["fp32"] > 0.8


def test_a_backbone_that_rounds_badly_is_refused(store: Store, tmp_path: Path) -> None:
    """A huge column that no weight looks at leaves all others without a step of their own."""
    folder = save(_with_huge_columns, tmp_path)
    backbone = load(str(folder), device="cpu", threads=1, prompted_layers=2, precision="fp32")
    (tmp_path / "graph").mkdir()
    int8 = quantised(backbone, tmp_path / "graph")
    learner = build_learner(store, backbone, quick(method="frozen"), int8=int8)
    learner.start()
    verdict = verdict_of(taught(store, learner, easy("mail")))
    assert not verdict.accepted
    assert verdict.accuracy["fp32"] > 0.9
    assert verdict.accuracy["int8"] < verdict.accuracy["fp32"] - 0.1
    assert "more than 0.5 points less" in verdict.reason


def _with_huge_columns() -> Any:
    model = SUPPORTED["bert"]()
    with torch.no_grad():
        for layer in model.encoder.layer:
            value, output = layer.attention.self.value, layer.attention.output.dense
            for made, looked_at in (
                (value, output),
                (layer.intermediate.dense, layer.output.dense),
            ):
                made.weight[0], made.bias[0] = 0.0, 1e5
                looked_at.weight[:, 0] = 0.0
    return model


def test_an_engine_that_fails_is_a_refusal_and_stops_nothing(
    store: Store, judging_on: Judging, int8: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(int8, "encode_layers", fails)
    live = taught(store, judging_on(store), easy("mail"))
    assert verdict_of(live).reason == "it could not be tried: RuntimeError: no such kernel"


def test_a_version_that_changes_nothing_is_not_judged_again(
    store: Store, judging_on: Judging, tiny: TorchTextBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def live() -> Manifest:
        return store.manifest(store.timeline().live or 0)

    learner = judging_on(store, quick())
    store.intake.accept(easy("mail"))
    while learner.step() and live().int8 is None:
        pass
    verdict = verdict_of(live())
    monkeypatch.setattr(tiny, "features", None)  # no prompt can be trained
    for _ in range(2):
        with pytest.raises(TypeError):
            learner.step()
    run_dry(learner)
    assert "training failed" in (live().gate or {})["reason"]
    assert live().int8 == verdict
