"""One entry of the log: what a version is made of and where it comes from."""

from enum import StrEnum

from pydantic import Field, model_validator

from prompt_store.actor import Actor
from prompt_store.fields import (
    BatchId,
    ClassName,
    Count,
    Digest,
    Metrics,
    Moment,
    Name,
    Number,
    Report,
    Task,
)
from prompt_store.records import Record


class Kind(StrEnum):
    """Why a manifest was appended."""

    REFRESH = "refresh"
    TRAIN = "train"
    CANDIDATE = "candidate"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    FORGET = "forget"
    FENCE = "fence"
    CANARY = "canary"

    @property
    def goes_live(self) -> bool:
        """Whether appending it makes it the version that unpinned requests get."""
        return self.has_content and self is not Kind.CANDIDATE

    @property
    def has_content(self) -> bool:
        """Whether it is a version; the others are marks in the log."""
        return self not in (Kind.FENCE, Kind.CANARY)

    @property
    def ends_canary(self) -> bool:
        """Whether somebody decided anew what is to be served, so that a canary is over."""
        return self in (Kind.ROLLBACK, Kind.PROMOTE, Kind.FORGET)

    @property
    def needs_the_epoch(self) -> bool:
        """Whether only the learner that holds the newest epoch may append it."""
        return self in (Kind.REFRESH, Kind.TRAIN, Kind.CANDIDATE, Kind.FORGET)


class MethodReference(Record):
    """The learning method and the digest of its configuration."""

    name: Name
    config_digest: Name


class TaskEntry(Record):
    """What a version knows about one task."""

    classes: Count
    examples: Count
    row: Count | None = None  # of the bank; None: the task has no prompt of its own
    mode: Name
    domain: Name | None = None  # the tasks it shares a prompt and a head with


class Int8Verdict(Record):
    """Whether a version may be served in int8, by what its kept examples say."""

    accepted: bool
    reason: str
    engine: Name  # fingerprint of the int8 backbone that was tried
    rows: Count  # held-out ones
    accuracy: dict[Name, float] = Field(default_factory=dict)  # of fp32 and int8 on them
    agreement: float | None = None  # share of them that both answer alike


class Prequential(Record):
    """How what was live answered a task's new examples, just before they were learnt."""

    rows: Count  # of classes that it knew
    right: Count  # among them
    new: Count  # rows of classes that it did not know


class HarmRules(Record):
    """When replicas end a canary by themselves."""

    false_alarms: float = Field(0.01, gt=0, lt=1)  # chance to end a harmless one by feedback
    latency_ratio: float = Field(3.0, gt=1)  # of the canary's median request to live's
    errors: int = Field(3, strict=True, ge=1)  # requests that it failed and live answered


class Canary(Record):
    """A share of the unpinned requests that a version gets beside live; none ends it."""

    version: Number
    percent: float = Field(ge=0, le=100)
    rules: HarmRules = HarmRules()
    reason: str | None = None  # why it ended


class Draft(Record):
    """A manifest before it has a number."""

    kind: Kind
    epoch: Count
    writer: Name
    parent: Number | None = None
    backbone: Name | None = None  # fingerprint
    method: MethodReference | None = None
    labels: tuple[ClassName, ...] = ()
    tasks: dict[Task, TaskEntry] = Field(default_factory=dict)
    blobs: dict[Name, Digest] = Field(default_factory=dict)  # by role
    batches: tuple[BatchId, ...] = ()  # learnt here for the first time
    decided: tuple[BatchId, ...] = ()  # whose prompts this manifest decided
    settled: tuple[BatchId, ...] = ()  # decided earlier and settled since; the store fills it in
    source: Number | None = None  # what a rollback or promotion names
    gate: Report | None = None
    arrangement: Report | None = None  # why its tasks fall into these domains
    int8: Int8Verdict | None = None  # None: nobody has tried it
    prequential: dict[Task, Prequential] = Field(default_factory=dict)
    canary: Canary | None = None
    metrics: Metrics = Field(default_factory=dict)
    actor: Actor | None = None  # who asked for it; None: the writer by itself

    @model_validator(mode="after")
    def _is_consistent(self) -> "Draft":
        for field in ("labels", "batches", "decided"):
            values = getattr(self, field)
            if len(set(values)) != len(values):
                raise ValueError(f"{field} names something twice: {values[:10]}")
        content = self.labels or self.tasks or self.blobs or self.batches or self.decided
        if not self.kind.has_content and content:
            raise ValueError(f"a {self.kind} carries no content")
        if (self.kind is Kind.CANARY) != (self.canary is not None):
            raise ValueError(f"canary is for manifests of that kind: {self.kind}, {self.canary}")
        if self.kind.has_content and self.backbone is None:
            raise ValueError(f"a {self.kind} must name its backbone's fingerprint")
        if (self.kind in (Kind.ROLLBACK, Kind.PROMOTE)) != (self.source is not None):
            raise ValueError(f"source is for rollbacks and promotions: {self.kind}, {self.source}")
        return self


class Manifest(Draft):
    """A committed draft. `log/<version>` holds it; that key's creation is the commit."""

    version: Number
    created_at: Moment
    commit: Name  # random: a writer whose reply was lost knows its own entry by it
