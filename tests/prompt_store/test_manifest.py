from typing import Any

import pytest
from pydantic import ValidationError

from prompt_store import Canary, Kind, TaskEntry
from tests.prompt_store.drafts import draft

BATCH = "0" * 26


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch": -1},
        {"epoch": True},
        {"writer": ""},
        {"parent": 0},
        {"parent": "1"},
        {"labels": ("no-task",)},
        {"labels": ("mail/",)},
        {"labels": ("/label",)},
        {"labels": ("a/b", "a/b")},
        {"tasks": {"a/b": TaskEntry(classes=1, examples=1, mode="frozen")}},
        {"tasks": {"": TaskEntry(classes=1, examples=1, mode="frozen")}},
        {"blobs": {"head": "A" * 64}},
        {"blobs": {"head": "a" * 63}},
        {"blobs": {"head": "../../etc/passwd"}},
        {"batches": ("../../etc/passwd",)},
        {"batches": (BATCH, BATCH)},
        {"decided": (BATCH, BATCH)},
        {"backbone": None},
        {"source": 1},
        {"kind": Kind.ROLLBACK, "source": None},
        {"kind": Kind.FENCE, "labels": ("a/b",)},
        {"kind": Kind.FENCE, "decided": (BATCH,)},
        {"kind": "merge"},
        {"kind": Kind.CANARY, "canary": None},
        {"kind": Kind.CANARY, "labels": ("a/b",)},
        {"canary": Canary(version=1, percent=5)},
        {"gate": {"score": float("nan")}},
        {"gate": {"score": object()}},
        {"metrics": {"loss": float("inf")}},
        {"metrics": {"loss": None}},
    ],
)
def test_inconsistent_drafts_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        draft(**fields)


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_a_share_is_between_none_and_all(percent: float) -> None:
    with pytest.raises(ValidationError):
        Canary(version=1, percent=percent)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_valid_draft(kind: Kind) -> None:
    assert draft(kind).kind is kind


def test_labels_may_hold_slashes_and_any_letters() -> None:
    labels = ("mail/a/b", "größe/日本 語", "t/\n")
    assert draft(labels=labels).labels == labels


def test_drafts_are_frozen_and_keep_no_reference_to_the_gate_report() -> None:
    report = {"margins": [1.0]}
    made = draft(gate=report)
    report["margins"].append(2.0)
    assert made.gate == {"margins": [1.0]}
    with pytest.raises(ValidationError):
        made.epoch = 3  # type: ignore[misc]
