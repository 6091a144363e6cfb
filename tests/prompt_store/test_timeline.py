from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_store import Canary, Kind, Manifest, Timeline, batch_id, fold
from prompt_store.records import decode, encode
from tests.prompt_store.drafts import NOON, draft

MARKS = (Kind.FENCE, Kind.CANARY)
BATCHES = [batch_id(f"batch {number}") for number in range(6)]


@st.composite
def logs(draw: st.DrawFn) -> list[Manifest]:
    """Any kinds in any order; batches are learnt once, then decided, then noted as settled."""
    manifests: list[Manifest] = []
    stage = dict.fromkeys(BATCHES, 0)
    epoch = 0
    for version in range(1, draw(st.integers(1, 12)) + 1):
        kind = draw(st.sampled_from(list(Kind)))
        epoch += kind is Kind.FENCE
        fields: dict[str, Any] = {}
        if kind is Kind.CANARY:
            percent = draw(st.sampled_from([0.0, 5.0]))
            fields["canary"] = Canary(version=1, percent=percent)
        for field, needed in (("settled", 2), ("decided", 1), ("batches", 0)):
            if kind in MARKS and field != "settled":
                continue
            ready = [batch for batch in BATCHES if stage[batch] == needed]
            chosen = draw(st.sets(st.sampled_from(ready))) if ready else set()
            stage |= dict.fromkeys(chosen, needed + 1)
            fields[field] = tuple(sorted(chosen))
        if kind not in MARKS and draw(st.booleans()):  # learnt and decided in one step
            fields["decided"] += fields["batches"]
            stage |= dict.fromkeys(fields["batches"], 2)
        entry = draft(kind, epoch, **fields)
        manifests.append(Manifest(**dict(entry), version=version, created_at=NOON, commit="c" * 32))
    return manifests


def folded(manifests: list[Manifest], start: Timeline | None = None) -> Timeline:
    timeline = start or Timeline()
    for manifest in manifests:
        timeline = fold(timeline, manifest)
    return timeline


def by_definition(manifests: list[Manifest]) -> Timeline:
    """The timeline as its documentation words it, looking at the whole log."""
    live = [m.version for m in manifests if m.kind not in (Kind.CANDIDATE, *MARKS)]
    turns = [m.version for m in manifests if m.kind in (Kind.ROLLBACK, Kind.PROMOTE, Kind.FORGET)]
    since = turns[-1] if turns else 0
    trained = [
        m.version for m in manifests if m.kind in (Kind.TRAIN, Kind.CANDIDATE) and m.version > since
    ]
    said = [m for m in manifests if m.canary or m.version in turns]
    ends = [last.version for first, last in pairwise(said) if _shares(first) > _shares(last)]
    learnt = {batch: m.version for m in manifests for batch in m.batches}
    decided = {batch: m.version for m in manifests for batch in m.decided}
    settled = {batch for m in manifests for batch in m.settled}
    return Timeline(
        head=len(manifests),
        live=live[-1] if live else None,
        lineage=(trained or turns)[-1] if trained or turns else None,
        epoch=sum(m.kind is Kind.FENCE for m in manifests),
        canary=said[-1].version if said and _shares(said[-1]) else None,
        canary_end=ends[-1] if ends else None,
        undecided={batch: version for batch, version in learnt.items() if batch not in decided},
        decided={batch: version for batch, version in decided.items() if batch not in settled},
    )


def _shares(manifest: Manifest) -> bool:
    return manifest.canary is not None and manifest.canary.percent > 0


@given(logs())
def test_folding_agrees_with_the_definition(manifests: list[Manifest]) -> None:
    for length in range(len(manifests) + 1):
        assert folded(manifests[:length]) == by_definition(manifests[:length])


@given(logs(), st.data())
def test_folding_on_from_any_checkpoint_is_folding_from_the_start(
    manifests: list[Manifest], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(manifests)))
    checkpoint = decode(Timeline, encode(folded(manifests[:cut])), "checkpoint")
    assert folded(manifests[cut:], checkpoint) == folded(manifests)


@given(logs())
def test_folding_is_pure(manifests: list[Manifest]) -> None:
    before = folded(manifests[:-1])
    copy = before.model_copy(deep=True)
    assert fold(before, manifests[-1]) == fold(before, manifests[-1])
    assert before == copy


@pytest.mark.parametrize("version", [1, 3, 7])
def test_a_manifest_out_of_turn_is_refused(version: int) -> None:
    manifest = Manifest(**dict(draft()), version=version, created_at=NOON, commit="c")
    with pytest.raises(ValueError, match="does not follow 1"):
        fold(Timeline(head=1), manifest)


def test_learnt_by_answers_for_every_unsettled_batch() -> None:
    queued, undecided, decided = BATCHES[:3]
    timeline = Timeline(head=9, undecided={undecided: 4}, decided={decided: 6})
    assert timeline.learnt_by(queued) is None
    assert timeline.learnt_by(undecided) == 4
    assert timeline.learnt_by(decided) == 6
