"""What the server says about itself."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from serving.schemas.shape import AnswerShape, shown
from serving.settings import Limits

_LIMITS = Limits().model_dump()


class IndexBody(AnswerShape):
    """What this is, and where to read on."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"name": "perennial", "release": "0.1.0", "links": {"docs": "/docs"}},
        )
    )

    name: str
    release: str = Field(description="release of the server's software")
    links: dict[str, str] = Field(description="addresses on this server, by what is there")


class HealthBody(AnswerShape):
    """Alive, or ready."""

    model_config = ConfigDict(json_schema_extra=shown({"status": "ok"}))

    status: str


class BackboneBody(AnswerShape):
    """The frozen encoder."""

    name: str
    modality: str
    layers: int
    width: int
    max_length: int
    prompted_layers: int
    fingerprint: str


class InfoBody(AnswerShape):
    """What it is and what it holds."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "name": "perennial",
                "release": "0.1.0",
                "engine": "local",
                "runtime": "onnx",
                "device": "cpu",
                "runtime_reason": "the fastest of onnx and torch at start",
                "runtime_milliseconds": {"onnx": 61.3, "torch": 92.8},
                "precision": "fp32",
                "precision_reason": "int8 was not asked for",
                "backbone": {
                    "name": "minilm",
                    "modality": "text",
                    "layers": 6,
                    "width": 384,
                    "max_length": 256,
                    "prompted_layers": 3,
                    "fingerprint": "5d1c0f…",
                },
                "method": "q-tuning",
                "ready": True,
                "version": 42,
                "tasks": 3,
                "domains": ["mail"],
                "routed": False,
                "classes": 21,
                "pinned": [40],
                "waiting_inputs": 0,
                "pending_batches": 1,
                "keys": False,
                "media_types": ["application/json", "application/x-ndjson"],
                "limits": _LIMITS,
                "trouble": [],
            }
        )
    )

    name: str
    release: str = Field(description="release of the server's software")
    engine: str
    runtime: str = Field(description="what computes the passes: onnx or torch")
    device: str = Field(description="where it computes them: cpu or cuda")
    runtime_reason: str = Field(description="why it computes, and nothing else")
    runtime_milliseconds: dict[str, float] = Field(
        description="that the same 16 inputs took each at start; empty where nothing was timed"
    )
    precision: str = Field(description="what the live version is computed in: fp32, bf16 or int8")
    precision_reason: str
    backbone: BackboneBody
    method: str = Field(description="how prompts are learnt")
    ready: bool
    version: int | None = Field(description="the version unpinned requests get here")
    tasks: int
    domains: list[str] = Field(description="groups of tasks that share a prompt and a head")
    routed: bool = Field(description="whether a router inside the pass tells domains apart")
    classes: int
    pinned: list[int] = Field(description="other versions that are loaded")
    waiting_inputs: int = Field(description="inputs that wait for a forward pass")
    pending_batches: int = Field(description="accepted batches that are not settled")
    keys: bool = Field(description="whether bearer keys are configured")
    media_types: list[str] = Field(description="types of bodies that POST /v1/classify takes")
    limits: Limits
    trouble: list[str] = Field(
        description="what does not work as it should, empty when all is well"
    )
