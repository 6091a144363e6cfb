"""Numbered records of derived state: checkpoints and floors. The newest readable one counts."""

import logging
import re
from abc import abstractmethod
from typing import Generic, TypeVar

from prompt_store.backends.base import Backend
from prompt_store.errors import (
    AlreadyExists,
    CorruptRecord,
    NotFound,
    StoreError,
    UnsupportedFormat,
)
from prompt_store.records import Record, decode, encode

logger = logging.getLogger(__name__)

KEPT = 2  # the newest, and one to fall back on
ATTEMPTS = 100  # a record read can vanish only when KEPT newer ones have been added meanwhile
_FILE = re.compile(r"(\d{20})\.json")


class Milestone(Record):
    """A record that stands at a number of the log."""

    @property
    @abstractmethod
    def number(self) -> int:
        """The number of the log that this record speaks of."""


MilestoneType = TypeVar("MilestoneType", bound=Milestone)


class Milestones(Generic[MilestoneType]):
    """A folder of milestones of one type."""

    def __init__(self, backend: Backend, folder: str, record_type: type[MilestoneType]) -> None:
        self._backend = backend
        self._folder = folder
        self._type = record_type

    def numbers(self) -> list[int]:
        """Return the numbers there are, ascending, readable or not."""
        keys = self._backend.list_after(self._folder)
        files = (_FILE.fullmatch(key.removeprefix(self._folder)) for key in keys)
        return [int(file[1]) for file in files if file]

    def newest_number(self) -> int:
        """Return the newest number, 0 where there is none."""
        return max(self.numbers(), default=0)

    def newest(self) -> MilestoneType | None:
        """Return the newest readable record; each unreadable one is logged and passed over."""
        for _ in range(ATTEMPTS):
            try:
                return self._newest_of(self.numbers())
            except NotFound:
                continue  # pruned since the listing: newer ones are there
        raise StoreError(f"{self._folder} changes faster than it can be read")

    def read(self, number: int) -> MilestoneType:
        """Return one. Raises NotFound, CorruptRecord, UnsupportedFormat."""
        key = milestone_key(self._folder, number)
        milestone = decode(self._type, self._backend.read(key), key)
        if milestone.number != number:
            raise CorruptRecord(f"{key} speaks of {milestone.number}: it was renamed or copied")
        return milestone

    def add(self, milestone: MilestoneType) -> None:
        """Store a record; where its number is taken, the record there says the same."""
        try:
            self._backend.create(milestone_key(self._folder, milestone.number), encode(milestone))
        except AlreadyExists:
            return
        for number in self.numbers()[:-KEPT]:
            self._backend.delete(milestone_key(self._folder, number))

    def _newest_of(self, numbers: list[int]) -> MilestoneType | None:
        for number in reversed(numbers):
            try:
                return self.read(number)
            except (CorruptRecord, UnsupportedFormat) as error:
                logger.warning("Passing over an unreadable record: %s", error)
        return None


def milestone_key(folder: str, number: int) -> str:
    """Where the record that stands at `number` lies."""
    return f"{folder}{number:020d}.json"
