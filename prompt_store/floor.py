"""The floor: what lies at or below it is past, and deleted unless it is named as kept."""

from prompt_store.fields import Number
from prompt_store.milestones import Milestone


class Floor(Milestone):
    """Written before anything at or below `top` is deleted.

    A log without gaps would let a writer that slept create a deleted number again. The floor is
    how such a writer learns that its number lies in the past.
    """

    top: Number
    kept: tuple[Number, ...] = ()

    @property
    def number(self) -> int:
        """The highest number that may be deleted."""
        return self.top

    def has_retired(self, version: int) -> bool:
        """Whether the log has no place for this version any more."""
        return version <= self.top and version not in self.kept
