"""A toy vision transformer, pre-trained on letters here and now, for machines that have no better.

It knows nothing of the world but letters, so it is good for the demo and for nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from backbones._torchvision import define_missing_operators
from benchmarks.demo.handwriting import as_seen, handwritten
from benchmarks.demo.letters import ALPHABET, letters

ARCHITECTURE: Final = "vit_tiny_patch16_224"
SIDE: Final = 32
"""Pixels of a side that it sees."""
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_BATCH: Final = 128
_SHAPE: Final[dict[str, Any]] = {
    "img_size": SIDE,
    "patch_size": 8,
    "embed_dim": 64,
    "depth": 3,
    "num_heads": 2,
    "mlp_ratio": 2,
    "class_token": False,
    "global_pool": "avg",
}
_SEEN_AS: Final[dict[str, Any]] = {
    "input_size": [3, SIDE, SIDE],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "crop_pct": 1.0,
    "num_classes": 0,
}
_MATRIX_RATE: Final = 0.02
_RATE: Final = 3e-3
_DECAY: Final = 0.01
_WARM_UP: Final = 0.1  # share of the steps
_SMOOTHING: Final = 0.1

OnStep = Callable[[], None]


def is_there(folder: Path, seed: int, steps: int) -> bool:
    """Whether the folder holds this very model, whole."""
    config, weights = folder / _CONFIG, folder / _WEIGHTS
    if not (config.is_file() and weights.is_file()):
        return False
    return config.read_text() == _config(seed, steps)


def make(folder: Path, seed: int, steps: int, on_step: OnStep) -> None:
    """Pre-train the model and save it as timm does for the Hub; `backbones.load` reads it.

    steps: of 128 letters each;  on_step: called after each of them
    """
    from safetensors.torch import save_file

    model = _pretrained(seed, steps, on_step)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).unlink(missing_ok=True)
    save_file(model.state_dict(), folder / _WEIGHTS)
    (folder / _CONFIG).write_text(_config(seed, steps))


def _config(seed: int, steps: int) -> str:
    """The JSON of config.json; written last, it also says that the rest is there."""
    content = {
        "architecture": ARCHITECTURE,
        "model_args": {**_SHAPE, "num_classes": 0},
        "pretrained_cfg": _SEEN_AS,
        "pretraining": {"letters": ALPHABET, "seed": seed, "steps": steps},
    }
    return json.dumps(content, indent=2)


def _pretrained(seed: int, steps: int, on_step: OnStep) -> Any:
    """Without its classifier of letters."""
    draw, model, drawn = torch.Generator().manual_seed(seed), _untrained(seed), letters()
    ink, classes = torch.from_numpy(drawn.ink)[:, None], torch.from_numpy(drawn.classes)
    schedules = [LambdaLR(one, lambda step: _share(step, steps)) for one in _optimisers(model)]
    for _ in range(steps):
        rows = torch.randint(len(ink), (_BATCH,), generator=draw)
        loss = _loss(model, as_seen(handwritten(ink[rows], draw), SIDE), classes[rows])
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for schedule in schedules:
            schedule.optimizer.step()
            schedule.step()
        on_step()
    model.reset_classifier(0)
    return model


def _untrained(seed: int) -> Any:
    define_missing_operators()
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model(ARCHITECTURE, num_classes=len(ALPHABET), **_SHAPE)


def _loss(model: nn.Module, pixels: Tensor, classes: Tensor) -> Tensor:
    return functional.cross_entropy(model(pixels), classes, label_smoothing=_SMOOTHING)


def _optimisers(model: nn.Module) -> tuple[Optimizer, Optimizer]:
    """Muon for the blocks' matrices, in which it needs a fraction of AdamW's steps; AdamW else."""
    named = list(model.named_parameters())
    is_matrix = [name.startswith("blocks.") and one.ndim == 2 for name, one in named]
    matrices = [one for (_, one), matrix in zip(named, is_matrix, strict=True) if matrix]
    others = [one for (_, one), matrix in zip(named, is_matrix, strict=True) if not matrix]
    return (
        Muon(matrices, lr=_MATRIX_RATE, weight_decay=_DECAY),
        AdamW(others, lr=_RATE, weight_decay=_DECAY),
    )


def _share(step: int, steps: int) -> float:
    """Of the learning rate: a linear rise, then a linear fall to nought."""
    return min((step + 1) / (_WARM_UP * steps), (steps - step) / ((1 - _WARM_UP) * steps))
