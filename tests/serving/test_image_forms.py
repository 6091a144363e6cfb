"""Requests with images whose options or forms cannot be."""

from __future__ import annotations

import socket
import time

import httpx
import pytest

from backbones.vision.backbone import TorchVisionBackbone
from prompt_store import Store
from tests.serving.conftest import Serve
from tests.serving.image_calls import CLASSIFY, TEACH, as_json, post_bytes, post_form
from tests.serving.pictures import RED
from tests.serving.running import Running
from tests.serving.test_problems import check


@pytest.fixture
def client(seeing: Running) -> httpx.Client:
    return seeing.client


# Refusing forms


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("top_k=0", "top_k"), ("top_k=x", "top_k"), ("task=a/b", "task"), ("typo=1", "typo"),
     ("top_k=1&top_k=2", "top_k"), ("version=0", "version")],
)  # fmt: skip
def test_options_of_the_query_that_cannot_be(
    client: httpx.Client, query: str, parameter: str
) -> None:
    answer = client.post(
        f"{CLASSIFY}?{query}", content=RED[0], headers={"Content-Type": "image/png"}
    )
    assert check(answer, "invalid-content")["errors"][0]["parameter"] == parameter


def test_options_beside_json_are_not_ignored(client: httpx.Client) -> None:
    answer = client.post(f"{CLASSIFY}?task=tones", json={"inputs": as_json(RED[0])})
    assert check(answer, "invalid-content")["errors"][0]["parameter"] == "task"
    assert client.post(f"{CLASSIFY}?trace=1", json={"inputs": as_json(RED[0])}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"top_k": "0"}, "#/top_k"),
        ({"typo": "1"}, "#/typo"),
        ({"task": "a/b"}, "#/task"),
        ({"file": "photo.jpg"}, "#/file"),
        ({"version": "1", "min_version": "2"}, "#/version"),
    ],
)
def test_fields_of_a_form_that_cannot_be(
    client: httpx.Client, fields: dict[str, str], pointer: str
) -> None:
    problem = check(post_form(client, (RED[0], None), **fields), "invalid-content")
    assert problem["errors"][0]["pointer"] == pointer


def test_forms_with_too_many_or_no_files(client: httpx.Client) -> None:
    for path, member in ((CLASSIFY, "#/inputs"), (TEACH, "#/examples")):
        problem = check(post_form(client, *[(RED[0], None)] * 5, path=path), "invalid-content")
        assert problem["errors"][0]["pointer"] == member
    none = client.post(CLASSIFY, files={"top_k": (None, "1")})
    assert check(none, "invalid-content")["errors"][0]["pointer"] == "#/inputs"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b'{"inputs": "a"}'),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense\r\n\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: image/png\r\n\r\na\r\n--x--"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nno end',
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="task"\r\n\r\n' + b"a" * 5000,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="task"\r\n\r\n\xff\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=" + "x" * 300, b"-"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 50 + b"--x--\r\n",
        ),
    ],
)
@pytest.mark.parametrize("path", [CLASSIFY, TEACH])
def test_bodies_that_are_no_forms(client: httpx.Client, path: str, kind: str, body: bytes) -> None:
    check(client.post(path, content=body, headers={"Content-Type": kind}), "malformed-request")


def test_the_answer_comes_though_the_body_was_not_wanted(
    store: Store, vit: TorchVisionBackbone, serve: Serve
) -> None:
    """Bodies of megabytes, refused at their beginning: the client must still get to read why."""
    client = serve(store, vit, limits={"image_bytes": 1000}).client
    large = bytes(8 * 2**20)
    check(post_bytes(client, large, "application/pdf"), "unsupported-media-type")
    check(post_bytes(client, large), "invalid-content")
    check(post_form(client, (large, None)), "invalid-content")


@pytest.mark.parametrize(
    "kind", ["application/json", "image/png", "multipart/form-data; boundary=x"]
)
def test_a_client_that_goes_away_in_mid_body_is_no_error_of_the_server(
    client: httpx.Client, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def gone() -> int:
        line = 'perennial_requests_total{route="/v1/classify",status="499"} '
        found = [one for one in client.get("/metrics").text.splitlines() if one.startswith(line)]
        return int(float(found[0].removeprefix(line))) if found else 0

    before = gone()
    url = client.base_url
    with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
        head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: {kind}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + b"--x\r\n")
    give_up = time.monotonic() + 30
    while gone() == before:
        assert time.monotonic() < give_up, "the server has not noticed"
    assert "unexpected error" not in caplog.text
