"""Whether every blob that is named is there, is what its name says, and is well-formed."""

from collections.abc import Mapping

from prompt_store.audit.faults import Faults
from prompt_store.blobs import BLOBS, Blobs
from prompt_store.errors import CorruptBlob, NotFound, StoreError
from prompt_store.references import Found, Mention, Progress, References, follow

REMEDY = "restore it from a backup, or promote a version that does not use it"


def audit_blobs(
    faults: Faults, mentions: Mapping[str, Mention], references: References, progress: Progress
) -> tuple[set[str], bool]:
    """Read every blob that is named; return their digests, and whether all could be read."""
    named: set[str] = set()
    before = len(faults)
    for found in follow(Blobs(faults.backend), mentions, references, progress):
        named.add(found.digest)
        if isinstance(found.data, StoreError):
            _note(faults, found, found.data)
    return named, len(faults) == before


def _note(faults: Faults, found: Found, error: StoreError) -> None:
    where, role = found.mention.where, found.mention.role
    if isinstance(error, NotFound):
        if not faults.backend.exists(where):
            return  # who named it is gone by now, and so it may be
        what = "is missing"
    elif isinstance(error, CorruptBlob):
        what = "holds other bytes than its name says"
    else:
        what = f"is malformed ({error})"
    faults.add(BLOBS + found.digest, f"{what}; {where} names it as {role!r}", REMEDY)
