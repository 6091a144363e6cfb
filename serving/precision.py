"""Which engine computes a version's passes: fp32, or int8 where the learner found it as good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from backbones import Backbone, in_int8, load_to_serve
from backbones.engines import Precision
from prompt_store import Manifest
from serving.cores import encoder_threads
from serving.settings import ImageOptions, Settings


class Choice(NamedTuple):
    """What computes, and why."""

    precision: Precision
    reason: str
    backbone: Backbone


@dataclass(frozen=True)
class Engines:
    """fp32, which also reads the inputs of both; and int8 where it was asked for."""

    fp32: Backbone
    int8: Backbone | None = None

    def choose(self, version: Manifest | None) -> Choice:
        """What computes a version; None: nothing has been learnt yet."""
        if self.int8 is None:
            return Choice("fp32", "int8 was not asked for", self.fp32)
        if version is None:
            return Choice("fp32", "nothing has been learnt yet", self.fp32)
        verdict = version.int8
        if verdict is None:
            return Choice("fp32", "the learner has not judged int8 on it yet", self.fp32)
        if verdict.engine != self.int8.description.fingerprint:
            reason = "int8 was judged on another processor, or by another ONNX Runtime, than here"
            return Choice("fp32", reason, self.fp32)
        if not verdict.accepted:
            return Choice("fp32", f"int8 was refused: {verdict.reason}", self.fp32)
        return Choice("int8", verdict.reason, self.int8)


def load_engines(settings: Settings) -> Engines:
    """What the settings ask for. Raises SourceError, UnsupportedModel."""
    backbone = load_to_serve(
        settings.backbone,
        runtime=settings.runtime,
        threads=encoder_threads(settings.threads),
        **settings.image_options(),
    )
    return Engines(backbone, in_int8(backbone) if settings.precision == "int8" else None)


def load_int8(backbone: str, threads: int, image_options: ImageOptions) -> Backbone:
    """What a learner judges int8 with. Raises SourceError, UnsupportedModel."""
    return in_int8(load_to_serve(backbone, runtime="onnx", threads=threads, **image_options))
