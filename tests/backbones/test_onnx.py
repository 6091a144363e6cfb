"""Every supported architecture, exported: the ONNX engine computes what the torch engine does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from backbones import Bank, Input, Router, SourceError, UnsupportedModel, gpu, load, load_to_serve
from backbones.checks import check_backbone, check_same, random_bank, random_prefix
from backbones.engines import Runtime
from backbones.onnx.cache import _digest, exported
from backbones.sources import find
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS

pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
pytest.importorskip("backbones.onnx.backbone", reason="needs onnxruntime")

import onnxruntime

from backbones.onnx.backbone import OnnxBackbone
from backbones.onnx.export import export
from backbones.onnx.exported import Exported
from backbones.onnx.feed import BankFeed
from backbones.onnx.session import Session

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "packed"),
    [("bert", True), ("roberta", True), ("distilbert", False), ("modernbert", False)],
)
def test_a_text_backbone_computes_the_same(
    folders: dict[str, Path], tmp_path: Path, kind: str, packed: bool
) -> None:
    backbone = load(str(folders[kind]), device="cpu", threads=1, precision="fp32")
    export(backbone, tmp_path)
    engine = OnnxBackbone.load(tmp_path, "exported", threads=1)
    check_backbone(engine, INPUTS)
    check_same(backbone, engine, [*INPUTS, Input("red <pad> green"), Input("<pad>", "<pad> old")])
    batch = backbone.preprocess(INPUTS)
    fed = Exported.load(tmp_path).reader.fed(batch, np.arange(len(batch)))
    tokens = int(batch.lengths.sum()) if packed else len(batch) * int(batch.lengths.max())
    assert fed["input_ids"].size == tokens


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx-cache")


def test_a_process_that_serves_imports_no_torch(
    tmp_path: Path, cache: Path, folders: dict[str, Path], bert: TorchTextBackbone
) -> None:
    script = """
import sys
from pathlib import Path
from backbones import Input, load_to_serve

