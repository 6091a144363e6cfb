"""The prompt store: an append-only, crash-safe memory of versions, their content and the intake."""

from prompt_store.actor import Actor
from prompt_store.archive import read_archive, restore, write_archive
from prompt_store.audit import Audit, Fault, audit_store
from prompt_store.backends import (
    Backend,
    LocalBackend,
    MemoryBackend,
    local_folder,
    open_backend,
)
from prompt_store.batch import Batch, Example, Outcome
from prompt_store.batch_ids import batch_id, made_at
from prompt_store.blobs import Blobs, digest_of
from prompt_store.census import Census, take_census
from prompt_store.checks import check_backend
from prompt_store.deeds import Deed, deeds_of
from prompt_store.erasures import Erasure, Erasures
from prompt_store.errors import (
    AlreadyExists,
    BodyMismatch,
    Conflict,
    Corrupt,
    CorruptBlob,
    CorruptRecord,
    FencedOut,
    InvalidArchive,
    InvalidDraft,
    InvalidKey,
    InvalidTensor,
    InvalidUrl,
    NotEmpty,
    NotFound,
    StoreError,
    Unavailable,
    UnknownVersion,
    UnsafeBackend,
    UnsupportedFormat,
)
from prompt_store.intake import Intake
from prompt_store.keys import KeyEntry, Keys, KeyTerms, StoredKey, new_key
from prompt_store.log import Log
from prompt_store.manifest import (
    Canary,
    Draft,
    HarmRules,
    Int8Verdict,
    Kind,
    Manifest,
    MethodReference,
    Prequential,
    TaskEntry,
)
from prompt_store.references import References
from prompt_store.retention import (
    Forgotten,
    Retention,
    RetentionConfig,
    Round,
    forgotten_reports,
)
from prompt_store.snapshot import Snapshot
from prompt_store.store import Store
from prompt_store.timeline import Timeline, fold

__all__ = [
    "Actor",
    "AlreadyExists",
    "Audit",
    "Backend",
    "Batch",
    "Blobs",
    "BodyMismatch",
    "Canary",
    "Census",
    "Conflict",
    "Corrupt",
    "CorruptBlob",
    "CorruptRecord",
    "Deed",
    "Draft",
    "Erasure",
    "Erasures",
    "Example",
    "Fault",
    "FencedOut",
    "Forgotten",
    "HarmRules",
    "Int8Verdict",
    "Intake",
    "InvalidArchive",
    "InvalidDraft",
    "InvalidKey",
    "InvalidTensor",
    "InvalidUrl",
    "KeyEntry",
    "KeyTerms",
    "Keys",
    "Kind",
    "LocalBackend",
    "Log",
    "Manifest",
    "MemoryBackend",
    "MethodReference",
    "NotEmpty",
    "NotFound",
    "Outcome",
    "Prequential",
    "References",
    "Retention",
    "RetentionConfig",
    "Round",
    "Snapshot",
    "Store",
    "StoreError",
    "StoredKey",
    "TaskEntry",
    "Timeline",
    "Unavailable",
    "UnknownVersion",
    "UnsafeBackend",
    "UnsupportedFormat",
    "audit_store",
    "batch_id",
    "check_backend",
    "deeds_of",
    "digest_of",
    "fold",
    "forgotten_reports",
    "local_folder",
    "made_at",
    "new_key",
    "open_backend",
    "read_archive",
    "restore",
    "take_census",
    "write_archive",
]
