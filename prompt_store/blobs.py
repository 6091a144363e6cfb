"""Immutable content, named by its sha256 and verified whenever it is read."""

import hashlib
import logging
import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from prompt_store.backends.base import Backend
from prompt_store.errors import AlreadyExists, CorruptBlob, NotFound
from prompt_store.tensors import decode_tensors, encode_tensors

logger = logging.getLogger(__name__)

BLOBS = "blobs/"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """Return the name of `data`: its sha256, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class Blobs:
    """The folder `blobs/`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def digests(self) -> list[str]:
        """Return the name of every blob there is, sorted."""
        return [key.removeprefix(BLOBS) for key in self._backend.list_after(BLOBS)]

    def put(self, data: bytes) -> str:
        """Store `data` and return its digest; durable, and verified where it was there already."""
        digest = digest_of(data)
        try:
            self._backend.create(blob_key(digest), data)
        except AlreadyExists:
            self._restore_if_damaged(digest, data)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the content. Raises NotFound, CorruptBlob."""
        data = self._backend.read(blob_key(digest))
        if digest_of(data) != digest:
            raise CorruptBlob(
                f"Blob {digest} holds {len(data)} bytes of other content: restore it from a backup "
                "or promote a version that does not use it"
            )
        return data

    def exists(self, digest: str) -> bool:
        """Say whether the blob is there, without reading it."""
        return self._backend.exists(blob_key(digest))

    def put_tensors(
        self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
    ) -> str:
        """Store tensors as safetensors; equal tensors give equal digests. Raises InvalidTensor."""
        return self.put(encode_tensors(tensors, metadata))

    def get_tensors(self, digest: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Return tensors and metadata. Raises NotFound, CorruptBlob, InvalidTensor."""
        return decode_tensors(self.get(digest))

    def _restore_if_damaged(self, digest: str, data: bytes) -> None:
        """Whoever puts content again holds a good copy: use it."""
        try:
            if self._backend.read(blob_key(digest)) == data:
                return
            logger.warning("Blob %s was damaged; writing it again", digest)
            self._backend.delete(blob_key(digest))
        except NotFound:
            logger.warning("Blob %s was deleted while it was put; writing it again", digest)
        self.put(data)


def blob_key(digest: str) -> str:
    """Where a blob lies. Raises NotFound for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest[:80]!r} is no blob: a name is 64 hexadecimal digits")
    return BLOBS + digest
