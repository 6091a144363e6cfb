"""Blobs that nothing names and that are to be deleted, told before anything is deleted.

    condemned/<sha256>.json    from the sweep that finds nobody naming it
    copies/<sha256>/<copy>     what a writer relies on that needs the content all the same

A delete cannot be called back, so nobody relies on a condemned key: whoever needs its content
copies it to a key of which that sweep knows nothing.
"""

from prompt_store.backends.base import Backend
from prompt_store.errors import NotFound
from prompt_store.fields import Count, Digest, Moment, Name
from prompt_store.records import Record, decode

CONDEMNED = "condemned/"
COPIES = "copies/"
_SUFFIX = ".json"


class Condemned(Record):
    """Why and since when. copy: the key of a copy made because of this; size: bytes."""

    digest: Digest
    condemned_at: Moment
    copy_name: Name
    size: Count

    @property
    def copy_key(self) -> str:
        """Where whoever needs the content puts it."""
        return f"{copies_of(self.digest)}{self.copy_name}"


def condemned_digests(backend: Backend) -> list[str]:
    """Every condemned blob's digest, sorted."""
    keys = backend.list_after(CONDEMNED)
    return [key.removeprefix(CONDEMNED).removesuffix(_SUFFIX) for key in keys]


def find_condemned(backend: Backend, digest: str) -> Condemned | None:
    """The record; None where the blob is not condemned. Raises CorruptRecord."""
    key = condemned_key(digest)
    try:
        return decode(Condemned, backend.read(key), key)
    except NotFound:
        return None


def condemned_key(digest: str) -> str:
    """Where the record of a blob lies."""
    return f"{CONDEMNED}{digest}{_SUFFIX}"


def copies_of(digest: str) -> str:
    """The folder of a blob's copies."""
    return f"{COPIES}{digest}/"
