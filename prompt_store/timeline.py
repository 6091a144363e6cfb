"""What the log says so far: the state that every manifest is folded into."""

from collections.abc import Iterable

from pydantic import Field

from prompt_store.fields import BatchId, Count, Number
from prompt_store.manifest import Kind, Manifest
from prompt_store.milestones import Milestone


class Timeline(Milestone):
    """The log up to `head`, folded. Also what a checkpoint stores."""

    head: Count = 0  # number of the last manifest; 0 for an empty log
    live: Number | None = None
    lineage: Number | None = None  # where training goes on from
    epoch: Count = 0
    canary: Number | None = None  # which manifest speaks of the one under way
    canary_end: Number | None = None  # which manifest ended the last one
    undecided: dict[BatchId, Number] = Field(default_factory=dict)
    decided: dict[BatchId, Number] = Field(default_factory=dict)  # not yet noted as settled

    @property
    def number(self) -> int:
        """Where in the log this state stands."""
        return self.head

    @property
    def unsettled(self) -> frozenset[str]:
        """The batches that a version has learnt and that are not noted as settled."""
        return frozenset((*self.undecided, *self.decided))

    def learnt_by(self, batch: str) -> int | None:
        """Return the version that learnt, or else decided, an unsettled batch; None: still queued.

        For every batch that is pending in the intake this is the exactly-once question.
        """
        return self.undecided.get(batch) or self.decided.get(batch)


def fold(timeline: Timeline, manifest: Manifest) -> Timeline:
    """Return the timeline after `manifest`, which must be the next one. Pure.

    Raises:
        ValueError: a manifest out of turn.
    """
    if manifest.version != timeline.head + 1:
        raise ValueError(f"Manifest {manifest.version} does not follow {timeline.head}")
    undecided = timeline.undecided | dict.fromkeys(manifest.batches, manifest.version)
    decided = timeline.decided | dict.fromkeys(manifest.decided, manifest.version)
    canary = _canary(timeline, manifest)
    ended = timeline.canary is not None and canary is None
    return Timeline(
        head=manifest.version,
        live=manifest.version if manifest.kind.goes_live else timeline.live,
        lineage=_lineage(timeline, manifest),
        epoch=max(timeline.epoch, manifest.epoch),
        canary=canary,
        canary_end=manifest.version if ended else timeline.canary_end,
        undecided=_without(undecided, manifest.decided),
        decided=_without(decided, manifest.settled),
    )


def _lineage(timeline: Timeline, manifest: Manifest) -> int | None:
    # A refresh has its parent's prompts; marks have none. All other kinds set the prompts.
    if manifest.kind is Kind.REFRESH or not manifest.kind.has_content:
        return timeline.lineage
    return manifest.version


def _canary(timeline: Timeline, manifest: Manifest) -> int | None:
    # What is learnt leaves it as it is.
    if manifest.canary is not None:
        return manifest.version if manifest.canary.percent else None
    return None if manifest.kind.ends_canary else timeline.canary


def _without(batches: dict[str, int], gone: Iterable[str]) -> dict[str, int]:
    removed = set(gone)
    return {batch: version for batch, version in batches.items() if batch not in removed}
