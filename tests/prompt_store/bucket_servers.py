"""Real servers of buckets on loopback, and the environment that leads a store to them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate

import httpx
import pytest

BUCKET = "bucket"  # everywhere
DEAF = "deaf-bucket"  # of S3: carries the first put of a key out and does not answer
BUSY = "busy-bucket"  # of S3: answers the first put of a key as if it met another or a delete
REGION = "us-east-1"
KEYS_PER_PAGE = "7"  # of a listing of S3

AZURITE = shutil.which("azurite-blob")
_ACCOUNT = "devstoreaccount1"  # Azurite's, and its key: the same for everybody
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

Environment = Mapping[str, str]


@contextmanager
def s3() -> Iterator[Environment]:
    """moto, as `s3_server` runs it."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.prompt_store.s3_server"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": KEYS_PER_PAGE},
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        with server.stdin:  # when it closes, the server ends
            port = int(server.stdout.readline())
            yield {
                "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "anybody",
                "AWS_SECRET_ACCESS_KEY": "anything",
            }


@contextmanager
def azure() -> Iterator[Environment]:
    """Azurite."""
    assert AZURITE is not None
    command = [AZURITE, "--inMemoryPersistence", "--disableTelemetry", "--silent"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = next(line.split()[-1] for line in server.stdout if "listens on" in line)
            endpoint = f"{url}/{_ACCOUNT}"
            _make_container(endpoint)
            yield {
                "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
                "AZURE_STORAGE_ENDPOINT": endpoint,
            }
        finally:
            server.terminate()
            server.stdout.read()  # its last words


@contextmanager
def set_in(environment: Environment) -> Iterator[None]:
    """These variables, in this process and those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def _make_container(endpoint: str) -> None:
    """Signed as Azure's "Authorize with Shared Key" says."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    named = "".join(f"{name}:{value}\n" for name, value in headers.items())
    signed = "PUT" + "\n" * 12 + named + f"/{_ACCOUNT}/{_ACCOUNT}/{BUCKET}\nrestype:container"
    digest = hmac.digest(base64.b64decode(_KEY), signed.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{BUCKET}?restype=container"
    httpx.put(url, headers=headers).raise_for_status()
