"""Stores in buckets, on real servers of S3 (moto) and Azure (Azurite)."""

import multiprocessing
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from benchmarks.running_server import free_port
from prompt_store import (
    AlreadyExists,
    InvalidKey,
    InvalidUrl,
    Kind,
    MemoryBackend,
    NotEmpty,
    Snapshot,
    Store,
    Unavailable,
    audit_store,
    batch_id,
    open_backend,
    restore,
)
from prompt_store.checks import BACKEND_CHECKS, Check, check_create_is_exclusive, run_check
from tests.prompt_store import bucket_servers
from tests.prompt_store.bucket_servers import AZURITE, BUCKET, BUSY, DEAF
from tests.prompt_store.drafts import append, batch, published
from tests.prompt_store.keeping import content_of, references, stocked
from tests.prompt_store.soundness import assert_sound, history
from tests.prompt_store.writers import append_entries

ENTRIES = 20
WRITERS = ("one", "two")

needs_azurite = pytest.mark.skipif(
    AZURITE is None, reason="azurite-blob is not on the PATH: npm install --global azurite"
)
SCHEMES = ["s3", pytest.param("az", marks=needs_azurite)]


@pytest.fixture(scope="module", autouse=True)
def _servers() -> Iterator[None]:
    with ExitStack() as running:
        for server in [bucket_servers.s3, *([bucket_servers.azure] if AZURITE else [])]:
            environment = running.enter_context(server())
            running.enter_context(bucket_servers.set_in(environment))
        yield


@pytest.fixture(params=SCHEMES)
def url(request: pytest.FixtureRequest) -> str:
    """Of a place of its own for each test."""
    return f"{request.param}://{BUCKET}/{secrets.token_hex(8)}/store"


@pytest.fixture
def s3_url() -> str:
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Check, url: str) -> None:
    backend = open_backend(url)
    run_check(check, backend)
    assert list(backend.list_after("")) == []


def test_a_store_lives_in_a_bucket(url: str) -> None:
    store = Store.open(url)
    given = batch()
    assert store.intake.accept(given)
    version = append(store, batches=(given.id,), blobs={"head": store.blobs.put(b"head")})
    append(store, Kind.TRAIN, decided=(given.id,))
    store.intake.settle(published(given.id, version))
    again = assert_sound(open_backend(url))
    assert again.blobs.get(again.manifest(version).blobs["head"]) == b"head"
    assert again.intake.settled_among([given.id]) == (given.id,)
    assert list(again.backend.list_after("probe/")) == []


def test_a_store_moves_into_a_bucket_and_back(url: str) -> None:
    here, there, back = stocked(), open_backend(url), MemoryBackend()
    restore(Snapshot(here, references).entries(), there)
    assert audit_store(there, references).faults == ()
    restore(Snapshot(Store.existing(there), references).entries(), back)
    assert content_of(back) == content_of(there)
    with pytest.raises(NotEmpty):
        restore(Snapshot(here, references).entries(), there)


def test_stores_in_one_bucket_do_not_meet(url: str) -> None:
    backends = [open_backend(place) for place in (url, url + "-2", url + "/below/")]
    for backend in backends:
        backend.create("key", repr(backend).encode())
    assert [backend.read("key") for backend in backends] == [
        repr(backend).encode() for backend in backends
    ]
    assert list(backends[1].list_after("")) == ["key"]


def test_a_whole_bucket_may_be_a_store(s3_url: str) -> None:
    name = s3_url.rpartition("/")[2]
    open_backend(f"s3://{BUCKET}").create(f"{name}/key", b"data")
    assert open_backend(s3_url).read("key") == b"data"


def test_a_folder_made_in_a_console_is_no_key(s3_url: str) -> None:
    backend = open_backend(s3_url)
    backend.create("log/1", b"")
    endpoint, place = os.environ["AWS_ENDPOINT_URL_S3"], s3_url.removeprefix("s3:/")
    for folder in ("", "log/"):
        httpx.put(f"{endpoint}{place}/{folder}", content=b"").raise_for_status()
    assert list(backend.list_after("log/")) == ["log/1"]


