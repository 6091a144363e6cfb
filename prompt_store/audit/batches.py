"""Whether the intake is readable, and agrees with the log about what was learnt."""

from prompt_store.audit.faults import Faults
from prompt_store.audit.history import History
from prompt_store.batch import Batch, Settled
from prompt_store.intake import PENDING, SETTLED, Intake, pending_key, settled_key
from prompt_store.log import log_key
from prompt_store.references import Mention, named_by_batch

REPEATED = "restore intake/ from a backup, or a client that repeats it has it learnt twice"


class Batches:
    """The intake as it was read. Made before the log is read, compared with it afterwards.

    known: the ids of all batches; mentions: blobs that pending ones name, by digest
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.known: set[str] = set()
        self.mentions: dict[str, Mention] = {}
        self._published: dict[str, int] = {}
        # In this order: `settle` creates the second before it deletes the first.
        for key in faults.backend.list_after(PENDING):
            self._take_pending(key)
        for key in faults.backend.list_after(SETTLED):
            self._take_settled(key)

    @property
    def readable(self) -> bool:
        """Whether no pending batch is damaged."""
        return not any(fault.where.startswith(PENDING) for fault in self._faults)

    def compare(self, history: History) -> None:
        """Note what the log knows and the intake does not, and the other way round."""
        for batch, version in self._published.items():
            if version > history.head:
                self._faults.past_the_end(settled_key(batch), version, history.head)
            elif history.whole and batch not in history.learnt:
                what = "calls a batch published that no version has learnt"
                self._faults.add(settled_key(batch), what, "send it again under another key")
        intake = Intake(self._faults.backend)
        for batch, version in history.named.items():
            if batch not in self.known and not intake.knows(batch):
                what = f"names batch {batch}, which the intake does not know"
                self._faults.add(log_key(version), what, REPEATED)

    def _take_pending(self, key: str) -> None:
        batch = self._faults.read(Batch, key)
        if batch is not None and self._is_named_right(key, pending_key(batch.id)):
            self.known.add(batch.id)
            self.mentions |= named_by_batch(batch)

    def _take_settled(self, key: str) -> None:
        settled = self._faults.read(Settled, key)
        if settled is None or not self._is_named_right(key, settled_key(settled.batch)):
            return
        self.known.add(settled.batch)
        if settled.version is not None:
            self._published[settled.batch] = settled.version

    def _is_named_right(self, key: str, expected: str) -> bool:
        if key != expected:
            self._faults.add(key, f"holds what belongs at {expected}", "rename it")
        return key == expected
