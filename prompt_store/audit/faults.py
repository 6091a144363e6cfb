"""What is wrong with a store: where, what, and what can be done."""

from dataclasses import dataclass

from prompt_store.backends.base import Backend
from prompt_store.errors import Corrupt, NotFound, StoreError, UnsupportedFormat
from prompt_store.records import RecordType, decode

RESTORE = "restore it from a backup"
UNREADABLE = (Corrupt, UnsupportedFormat)  # and not Unavailable, which says nothing of a record


@dataclass(frozen=True)
class Fault:
    """where: a key; what: the rest of a sentence about it; remedy: what to do."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}: {self.remedy}"


class Faults(list[Fault]):
    """The faults of one store, as they are found."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend

    def add(self, where: str, what: str, remedy: str = RESTORE) -> None:
        """Note a fault."""
        self.append(Fault(where, what, remedy))

    def unreadable(self, key: str, error: StoreError, remedy: str = RESTORE) -> None:
        """Note that a record cannot be read."""
        if isinstance(error, UnsupportedFormat):
            self.add(key, "was written by another version of this program", "use that version")
        else:
            self.add(key, "was truncated or altered after it was written", remedy)

    def past_the_end(self, key: str, version: int, head: int) -> None:
        """Note that a record speaks of a version that the log has not reached."""
        what = f"speaks of version {version}, but the log ends at {head}"
        self.add(key, what, "restore the log's newest entries from a backup")

    def read(self, record_type: type[RecordType], key: str) -> RecordType | None:
        """Return a record; None where it is gone by now, or cannot be read, which is noted."""
        try:
            return decode(record_type, self.backend.read(key), key)
        except NotFound:
            return None
        except UNREADABLE as error:
            self.unreadable(key, error)
            return None