def test_what_is_larger_than_a_part_of_an_upload_is_exclusive_too(url: str) -> None:
    backend, large = open_backend(url), b"x" * 12_000_000
    backend.create("key", large)
    with pytest.raises(AlreadyExists):
        backend.create("key", large)
    assert backend.read("key") == large


@pytest.mark.parametrize("bucket", [DEAF, BUSY])
def test_a_put_that_went_wrong_is_not_taken_for_anothers(bucket: str) -> None:
    backend = open_backend(f"s3://{bucket}/{secrets.token_hex(8)}")
    run_check(check_create_is_exclusive, backend)
    store = Store.on(backend)
    for kind in (Kind.FENCE, Kind.REFRESH):
        append(store, kind)
    assert store.intake.accept(batch(batch_id("new")))
    assert store.erasures.ask("mail", after=2) in store.erasures.pending()
    assert [manifest.version for manifest in history(backend)] == [1, 2]


@pytest.mark.slow
def test_processes_racing_to_append_make_one_dense_history(url: str) -> None:
    spawn = multiprocessing.get_context("spawn")  # obstore's threads do not survive a fork
    with ProcessPoolExecutor(len(WRITERS), mp_context=spawn) as pool:
        racing = [pool.submit(append_entries, url, writer, ENTRIES) for writer in WRITERS]
        appended = {writer: entry.result() for writer, entry in zip(WRITERS, racing, strict=True)}
    manifests = history(assert_sound(open_backend(url)).backend)
    assert [manifest.version for manifest in manifests] == list(range(1, 2 * ENTRIES + 1))
    for writer, versions in appended.items():
        own = [manifest for manifest in manifests if manifest.writer == writer]
        assert [manifest.version for manifest in own] == versions
        assert [manifest.metrics["n"] for manifest in own] == list(range(ENTRIES))


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "gs://B", "az://bucket?x=1", "s3://a b/c"])
def test_a_url_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl, match="s3://bucket/prefix"):
        open_backend(url)


@pytest.mark.parametrize("prefix", ["../x", "a//b", "a b", "x?region=y", ".hidden"])
def test_a_prefix_that_is_no_key_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidKey, match="not allowed"):
        open_backend(f"s3://{BUCKET}/{prefix}")


def trouble_with(url: str) -> str:
    """What opening a store there says, twice the same: a log must not repeat it for ever."""
    said = set()
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            Store.open(url)
        said.add(str(caught.value))
    (message,) = said
    assert message.startswith(f"{url} cannot be used: ")
    assert "\n" not in message
    return message


def test_an_absent_bucket_is_named() -> None:
    assert "no such bucket" in trouble_with("s3://absent/store")


@needs_azurite
def test_an_absent_container_is_named() -> None:
    assert "no such bucket" in trouble_with("az://absent/store")


def test_reading_from_a_bucket_that_has_gone_is_not_taken_for_a_missing_key() -> None:
    backend = open_backend("s3://absent/store")
    for read in (lambda: backend.read("key"), lambda: list(backend.list_after(""))):
        with pytest.raises(Unavailable, match="no such bucket"):
            read()


@pytest.mark.slow
def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    assert "Set AWS_ACCESS_KEY_ID" in trouble_with(f"s3://{BUCKET}/store")


def test_a_missing_account_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    assert "Set AZURE_STORAGE_ACCOUNT_NAME" in trouble_with("az://container/store")


def test_denied_access_is_named() -> None:
    counts = os.environ["AWS_ENDPOINT_URL_S3"] + "/moto-api/reset-auth"
    httpx.post(counts, content=b"0").raise_for_status()  # from now on moto asks for rights
    try:
        said = trouble_with(f"s3://{BUCKET}/store")
    finally:
        httpx.post(counts, content=b"inf").raise_for_status()
    assert "access is denied" in said
    assert "InvalidAccessKeyId" in said
    assert "get, put, delete and list" in said


@pytest.mark.slow
def test_an_endpoint_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    said = trouble_with(f"s3://{BUCKET}/store")
    assert endpoint in said
    assert "Check the network" in said
