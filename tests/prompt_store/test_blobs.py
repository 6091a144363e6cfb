import logging

import numpy as np
import pytest

from prompt_store import Blobs, CorruptBlob, InvalidTensor, MemoryBackend, NotFound, digest_of
from tests.prompt_store.faults import CountingBackend


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def replace(backend: MemoryBackend, digest: str, data: bytes) -> None:
    backend.delete(f"blobs/{digest}")
    backend.create(f"blobs/{digest}", data)


@pytest.mark.parametrize("data", [b"", b"content", bytes(range(256)) * 1000])
def test_put_is_idempotent_and_get_gives_it_back(backend: MemoryBackend, data: bytes) -> None:
    blobs = Blobs(backend)
    digests = {blobs.put(data) for _ in range(3)}
    assert digests == {digest_of(data)}
    assert blobs.get(digest_of(data)) == data
    assert blobs.exists(digest_of(data))
    assert len(list(backend.list_after("blobs/"))) == 1


@pytest.mark.parametrize("damaged", [b"", b"conten", b"Content", b"content "])
def test_a_damaged_blob_is_refused_and_mended_by_putting_it_again(
    backend: MemoryBackend, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = Blobs(backend)
    digest = blobs.put(b"content")
    replace(backend, digest, damaged)
    with pytest.raises(CorruptBlob, match=digest):
        blobs.get(digest)
    with caplog.at_level(logging.WARNING):
        assert blobs.put(b"content") == digest
    assert "damaged" in caplog.text
    assert blobs.get(digest) == b"content"


class Vanishing(CountingBackend):
    """Deletes what is about to be read, once: retention running beside a writer."""

    def read(self, key: str) -> bytes:
        if not self.calls["read"]:
            self.inner.delete(key)
        return super().read(key)


def test_a_blob_deleted_while_it_is_put_again_is_written_again(backend: MemoryBackend) -> None:
    digest = Blobs(backend).put(b"content")
    assert Blobs(Vanishing(backend)).put(b"content") == digest
    assert Blobs(backend).get(digest) == b"content"


@pytest.mark.parametrize("name", ["", "../format.json", "a" * 63, "A" * 64, digest_of(b"no")])
def test_absent_and_malformed_names_are_not_found(backend: MemoryBackend, name: str) -> None:
    with pytest.raises(NotFound):
        Blobs(backend).get(name)


def test_tensors_are_blobs(backend: MemoryBackend) -> None:
    blobs = Blobs(backend)
    digest = blobs.put_tensors({"a": np.eye(2), "b": np.ones(1, bool)}, {"role": "head"})
    assert digest == blobs.put_tensors({"b": np.ones(1, bool), "a": np.eye(2)}, {"role": "head"})
    tensors, metadata = blobs.get_tensors(digest)
    assert np.array_equal(tensors["a"], np.eye(2))
    assert metadata == {"role": "head"}
    with pytest.raises(InvalidTensor):
        blobs.get_tensors(blobs.put(b"no tensors"))
    with pytest.raises(InvalidTensor):
        blobs.put_tensors({"a": np.full(1, np.nan)})
