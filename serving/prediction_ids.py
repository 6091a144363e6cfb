"""Names of predictions. A name says by itself which version said which class: nobody keeps them.

32 characters of base64url: version (4 bytes), place of the class in the version's labels (4),
random (8), seal (8). The seal is a digest of the rest, keyed with the version's `commit`: random,
in the store, told to nobody. So every replica knows its store's own names from all others.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from struct import Struct

from learner.content import split_class
from prompt_store import Manifest

_BODY = Struct(">II8s")
_SEAL_BYTES = 8
_RANDOM_BYTES = 8
_NAME = re.compile(r"[A-Za-z0-9_-]{32}")


class ForeignId(ValueError):
    """It names no prediction of this store."""


def prediction_id(manifest: Manifest, place: int) -> str:
    """A new name for an answer of this version. place: in its labels, of the class it put first."""
    body = _BODY.pack(manifest.version, place, os.urandom(_RANDOM_BYTES))
    return urlsafe_b64encode(body + _seal(body, manifest)).decode("ascii")


def predicted(name: str, manifest_of: Callable[[int], Manifest]) -> tuple[Manifest, str, str]:
    """The version that gave the answer of this name, the task and the label that it put first.

    Raises ForeignId, and what `manifest_of` raises for a version that is no longer kept.
    """
    if not _NAME.fullmatch(name):
        raise ForeignId("a prediction's id has 32 letters, digits, '-' and '_'")
    raw = urlsafe_b64decode(name)
    body, seal = raw[: _BODY.size], raw[_BODY.size :]
    version, place, _ = _BODY.unpack(body)
    manifest = manifest_of(version)
    if not hmac.compare_digest(seal, _seal(body, manifest)):
        raise ForeignId("no prediction of this server has this id")
    return manifest, *split_class(manifest.labels[place])


def _seal(body: bytes, manifest: Manifest) -> bytes:
    key = manifest.commit.encode()
    return hashlib.blake2b(body, key=key, digest_size=_SEAL_BYTES).digest()
