"""Everything the store raises.

StoreError
├── AlreadyExists        a key is taken (a backend's exclusive `create`)
├── NotFound             a key, blob or batch is absent
│   └── UnknownVersion   no manifest with that number is kept
├── InvalidKey           a key a backend refuses (path traversal, odd characters)
├── InvalidUrl           a place that no backend is for
├── Unavailable          a bucket does not answer, or refuses us
├── UnsafeBackend        create-if-absent is not exclusive there: nothing may be stored
├── UnsupportedFormat    written by another version of this program
├── Conflict             another writer committed first; `.head` says where the log ends
├── FencedOut            a newer learner holds the log; this one stops
├── InvalidDraft         a draft contradicts the history it is appended to
├── BodyMismatch         a batch id used again with another body
├── InvalidArchive       a file that is not, wholly and safely, an archive of a store
├── NotEmpty             an import needs a place without a store
├── InvalidTensor        a tensor that is not finite, not allowed or not what its header says
└── Corrupt              stored bytes are not what was written
    ├── CorruptBlob
    └── CorruptRecord
"""


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class AlreadyExists(StoreError):
    """`create` found the key taken."""


class NotFound(StoreError):
    """A key, blob or batch is not there."""


class UnknownVersion(NotFound):
    """No manifest with this number is kept."""


class InvalidKey(StoreError, ValueError):
    """A key outside the allowed form."""


class InvalidUrl(StoreError, ValueError):
    """A URL that names no place for a store."""


class Unavailable(StoreError):
    """The place cannot be used as things are: credentials, rights, bucket or network."""


class UnsafeBackend(StoreError):
    """The place cannot promise that `create` is exclusive and durable."""


class UnsupportedFormat(StoreError):
    """A record that another version of this program wrote and this one cannot read."""


class Conflict(StoreError):
    """The number is taken, or lies in the past. Read the log again and decide again."""

    def __init__(self, message: str, *, head: int) -> None:
        super().__init__(message)
        self.head = head


class FencedOut(StoreError):
    """A learner with a higher epoch has started; stop."""


class InvalidDraft(StoreError, ValueError):
    """A draft that contradicts the history it is appended to."""


class BodyMismatch(StoreError):
    """The same batch id with another body."""


class InvalidArchive(StoreError):
    """A file that is not, wholly and safely, an archive of a store."""


class NotEmpty(StoreError):
    """A place for a new store that holds something already."""


class InvalidTensor(StoreError, ValueError):
    """A tensor that must not be stored or used."""


class Corrupt(StoreError):
    """Stored bytes are not the bytes that were written."""


class CorruptBlob(Corrupt):
    """A blob that does not match the digest it is named by."""


class CorruptRecord(Corrupt):
    """A JSON record that is truncated or altered."""
