"""A canary: starting one, and how it does."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from prompt_store import Canary, HarmRules, Manifest
from serving.comparison import Comparison
from serving.schemas.shape import LARGEST_INTEGER, AnswerShape, RequestShape, shown
from serving.split import Run


class RulesRequest(RequestShape):
    """When replicas end a canary by themselves."""

    false_alarms: float = Field(
        HarmRules().false_alarms,
        gt=0,
        lt=1,
        description="chance that a replica ends one that is no worse by feedback",
    )
    latency_ratio: float = Field(
        HarmRules().latency_ratio, gt=1, le=1000, description="of its median request to live's"
    )
    errors: int = Field(
        HarmRules().errors,
        ge=1,
        le=LARGEST_INTEGER,
        description="requests that it failed and live answered",
    )


class CanaryRequest(RequestShape):
    """Which version, and how many of the unpinned requests."""

    model_config = ConfigDict(json_schema_extra=shown({"version": 43, "percent": 5}))

    version: int = Field(ge=1, le=LARGEST_INTEGER, description="a candidate, or any other version")
    percent: float = Field(gt=0, le=100, description="of unpinned requests")
    rules: RulesRequest = RulesRequest()

    def to_canary(self) -> Canary:
        """The same for the log."""
        return Canary(
            version=self.version,
            percent=self.percent,
            rules=HarmRules.model_validate(self.rules, from_attributes=True),
        )


class UnderWay(AnswerShape):
    """The canary that the log speaks of. entry: the number of that manifest."""

    version: int
    percent: float
    rules: HarmRules
    entry: int
    since: datetime


class Counts(AnswerShape):
    """Of the canary's share, and of the others."""

    canary: int
    live: int


class Medians(AnswerShape):
    """Seconds from the queue to the answer, of requests of one input; null without any."""

    canary: float | None
    live: float | None


class Rights(AnswerShape):
    """Inputs that both answered and whose true class was told, by whose answer was right."""

    both: int
    canary: int
    live: int
    neither: int


class ComparisonBody(AnswerShape):
    """How it does beside live, by what this replica saw since `since`."""

    requests: Counts
    median_seconds: Medians
    compared: int = Field(description="inputs that live answered as well")
    agreement: float | None = Field(description="share of them with the same class first")
    feedback: Rights
    errors: int = Field(description="requests that the canary failed and live answered")

    @classmethod
    def of(cls, seen: Comparison) -> ComparisonBody:
        right = seen.right
        return cls(
            requests=Counts(canary=seen.requests["canary"], live=seen.requests["live"]),
            median_seconds=Medians(
                canary=seen.median_seconds("canary"), live=seen.median_seconds("live")
            ),
            compared=seen.compared,
            agreement=seen.same / seen.compared if seen.compared else None,
            feedback=Rights(
                both=right["both"],
                canary=right["canary"],
                live=right["live"],
                neither=right["neither"],
            ),
            errors=seen.errors,
        )


class Ended(AnswerShape):
    """What ended the last canary. entry, kind: of that manifest."""

    entry: int
    kind: str
    at: datetime
    version: int | None = Field(description="the canary's; null where `kind` is not canary")
    reason: str

    @classmethod
    def by(cls, manifest: Manifest) -> Ended:
        terms = manifest.canary
        reason = terms.reason if terms else f"version {manifest.version} went live: {manifest.kind}"
        return cls(
            entry=manifest.version,
            kind=manifest.kind,
            at=manifest.created_at,
            version=terms.version if terms else None,
            reason=reason or "",
        )


class CanaryBody(AnswerShape):
    """What is under way, and how the last one ended."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "canary": {
                    "version": 43,
                    "percent": 5.0,
                    "rules": {"false_alarms": 0.01, "latency_ratio": 3.0, "errors": 3},
                    "entry": 44,
                    "since": "2026-01-31T12:00:00Z",
                },
                "comparison": {
                    "requests": {"canary": 52, "live": 948},
                    "median_seconds": {"canary": 0.009, "live": 0.008},
                    "compared": 52,
                    "agreement": 0.96,
                    "feedback": {"both": 18, "canary": 1, "live": 0, "neither": 2},
                    "errors": 0,
                },
                "ended": None,
            }
        )
    )

    canary: UnderWay | None
    comparison: ComparisonBody | None = Field(
        description="null without a canary, and where this replica does not serve it (yet)"
    )
    ended: Ended | None = Field(description="how the last one before it ended")

    @classmethod
    def of(cls, entry: Manifest | None, end: Manifest | None, run: Run | None) -> CanaryBody:
        """entry: that speaks of the one under way; end: that ended the last; run: what is here."""
        mine = run is not None and entry is not None and run.canary.entry.version == entry.version
        terms = entry.canary if entry is not None else None
        return cls(
            canary=None
            if entry is None or terms is None
            else UnderWay(
                version=terms.version,
                percent=terms.percent,
                rules=terms.rules,
                entry=entry.version,
                since=entry.created_at,
            ),
            comparison=ComparisonBody.of(run.comparison) if run is not None and mine else None,
            ended=None if end is None else Ended.by(end),
        )
