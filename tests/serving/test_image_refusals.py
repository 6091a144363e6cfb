"""Images that are refused: each by its index, with the reason, before anything is kept."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
from PIL import Image

from prompt_store import Store
from tests.serving.image_calls import CLASSIFY, TEACH, as_json, post_bytes, post_form, predictions
from tests.serving.pictures import RED, broken, shades, unfolding, written
from tests.serving.running import Running
from tests.serving.test_problems import check

BROKEN = broken()


@pytest.fixture
def client(seeing: Running) -> httpx.Client:
    return seeing.client


@pytest.fixture
def taught(seeing: Running) -> Store:
    """The store of that server."""
    return seeing.service.store


# Refusing files


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_is_refused_by_its_index(client: httpx.Client, name: str) -> None:
    bad = BROKEN[name]
    problem = check(client.post(CLASSIFY, json={"inputs": as_json(RED[0], bad)}), "invalid-content")
    assert [one["pointer"] for one in problem["errors"]] == ["#/inputs/1"]
    assert problem["errors"][0]["detail"] in problem["detail"]
    in_form = check(post_form(client, (RED[0], None), (bad, None)), "invalid-content")
    assert in_form["errors"] == problem["errors"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_is_never_stored(client: httpx.Client, taught: Store, name: str) -> None:
    bad = BROKEN[name]
    before = taught.intake.pending()
    examples = [{"input": one, "label": "red"} for one in as_json(RED[0], RED[1], bad)]
    problem = check(client.post(TEACH, json={"examples": examples}), "invalid-content")
    assert [one["pointer"] for one in problem["errors"]] == ["#/examples/2/input"]
    answer = post_form(client, (RED[0], None), (bad, None), path=TEACH, label="red")
    check(answer, "invalid-content")
    assert taught.intake.pending() == before


def test_every_bad_file_of_a_request_is_named(client: httpx.Client) -> None:
    inputs = as_json(b"none", RED[0], b"none either")
    problem = check(client.post(CLASSIFY, json={"inputs": inputs}), "invalid-content")
    assert [one["pointer"] for one in problem["errors"]] == ["#/inputs/0", "#/inputs/2"]
    assert "no PNG, JPEG or WEBP image (and 1 more like it)" in problem["detail"]


def test_damaged_files_are_answered_or_refused_and_the_server_lives(client: httpx.Client) -> None:
    """Cut and flipped at random: a decoder may forgive, but nothing else may happen."""
    draw = np.random.default_rng(7)
    sound = [written(shades(0, 60, 45), form) for form in ("PNG", "JPEG", "WEBP")]
    refused = 0
    for turn in range(90):
        data = bytearray(sound[turn % 3])
        if turn % 2:
            del data[int(draw.integers(0, len(data) - 8)) :]
        else:
            for place in draw.integers(0, len(data), size=5):
                data[place] ^= int(draw.integers(1, 256))
        answer = client.post(CLASSIFY, json={"inputs": as_json(bytes(data) or b"-")})
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 422:
            problem = check(answer, "invalid-content")
            assert problem["errors"][0]["pointer"] == "#/inputs/0"
            refused += 1
    assert refused > 30
    assert len(predictions(post_bytes(client, RED[0]))) == 1


def test_files_beyond_the_limits(client: httpx.Client) -> None:
    big = written(_noise(100, 90))
    assert len(big) > 20_000
    for answer in (
        client.post(CLASSIFY, json={"inputs": as_json(RED[0], big)}),
        post_form(client, (RED[0], None), (big, None)),
    ):
        problem = check(answer, "invalid-content")
        assert problem["errors"][0]["pointer"] == "#/inputs/1"
        assert "20000" in problem["detail"]
    assert "20000" in check(post_bytes(client, big), "invalid-content")["detail"]
    assert (
        "20000"
        in check(post_form(client, (big, None), path=TEACH, label="x"), "invalid-content")["detail"]
    )
    many_pixels = check(post_bytes(client, unfolding(400, 251)), "invalid-content")
    assert "400 x 251 pixels; at most 100000" in many_pixels["detail"]
    assert len(predictions(post_bytes(client, unfolding(400, 250)))) == 1


def test_empty_files(client: httpx.Client) -> None:
    for answer in (
        post_bytes(client, b""),
        post_form(client, (b"", "image/png")),
        client.post(CLASSIFY, json={"inputs": [{"image": ""}]}),
    ):
        problem = check(answer, "invalid-content")
        assert problem["errors"][0]["pointer"].startswith("#/inputs/0")


def test_files_that_are_declared_as_another_kind(client: httpx.Client) -> None:
    jpeg = written(shades(0), "JPEG")
    for answer, pointer in (
        (post_bytes(client, jpeg, "image/png"), "#/inputs/0"),
        (post_form(client, (RED[0], "image/png"), (jpeg, "image/webp")), "#/inputs/1"),
        (post_form(client, (jpeg, "image/png"), path=TEACH, label="red"), "#/examples/0/input"),
    ):
        problem = check(answer, "invalid-content")
        assert problem["errors"][0]["pointer"] == pointer
        assert "the bytes are an image/jpeg file" in problem["detail"]


@pytest.mark.parametrize("kind", ["image/gif", "image/svg+xml", "application/pdf", "text/plain"])
def test_kinds_that_are_not_taken_are_told_which_are(client: httpx.Client, kind: str) -> None:
    for answer in (post_bytes(client, RED[0], kind), post_form(client, (RED[0], kind))):
        problem = check(answer, "unsupported-media-type")
        assert "image/png, image/jpeg or image/webp" in problem["detail"]
    check(client.post(TEACH, content=RED[0], headers={"Content-Type": "image/png"}),
          "unsupported-media-type")  # fmt: skip


def _noise(width: int, height: int) -> Image.Image:
    """A picture that no compression makes small."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
