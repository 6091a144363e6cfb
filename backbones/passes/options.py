"""What a caller may choose about any torch backbone, and what the machine makes of it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch

from backbones.errors import UnsupportedModel

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
Precision: TypeAlias = Literal["auto", "fp32", "bf16"]


def torch_device(name: Device) -> torch.device:
    """The device of a name. Raises UnsupportedModel where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UnsupportedModel("device 'cuda' was asked for, and torch sees none; use 'cpu'")
    return torch.device(name)


def trains_in_half(precision: Precision, device: torch.device) -> bool:
    """Whether training computes in bf16."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return cpu_has_bf16()


def cpu_has_bf16() -> bool:
    """True where this CPU multiplies bf16 in hardware (AMX or AVX512-BF16)."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def how_many_prompted(layers: int, usual: int, asked: int | None) -> int:
    """How many upper layers see prefixes: those asked for, else the modality's usual number.

    Raises UnsupportedModel.
    """
    prompted = max(1, usual) if asked is None else asked
    if not 1 <= prompted <= layers:
        raise UnsupportedModel(f"prompted_layers must be 1 to {layers}, is {prompted}")
    return prompted
