"""What calls return: frozen, typed, and tolerant of members that a newer server adds.

Members without a field here are kept: `result.model_extra`, and in `result.model_dump()`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["queued", "refreshed", "training", "evaluating", "published", "rejected", "failed"]


class Answer(BaseModel):
    """Base of all results."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Prediction(Answer):
    """One class with its calibrated score, between 0 and 1."""

    task: str
    label: str
    score: float


class Result(Answer):
    """The answer to one input, best prediction first.

    id: name of this answer, for sending the true label later; novelty: from 0 (like what was
    learnt) to 1 (unlike all of it), None where it is not known.
    """

    id: str | None = None
    novelty: float | None = None
    predictions: tuple[Prediction, ...]

    @property
    def best(self) -> Prediction | None:
        """The first prediction, None where the server knows no class yet."""
        return self.predictions[0] if self.predictions else None


class Classification(Answer):
    """One `Result` per input, in their order, all from one `version`."""

    version: int
    results: tuple[Result, ...]


class LineError(Answer):
    """Why one input of a stream has no predictions: the problem a call with it alone would meet."""

    type: str = "about:blank"
    title: str = ""
    status: int
    detail: str = ""


class StreamResult(Result):
    """The answer to one input of a stream: predictions of `version`, or an `error`.

    prediction_id: name of this answer, where `id` is the input's own.
    """

    version: int | None = None
    prediction_id: str | None = None
    predictions: tuple[Prediction, ...] = ()
    error: LineError | None = None


class Judged(Answer):
    """How one prediction did: right, wrong, or new (a class that its version did not know).

    task: the true one; repeated: it was counted before, and its first truth stays.
    """

    prediction_id: str
    version: int
    task: str
    outcome: str
    repeated: bool = False


class Feedback(Answer):
    """How predictions did, in the order they were named. batch: the one that learns them."""

    feedback: tuple[Judged, ...]
    batch: str | None = None


class Tally(Answer):
    """Feedback on one version and task. accuracy: of the classes that the version knew."""

    version: int
    task: str
    right: int
    wrong: int
    new: int
    accuracy: float | None = None


class LiveAccuracy(Answer):
    """By the newest feedback that one replica got since it started, the newest version first."""

    since: datetime
    accuracy: tuple[Tally, ...]


class Batch(Answer):
    """Where a batch of examples stands; `published` and `failed` are final.

    version: the version that holds it, None while queued; gate_refused: its labels are served, but
    its new prompts did not go live; error: why it failed; examples: how many, until it is settled.
    """

    batch: str
    task: str
    status: Status
    version: int | None = None
    gate_refused: bool = False
    error: str | None = None
    examples: int | None = None


class Task(Answer):
    """A task the server knows.

    labels: those it predicts now; declared_labels: those it may have, None where nobody declared
    it; examples: how many it was taught with; own_prompt: whether it has a prompt of its own;
    domain: the tasks it shares a prompt and a head with; prompt: none, domain or own;
    version: the live version, None where that does not know the task yet.
    """

    task: str
    labels: tuple[str, ...] = ()
    declared_labels: tuple[str, ...] | None = None
    examples: int | None = None
    own_prompt: bool | None = None
    domain: str | None = None
    prompt: str | None = None
    version: int | None = None


class Forgetting(Answer):
    """A task, a class or examples that are being forgotten. erasure: id of the request."""

    task: str
    status: str
    erasure: str = ""


class Range(Answer):
    """Versions by their numbers, both ends included."""

    first: int
    last: int


class Erasure(Answer):
    """What a request to forget came to; None, but for the status, until it is carried out.

    version: the one without it; examples, classes, prompts_dropped: how many went; not_found: ids
    of which no example was kept any more; exact: False where the spread that classes share stays;
    older_versions: kept ones, which hold what they held; deletable_from: when these may begin to
    be deleted.
    """

    erasure: str
    status: Literal["forgetting", "forgotten"]
    version: int | None = None
    examples: int | None = None
    classes: int | None = None
    prompts_dropped: int | None = None
    not_found: int | None = None
    exact: bool | None = None
    older_versions: tuple[Range, ...] = ()
    deletable_from: datetime | None = None


class Prequential(Answer):
    """How what was live answered a task's new examples before they were learnt.

    rows: of classes that it knew; right: among them; new: of classes that it did not know.
    """

    rows: int
    right: int
    new: int = 0


class Canary(Answer):
    """A version that gets a share of the unpinned requests. entry: of the log, that says so."""

    version: int
    percent: float
    rules: dict[str, float] = {}
    entry: int | None = None
    since: datetime | None = None


class Version(Answer):
    """One immutable published state.

    live: whether unpinned requests get it; pinned: whether it is kept whatever its age; kind: why
    it was published; source: the version a rollback or promotion took its content from; batches:
    what it learnt first; decided: the batches whose prompts it decided; gate: the gate's report;
    prequential: by task; canary: of that kind, the share a version gets from here on.
    """

    version: int
    live: bool = False
    pinned: bool = False
    kind: str
    created_at: datetime | None = None
    parent: int | None = None
    source: int | None = None
    batches: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()
    gate: dict[str, Any] | None = None
    prequential: dict[str, Prequential] = {}
    canary: Canary | None = None


class Versions(Answer):
    """A page of the history, newest first.

    live: the live version, None before the first; before: what to ask for to get the next page,
    None on the last.
    """

    live: int | None
    versions: tuple[Version, ...]
    before: int | None = None


class Comparison(Answer):
    """How a canary does beside live, as one replica sees it.

    requests, median_seconds: by who answered, `canary` or `live`; compared: inputs that both
    answered; agreement: share of them with the same class first; feedback: of those whose true
    class was told, by who was right (`both`, `canary`, `live`, `neither`); errors: of the canary.
    """

    requests: dict[str, int] = {}
    median_seconds: dict[str, float | None] = {}
    compared: int = 0
    agreement: float | None = None
    feedback: dict[str, int] = {}
    errors: int = 0


class CanaryEnd(Answer):
    """What ended a canary: an entry of the log, and why. version: the canary's, where known."""

    entry: int
    kind: str
    at: datetime
    version: int | None = None
    reason: str


class CanaryState(Answer):
    """The canary under way, how it does, and how the last one ended; None where there is none."""

    canary: Canary | None = None
    comparison: Comparison | None = None
    ended: CanaryEnd | None = None


class Info(Answer):
    """What the server is and holds. limits: by name; trouble: what does not work as it should."""

    version: int | None = None
    limits: dict[str, Any] = {}
    trouble: tuple[str, ...] = ()
