"""Immutable content, named by its sha256 and verified whenever it is read."""

import hashlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from prompt_store.backends.base import Backend
from prompt_store.condemned import COPIES, condemned_key, copies_of, find_condemned
from prompt_store.errors import AlreadyExists, CorruptBlob, NotFound
from prompt_store.tensors import decode_tensors, encode_tensors

logger = logging.getLogger(__name__)

BLOBS = "blobs/"
FRESH = 600.0  # seconds; far below the hour for which a sweep waits at least
REMEMBERED = 4096  # puts
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_of(data: bytes) -> str:
    """Return the name of `data`: its sha256, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


class Blobs:
    """The folders `blobs/` and `copies/`."""

    def __init__(self, backend: Backend, *, clock: Callable[[], float] = time.time) -> None:
        self._backend = backend
        self._clock = clock
        self._put_at: OrderedDict[str, float] = OrderedDict()

    def digests(self) -> list[str]:
        """Return the name of every blob there is, sorted."""
        plain = {key.removeprefix(BLOBS) for key in self._backend.list_after(BLOBS)}
        copied = {key.split("/")[1] for key in self._backend.list_after(COPIES)}
        return sorted(plain | copied)

    def put(self, data: bytes) -> str:
        """Store `data` and return its digest; durable, and verified where it was there already."""
        digest = digest_of(data)
        try:
            self._backend.create(blob_key(digest), data)
        except AlreadyExists:
            self._restore_if_damaged(digest, data)
            self._spare(digest, data)
        self._put_at[digest] = self._clock()
        while len(self._put_at) > REMEMBERED:
            self._put_at.popitem(last=False)
        return digest

    def secure(self, digest: str, *, put_before: bool) -> None:
        """Make sure that a blob is there and stays, for somebody is about to name it.

        put_before: whether the caller has put it; then one `exists` is enough where that was here
        and a moment ago, else it takes two.

        Raises:
            NotFound: it is absent, or a sweep has taken it: put it (again).
        """
        age = self._clock() - self._put_at.get(digest, float("-inf"))
        if not (put_before and 0 <= age < FRESH) and not self.exists(digest):
            raise NotFound(f"Blob {digest} is absent")
        if self._backend.exists(condemned_key(digest)):
            self._spare(digest)

    def keys(self, digest: str) -> list[str]:
        """Return where the content lies: one key, or more after a sweep had condemned it."""
        key = blob_key(digest)
        plain = [key] if self._backend.exists(key) else []
        return [*plain, *self._copies(digest)]

    def get(self, digest: str) -> bytes:
        """Return the content. Raises NotFound, CorruptBlob."""
        data = self._read(digest)
        if digest_of(data) != digest:
            raise CorruptBlob(
                f"Blob {digest} holds {len(data)} bytes of other content: restore it from a backup "
                "or promote a version that does not use it"
            )
        return data

    def exists(self, digest: str) -> bool:
        """Say whether the blob is there, without reading it."""
        key = blob_key(digest)
        return self._backend.exists(key) or any(True for _ in self._copies(digest))

    def put_tensors(
        self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
    ) -> str:
        """Store tensors as safetensors; equal tensors give equal digests. Raises InvalidTensor."""
        return self.put(encode_tensors(tensors, metadata))

    def get_tensors(self, digest: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Return tensors and metadata. Raises NotFound, CorruptBlob, InvalidTensor."""
        return decode_tensors(self.get(digest))

    def _copies(self, digest: str) -> Iterator[str]:
        return self._backend.list_after(copies_of(digest))

    def _read(self, digest: str) -> bytes:
        key = blob_key(digest)
        try:
            return self._backend.read(key)
        except NotFound:
            for copy in self._copies(digest):
                return self._backend.read(copy)
            raise

    def _spare(self, digest: str, data: bytes | None = None) -> None:
        """Copy what is condemned to where that sweep does not reach. Raises NotFound."""
        condemned = find_condemned(self._backend, digest)
        if condemned is not None:
            content = self.get(digest) if data is None else data
            with suppress(AlreadyExists):
                self._backend.create(condemned.copy_key, content)

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
