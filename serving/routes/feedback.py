"""`/v1/feedback`."""

from __future__ import annotations

from fastapi import APIRouter, Request

from serving.problems import documented
from serving.routes.common import JSON_ONLY, PREDICT, ServiceDependency, admit, pay
from serving.schemas.feedback import FeedbackBody, FeedbackRequest, JudgedBody, LiveAccuracyBody

router = APIRouter(tags=["feedback"])


@router.post(
    "/v1/feedback",
    summary="Tell the truth",
    dependencies=[*PREDICT, JSON_ONLY],
    responses=documented(
        "malformed-request",
        "unknown-prediction",
        "body-too-large",
        "unsupported-media-type",
        "unsupported-input",
        "invalid-content",
        "idempotency-key-reused",
        "overloaded",
        "rate-limited",
    ),
)
async def post_feedback(
    body: FeedbackRequest, request: Request, service: ServiceDependency
) -> FeedbackBody:
    """Says what was right. Counts towards live accuracy; with `learn` it is a labelled batch too.

    `learn` needs that scope, and the inputs again. All of it is accepted, or nothing.
    """
    if body.learn:
        admit(request, "learn")
    pay(request, len(body.feedback))
    heard = await service.feedback([one.to_truth() for one in body.feedback], learn=body.learn)
    judged = [JudgedBody.of(one, not fresh) for one, fresh in heard.judged]
    return FeedbackBody(feedback=judged, batch=heard.batch)


@router.get("/v1/feedback", summary="Live accuracy", dependencies=PREDICT)
async def get_feedback(service: ServiceDependency) -> LiveAccuracyBody:
    """How each version did on each task, by the newest feedback that came to this replica."""
    return LiveAccuracyBody.of(service.live_accuracy)
