"""Feedback: what the truth about predictions was, as callers tell it later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from backbones import Input
from learner.content import class_id
from prompt_store import Manifest, UnknownVersion
from serving.limits import check_count, check_name_length
from serving.prediction_ids import ForeignId, predicted
from serving.problems import Problem, invalid
from serving.settings import Limits
from serving.submission import Labelled, Submission

Outcome = Literal["right", "wrong", "new"]
"""new: a class that the version did not know, so that it could not be right."""

MEMBER = "feedback"
"""Of the body, that holds it."""


@dataclass(frozen=True)
class Truth:
    """The true label of one prediction. task: its task, None for that of the prediction.

    input: what was classified, where it is to be learnt; nobody else has it any more.
    """

    prediction_id: str
    label: str
    task: str | None = None
    input: Input | None = None


@dataclass(frozen=True)
class Judged:
    """A truth beside what was predicted.

    task: the true one;  counted_as: the same where the version knows it, else the predicted one
    """

    truth: Truth
    version: int
    task: str
    counted_as: str
    outcome: Outcome


def check_truths(truths: Sequence[Truth], limits: Limits, *, learn: bool) -> None:
    """Whether these may be judged together. Raises Problem invalid-content."""
    check_count(truths, limits.inputs, MEMBER)
    told: set[str] = set()
    for index, one in enumerate(truths):
        place = f"#/{MEMBER}/{index}"
        check_name_length(one.label, limits, f"{place}/label")
        if one.task is not None:
            check_name_length(one.task, limits, f"{place}/task")
        if learn != (one.input is not None):
            raise invalid(
                f"{place}/input",
                "with learn each comes with its input, which nobody has kept; without, with none",
            )
        if one.prediction_id in told:
            raise invalid(f"{place}/prediction_id", "this prediction is there twice; say it once")
        told.add(one.prediction_id)


def judge(truths: Sequence[Truth], manifest_of: Callable[[int], Manifest]) -> list[Judged]:
    """Each truth beside what was predicted. Raises Problem unknown-prediction, which names all."""
    find = cache(manifest_of)
    judged: list[Judged] = []
    unknown: list[dict[str, str]] = []
    for index, one in enumerate(truths):
        try:
            judged.append(_judged(one, find))
        except (ForeignId, UnknownVersion) as error:
            pointer = f"#/{MEMBER}/{index}/prediction_id"
            unknown.append({"pointer": pointer, "detail": str(error)})
    if unknown:
        first = unknown[0]
        raise Problem(
            "unknown-prediction",
            f"{first['pointer']}: {first['detail']}; nothing was counted, send the others again",
            errors=unknown,
        )
    return judged


def _judged(truth: Truth, manifest_of: Callable[[int], Manifest]) -> Judged:
    manifest, task, label = predicted(truth.prediction_id, manifest_of)
    true_task = truth.task or task
    outcome: Outcome = "wrong" if class_id(true_task, truth.label) in manifest.labels else "new"
    if (true_task, truth.label) == (task, label):
        outcome = "right"
    counted_as = true_task if true_task in manifest.tasks else task
    return Judged(truth, manifest.version, true_task, counted_as, outcome)


def lesson(judged: Sequence[Judged]) -> Submission:
    """The same as a labelled batch: one for the same predictions, whoever sends it how often.

    Raises Problem invalid-content where they are of several tasks.
    """
    task = judged[0].task
    for index, one in enumerate(judged):
        if one.task != task:
            raise invalid(
                f"#/{MEMBER}/{index}/task",
                f"this is of task {one.task!r} and the first of {task!r}; what is to be learnt "
                "goes in a call for each task",
            )
    examples = tuple(_labelled(one.truth) for one in judged)
    names = "\n".join(one.truth.prediction_id for one in judged)
    return Submission(task, examples, caller="", key=names, member=MEMBER)


def _labelled(truth: Truth) -> Labelled:
    assert truth.input is not None, "the schema asks for what is to be learnt"
    return Labelled(truth.input, truth.label, truth.prediction_id)