backbone = load_to_serve(sys.argv[1], cache=Path(sys.argv[2]), runtime="onnx", threads=1)
print(backbone.runtime, backbone.description.fingerprint, "torch" in sys.modules)
print(*backbone.encode(backbone.preprocess([Input("red green")]))[0].tolist())
"""
    command = [sys.executable, "-c", script, str(folders["bert"]), str(cache)]
    for _ in range(2):  # exported, then found
        variables = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "c")}
        variables.pop("ORT_DISABLE_TELEMETRY", None)
        said = subprocess.run(
            command, check=True, capture_output=True, text=True, env=variables
        ).stdout
        first, second = said.splitlines()
        assert first == f"onnx {bert.description.fingerprint} False"
        features = np.array([float(number) for number in second.split()])
        expected = bert.encode(bert.preprocess([Input("red green")]))[0]
        np.testing.assert_allclose(features, expected, atol=1e-5)
    assert not list(tmp_path.rglob("*Microsoft*"))  # where ONNX Runtime's telemetry keeps its id
    (kept,) = (folder for folder in cache.iterdir() if folder.is_dir())
    assert sorted(path.name for path in kept.iterdir()) == [
        "backbone.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_what_cannot_be_exported_leaves_nothing_behind(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    cache, nothing = tmp_path / "cache", tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(SourceError, match=r"no model\*\.safetensors"):
        exported(find(str(nothing)), {}, cache)
    with pytest.raises(UnsupportedModel, match="prompted_layers must be 1 to 4"):
        exported(find(str(folders["bert"])), {"prompted_layers": 99}, cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(("runtime", "found"), [("torch", "torch"), ("onnx", "onnx")])
def test_the_runtime_can_be_chosen(
    cache: Path, folders: dict[str, Path], runtime: Runtime, found: str
) -> None:
    engine = load_to_serve(str(folders["bert"]), runtime=runtime, cache=cache, threads=1)
    assert engine.runtime == found


@pytest.mark.skipif(gpu.visible(), reason="with a GPU, auto is another choice")
def test_a_damaged_export_is_named_and_not_served_from(
    cache: Path, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = exported(find(str(folders["bert"])), {}, cache)
    graph = folder / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    try:
        with pytest.raises(UnsupportedModel, match="remove that folder") as refused:
            load_to_serve(str(folders["bert"]), runtime="onnx", cache=cache)
        assert str(folder) in str(refused.value)
        assert load_to_serve(str(folders["bert"]), cache=cache, threads=1).runtime == "torch"
        assert "serving with torch instead of ONNX Runtime" in caplog.text
    finally:
        graph.write_bytes(whole)


def test_an_export_ends_with_who_asked_for_it_and_the_next_one_sweeps(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    script = "import sys; from pathlib import Path; from backbones import load_to_serve\n"
    script += "load_to_serve(sys.argv[1], cache=Path(sys.argv[2]), runtime='onnx')"
    command = [sys.executable, "-c", script, str(folders["bert"]), str(tmp_path)]
    asking = subprocess.Popen(command)
    while not (begun := list(tmp_path.glob(".begun-*"))):
        time.sleep(0.02)
    children = psutil.Process(asking.pid).children()
    asking.kill()
    asking.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert begun[0].exists()
    folder = exported(find(str(folders["bert"])), {}, tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]


def test_what_decides_a_graph_decides_where_it_is_kept(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    def digest(folder: Path) -> str:
        return _digest(find(str(folder)), {})

    copy = shutil.copytree(folders["bert"], tmp_path / "copy")
    assert digest(copy) == digest(folders["bert"])
    pixels = copy / "preprocessor_config.json"
    pixels.write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    first = digest(copy)
    pixels.write_text('{"image_mean": [0.1, 0.1, 0.1]}')
    assert len({digest(folders["bert"]), first, digest(copy)}) == 3
    (copy / "config.json").unlink()
    other = shutil.copytree(copy, tmp_path / "other")
    assert digest(copy) != digest(other)  # the name of the folder is all that tells the model


def test_a_bank_that_lies_on_the_device_is_seen_like_arrays(
    cache: Path, folders: dict[str, Path]
) -> None:
    folder = exported(find(str(folders["bert"])), {}, cache)
    engine = OnnxBackbone.load(folder, "bert", threads=1)
    session, about = Session(folder / "model.onnx", 1, "cpu"), engine.description
    bank, batch = random_bank(about, 3), engine.preprocess(INPUTS)
    rows = np.arange(len(batch)) % len(bank)
    inputs = Exported.load(folder).reader.fed(batch, np.arange(len(batch)))
    lying = BankFeed(bank, about, onnxruntime.OrtValue.ortvalue_from_numpy)
    arrays = BankFeed(bank, about, session.kept).arrays(rows)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    seen = [
        session.run({**inputs, "rows": rows, **fed}, large=False)
        for fed in (arrays, lying.arrays(rows), lying.arrays(rows))
    ]
    for states, taken in seen:
        assert np.array_equal(states, seen[0][0])
        assert taken.tolist() == rows.tolist()
    first, again = lying.arrays(rows), lying.arrays(rows)
    assert all(first[name] is again[name] for name in first)  # nothing is copied twice


def test_only_the_rows_that_a_pass_can_reach_are_fed(bert: TorchTextBackbone) -> None:
    about = bert.description
    router = Router(
        np.zeros((about.first_prompted + 1, about.width, 2), np.float32),
        np.zeros(2, np.float32),
        np.array([0, 2]),
    )
    prefixes = [random_prefix(about, length, 1) for length in (2, 50, 4, 0)]
    feed = BankFeed(replace(Bank.stack(prefixes), routers=(router,)), about, kept=np.asarray)
    for rows, longest in (([0], 2), ([3], 1), ([0, 2], 4), ([-1, 0], 4), ([1, -1], 50)):
        arrays = feed.arrays(np.array(rows))
        assert arrays["keys_values"].shape[4] == arrays["bias"].shape[3] == longest
        assert arrays["targets"].tolist() == [0, 2]
