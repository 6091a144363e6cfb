"""The history."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from prompt_store import Canary, Int8Verdict, Kind, Manifest, Prequential
from serving.schemas.shape import AnswerShape, shown

_REFRESH = {
    "version": 42,
    "live": True,
    "pinned": False,
    "kind": "refresh",
    "created_at": "2026-01-31T12:00:01Z",
    "parent": 41,
    "source": None,
    "epoch": 3,
    "writer": "learner",
    "backbone": "5d1c0f…",
    "method": {"name": "q-tuning", "config_digest": "9a41…"},
    "labels": 2,
    "tasks": {"mail": {"classes": 2, "examples": 48, "row": None, "mode": "aggregate"}},
    "batches": ["01JD4Q8ZK3W9V7X5M2N6P0R1ST"],
    "decided": [],
    "gate": None,
    "arrangement": None,
    "int8": {
        "accepted": True,
        "reason": "right on 471 of 512 held-out examples, fp32 on 472; no more than 0.5 points "
        "less",
        "engine": "c01d90…",
        "rows": 512,
        "accuracy": {"fp32": 0.921875, "int8": 0.919922},
        "agreement": 0.994141,
    },
    "prequential": {"mail": {"rows": 40, "right": 33, "new": 8}},
    "canary": None,
    "metrics": {},
}


class VersionBody(AnswerShape):
    """One version with its provenance. kind: why it was published."""

    model_config = ConfigDict(json_schema_extra=shown(_REFRESH))

    version: int
    live: bool = Field(description="whether unpinned requests get it now")
    pinned: bool = Field(description="whether it is kept whatever its age")
    kind: Kind
    created_at: datetime
    parent: int | None = Field(description="the version it was made from")
    source: int | None = Field(
        description="the version a rollback or promotion took its content from"
    )
    epoch: int
    writer: str
    backbone: str | None = Field(description="fingerprint; null without content")
    method: dict[str, str] | None
    labels: int = Field(description="how many classes it knows")
    tasks: dict[str, dict[str, Any]]
    batches: list[str] = Field(description="batches it learnt for the first time")
    decided: list[str] = Field(description="batches whose prompts it decided")
    gate: dict[str, Any] | None = Field(description="report of the gate")
    arrangement: dict[str, Any] | None = Field(
        description="why its tasks fall into these domains; null where all share one"
    )
    int8: Int8Verdict | None = Field(
        description="whether it may be served in int8; null where nobody has tried it"
    )
    prequential: dict[str, Prequential] = Field(
        description="of each task it learnt: how what was live answered its new examples before"
    )
    canary: Canary | None = Field(
        description="of a `canary`: the share a version gets from here on; 0 per cent ends it"
    )
    metrics: dict[str, float | int | str]

    @classmethod
    def of(cls, manifest: Manifest, live: bool, pinned: Container[int]) -> VersionBody:
        """The shape of a manifest. pinned: the numbers that are."""
        content = manifest.model_dump(include=set(cls.model_fields) - {"live", "labels", "pinned"})
        told = {"live": live, "pinned": manifest.version in pinned, "labels": len(manifest.labels)}
        return cls.model_validate({**content, **told})


class VersionsBody(AnswerShape):
    """Versions, newest first."""

    model_config = ConfigDict(
        json_schema_extra=shown({"live": 42, "versions": [_REFRESH], "before": None})
    )

    live: int | None = Field(description="the live version, null while there is none")
    versions: list[VersionBody]
    before: int | None = Field(description="`?before=` of the next page, null on the last")
