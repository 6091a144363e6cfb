"""Whether a store is sound: every record, digest and reference of it is looked at, none changed.

It may be in use. What points is read before what it points to, and writers make what is pointed to
first: blobs, then batches, then manifests, then outcomes. What is found missing is asked for once
more, since retention and the learner delete; and the log is read again where its floor has moved.
"""

from dataclasses import dataclass

from prompt_store.audit.batches import Batches
from prompt_store.audit.content import audit_blobs
from prompt_store.audit.faults import UNREADABLE, Fault, Faults
from prompt_store.audit.history import read_history
from prompt_store.audit.retained import audit_retained
from prompt_store.backends.base import Backend
from prompt_store.blobs import Blobs
from prompt_store.erasures import ERASURES, Erasure, erasure_key
from prompt_store.errors import NotFound
from prompt_store.keys import KEYS, Keys
from prompt_store.references import Progress, References, no_progress
from prompt_store.store import FORMAT_KEY, StoreFormat

__all__ = ["Audit", "Fault", "audit_store"]


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what is wrong.

    orphans: blobs that nothing names, of a write that broke off or is under way; None where a
    record that may name some cannot be read
    """

    manifests: int
    batches: int
    blobs: int
    faults: tuple[Fault, ...]
    orphans: tuple[str, ...] | None


def audit_store(
    backend: Backend, references: References, progress: Progress = no_progress
) -> Audit:
    """Look at everything in the store of `backend`; nothing is written. Raises Unavailable."""
    faults = Faults(backend)
    _audit_format(faults)
    _audit_keys(faults)
    listed = Blobs(backend).digests()
    erasures = [
        found for key in faults.backend.list_after(ERASURES) if (found := faults.read(Erasure, key))
    ]
    batches = Batches(faults)
    history = read_history(backend)
    faults.extend(history.faults)
    for erasure in erasures:
        if erasure.after > history.head:
            faults.past_the_end(erasure_key(erasure.id), erasure.after, history.head)
    batches.compare(history)
    audit_retained(faults)
    mentions = batches.mentions | history.mentions
    named, readable = audit_blobs(faults, mentions, references, progress)
    certain = readable and batches.readable and history.readable
    return Audit(
        manifests=history.manifests,
        batches=len(batches.known),
        blobs=len(named),
        faults=tuple(faults),
        orphans=tuple(sorted(set(listed) - named)) if certain else None,
    )


def _audit_format(faults: Faults) -> None:
    try:
        StoreFormat.read(faults.backend)
    except NotFound:
        remedy = "if an import or a copy was broken off, empty the place and begin again"
        faults.add(FORMAT_KEY, "is missing", remedy)
    except UNREADABLE as error:
        faults.unreadable(FORMAT_KEY, error)


def _audit_keys(faults: Faults) -> None:
    try:
        Keys(faults.backend).entries()
    except UNREADABLE as error:
        remedy = "servers on this store refuse to start until it is restored"
        faults.add(KEYS, f"cannot be believed ({error})", remedy)
