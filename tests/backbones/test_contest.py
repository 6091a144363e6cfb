"""The fastest engine: chosen by a clock, and in what is asked of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backbones import Bank, LayerStates, Preprocessed, SourceError, choose_to_serve, gpu, load
from backbones.arrays import Rows
from backbones.contest import INPUTS, fastest
from tests.backbones.vision.models import timm_vit
from tests.serving.bag_of_words import BagOfWords


class Clock:
    """Goes on only while an engine computes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Timed(BagOfWords):
    """Its passes take these seconds of a clock, one after the other."""

    def __init__(self, runtime: str, clock: Clock, seconds: list[float]) -> None:
        super().__init__()
        self.runtime = runtime
        self.left: Iterator[float] = iter(seconds)
        self.clock = clock

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        assert (len(batch), bank is None) == (INPUTS, False)
        self.clock.seconds += next(self.left)
        return super().encode_layers(batch, bank, rows)


def test_the_quickest_round_counts_and_the_first_pass_does_not() -> None:
    clock = Clock()
    slow = Timed("a", clock, [0.001, 0.04, 0.04, 0.04, 0.04, 0.04])
    fast = Timed("b", clock, [9.0, 0.05, 0.05, 0.03, 0.05, 0.05])
    chosen = fastest([slow, fast], clock)
    assert chosen.backbone is fast
    assert chosen.milliseconds == {"a": 40, "b": 30}
    assert chosen.reason == "the fastest of a and b at start"


def test_slow_engines_get_one_round() -> None:
    clock = Clock()
    engines = [Timed("a", clock, [2, 1]), Timed("b", clock, [2, 2.5])]  # a third would not be there
    assert fastest(engines, clock).milliseconds == {"a": 1000, "b": 2500}


def test_images_are_timed_however_small_they_must_be(tmp_path: Path) -> None:
    vit = load(str(timm_vit(tmp_path)), device="cpu", threads=1, max_pixels=1)
    assert fastest([vit]).milliseconds["torch"] > 0


def test_who_asks_for_an_engine_gets_it_untimed(folders: dict[str, Path]) -> None:
    chosen = choose_to_serve(str(folders["bert"]), runtime="torch", threads=1)
    assert (chosen.backbone.runtime, chosen.reason) == ("torch", "torch was asked for")
    assert chosen.milliseconds == {}


def test_what_no_engine_can_load_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no model\*\.safetensors"):
        choose_to_serve(str(tmp_path), runtime="fastest")


def test_a_gpu_that_onnx_runtime_cannot_use_is_torchs(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from backbones import engines

    monkeypatch.setattr(gpu, "visible", lambda: True)
    monkeypatch.setattr(engines, "_onnx_uses_it", lambda: False)
    chosen = choose_to_serve(str(folders["bert"]), threads=1)
    assert chosen.backbone.runtime == "torch"
    assert chosen.reason == "there is a GPU, and ONNX Runtime cannot use it"


def test_a_gpu_is_seen_by_its_device_unless_it_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidiactl").touch()
    assert not gpu.visible(tmp_path)
    (tmp_path / "nvidia3").touch()
    assert gpu.visible(tmp_path)
    for value, seen in (("3", True), ("", False), ("-1", False)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert gpu.visible(tmp_path) == seen
