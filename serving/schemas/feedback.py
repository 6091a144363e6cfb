"""Feedback: the truth about predictions, and live accuracy by it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, FailFast, Field

from serving.feedback import Judged, Outcome, Truth
from serving.live_accuracy import LiveAccuracy, Tally
from serving.names import Name
from serving.schemas.inputs import OneInput, OwnId, as_list
from serving.schemas.shape import MESSAGE, AnswerShape, RequestShape, shown

_ID = "AAAAKgAAAAEn2pQm4VwXoT0cB7o5u1Zr"


class TruthBody(RequestShape):
    """The truth about one prediction."""

    prediction_id: OwnId = Field(description="`id` of the result it is about")
    label: Name
    task: Name | None = Field(
        None, description="the true task, where it is not the one that was predicted"
    )
    input: OneInput | None = Field(None, description="what was classified; only with `learn`")

    def to_truth(self) -> Truth:
        """The same for judging."""
        given = None if self.input is None else self.input.to_input()
        return Truth(self.prediction_id, self.label, self.task, given)


class FeedbackRequest(RequestShape):
    """The truth about one prediction or several."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"feedback": [{"prediction_id": _ID, "label": "refund"}]},
            {
                "feedback": {"prediction_id": _ID, "label": "refund", "input": MESSAGE},
                "learn": True,
            },
        )
    )

    feedback: Annotated[
        list[TruthBody],
        FailFast(),
        BeforeValidator(as_list, json_schema_input_type=TruthBody | list[TruthBody]),
    ] = Field(description="one or a list of them")
    learn: bool = Field(False, description="learn it too; each then comes with its `input`")


class JudgedBody(AnswerShape):
    """How one prediction did."""

    prediction_id: str
    version: int = Field(description="the version that made it")
    task: str = Field(description="the true task")
    outcome: Outcome = Field(description="new: the version did not know the true class")
    repeated: bool = Field(description="it was counted before, and its first truth stays")

    @classmethod
    def of(cls, one: Judged, repeated: bool) -> JudgedBody:
        return cls(
            prediction_id=one.truth.prediction_id,
            version=one.version,
            task=one.task,
            outcome=one.outcome,
            repeated=repeated,
        )


class FeedbackBody(AnswerShape):
    """How the predictions did, in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "feedback": [
                    {
                        "prediction_id": _ID,
                        "version": 42,
                        "task": "mail",
                        "outcome": "wrong",
                        "repeated": False,
                    }
                ],
                "batch": None,
            }
        )
    )

    feedback: list[JudgedBody]
    batch: str | None = Field(description="the batch that learns it, null without `learn`")


class TallyBody(AnswerShape):
    """One version and task."""

    version: int
    task: str
    right: int
    wrong: int
    new: int = Field(description="true classes that the version did not know")
    accuracy: float | None = Field(description="right of right and wrong; null without any")

    @classmethod
    def of(cls, tally: Tally) -> TallyBody:
        return cls.model_validate(tally, from_attributes=True)


class LiveAccuracyBody(AnswerShape):
    """Live accuracy by the feedback that this replica got, the newest version first."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "since": "2026-01-31T12:00:00Z",
                "window": 10000,
                "accuracy": [
                    {
                        "version": 42,
                        "task": "mail",
                        "right": 9,
                        "wrong": 1,
                        "new": 0,
                        "accuracy": 0.9,
                    }
                ],
            }
        )
    )

    since: datetime = Field(description="when this replica started")
    window: int = Field(description="how many predictions it looks back on, at most")
    accuracy: list[TallyBody]

    @classmethod
    def of(cls, live: LiveAccuracy) -> LiveAccuracyBody:
        tallies = [TallyBody.of(tally) for tally in live.tallies()]
        return cls(since=live.since, window=live.window, accuracy=tallies)
