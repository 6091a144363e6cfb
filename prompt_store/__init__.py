"""The prompt store: an append-only, crash-safe memory of versions, their content and the intake."""

from prompt_store.backends import Backend, LocalBackend, MemoryBackend, open_backend
from prompt_store.batch import Batch, Example, Outcome
from prompt_store.batch_ids import batch_id
from prompt_store.blobs import Blobs, digest_of
from prompt_store.checks import check_backend
from prompt_store.erasures import Erasure, Erasures
from prompt_store.errors import (
    AlreadyExists,
    BodyMismatch,
    Conflict,
    Corrupt,
    CorruptBlob,
    CorruptRecord,
    FencedOut,
    InvalidDraft,
    InvalidKey,
    InvalidTensor,
    InvalidUrl,
    NotFound,
    StoreError,
    Unavailable,
    UnknownVersion,
    UnsafeBackend,
    UnsupportedFormat,
)
from prompt_store.intake import Intake
from prompt_store.log import Log
from prompt_store.manifest import (
    Draft,
    Int8Verdict,
    Kind,
    Manifest,
    MethodReference,
    Prequential,
    TaskEntry,
)
from prompt_store.store import Store
from prompt_store.timeline import Timeline, fold

__all__ = [
    "AlreadyExists",
    "Backend",
    "Batch",
    "Blobs",
    "BodyMismatch",
    "Conflict",
    "Corrupt",
    "CorruptBlob",
    "CorruptRecord",
    "Draft",
    "Erasure",
    "Erasures",
    "Example",
    "FencedOut",
    "Int8Verdict",
    "Intake",
    "InvalidDraft",
    "InvalidKey",
    "InvalidTensor",
    "InvalidUrl",
    "Kind",
    "LocalBackend",
    "Log",
    "Manifest",
    "MemoryBackend",
    "MethodReference",
    "NotFound",
    "Outcome",
    "Prequential",
    "Store",
    "StoreError",
    "TaskEntry",
    "Timeline",
    "Unavailable",
    "UnknownVersion",
    "UnsafeBackend",
    "UnsupportedFormat",
    "batch_id",
    "check_backend",
    "digest_of",
    "fold",
    "open_backend",
]
