"""Which engine computes a version's passes: the usual one, or int8 where that was found as good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from backbones import Backbone, choose_to_serve, in_bf16, in_int8, load_to_serve
from backbones.engines import Precision
from prompt_store import Manifest
from serving.cores import encoder_threads
from serving.settings import RUNTIME_OF, ImageOptions, Settings


class Choice(NamedTuple):
    """What computes, and why."""

    precision: Precision
    reason: str
    backbone: Backbone


@dataclass(frozen=True)
class Engines:
    """The usual one, which also reads the inputs of both; and int8 where it was asked for.

    precision: of the usual one;  reason, milliseconds: why it runs on what it does, as of `Chosen`
    """

    usual: Backbone
    int8: Backbone | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    reason: str = "it was given"
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    def choose(self, version: Manifest | None) -> Choice:
        """What computes a version; None: nothing has been learnt yet."""
        if self.precision == "bf16":
            return Choice("bf16", "bf16 was asked for", self.usual)
        if self.int8 is None:
            return Choice("fp32", "int8 was not asked for", self.usual)
        if version is None:
            return Choice("fp32", "nothing has been learnt yet", self.usual)
        verdict = version.int8
        if verdict is None:
            return Choice("fp32", "the learner has not judged int8 on it yet", self.usual)
        if verdict.engine != self.int8.description.fingerprint:
            reason = "int8 was judged on another processor, or by another ONNX Runtime, than here"
            return Choice("fp32", reason, self.usual)
        if not verdict.accepted:
            return Choice("fp32", f"int8 was refused: {verdict.reason}", self.usual)
        return Choice("int8", verdict.reason, self.int8)


def load_engines(settings: Settings) -> Engines:
    """What the settings ask for. Raises SourceError, UnsupportedModel."""
    needed = RUNTIME_OF.get(settings.precision)
    chosen = choose_to_serve(
        settings.backbone,
        runtime=needed or settings.runtime,
        threads=encoder_threads(settings.threads),
        **settings.image_options(),
    )
    reason = f"precision {settings.precision} needs it" if needed else chosen.reason
    if settings.precision == "bf16":
        return Engines(in_bf16(chosen.backbone), precision="bf16", reason=reason)
    int8 = in_int8(chosen.backbone) if settings.precision == "int8" else None
    return Engines(chosen.backbone, int8, reason=reason, milliseconds=chosen.milliseconds)


def load_int8(backbone: str, threads: int, image_options: ImageOptions) -> Backbone:
    """What a learner judges int8 with. Raises SourceError, UnsupportedModel."""
    return in_int8(load_to_serve(backbone, runtime="onnx", threads=threads, **image_options))
