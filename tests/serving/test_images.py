"""Images over HTTP: three forms of asking, two of teaching."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from backbones.vision.backbone import TorchVisionBackbone
from prompt_store import Store
from serving.settings import Settings
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.image_calls import CLASSIFY, TEACH, as_json, post_bytes, post_form, predictions
from tests.serving.pictures import BLUE, RED, TONES, shades, unusual, written
from tests.serving.publishing import MAIL, publish
from tests.serving.running import Running
from tests.serving.test_problems import check

UNUSUAL = unusual()


@pytest.fixture
def client(seeing: Running) -> httpx.Client:
    return seeing.client


@pytest.fixture
def taught(seeing: Running) -> Store:
    """The store of that server."""
    return seeing.service.store


# Asking


def test_the_three_forms_give_the_same_answer(client: httpx.Client) -> None:
    in_json = predictions(client.post(CLASSIFY, json={"inputs": as_json(RED[0], BLUE[0])}))
    as_form = predictions(post_form(client, (RED[0], "image/png"), (BLUE[0], None)))
    as_bytes = [predictions(post_bytes(client, one))[0] for one in (RED[0], BLUE[0])]
    assert [one[0]["label"] for one in in_json] == ["red", "blue"]
    for other in (as_form, as_bytes):
        for expected, found in zip(in_json, other, strict=True):
            assert [one["label"] for one in found] == [one["label"] for one in expected]
            scores = [one["score"] for one in expected]
            assert [one["score"] for one in found] == pytest.approx(scores, rel=1e-4)


def test_options_stand_in_the_query_or_the_form(client: httpx.Client) -> None:
    for answer in (
        post_bytes(client, RED[0], task="tones", top_k=1, version=1, min_version=1),
        post_form(client, (RED[0], "image/png"), task="tones", top_k="1", version="1"),
        client.post(f"{CLASSIFY}?top_k=1", files={"file": ("a.png", RED[0])}),
    ):
        assert [len(one) for one in predictions(answer)] == [1]
    check(post_bytes(client, RED[0], task="other"), "unknown-task")
    check(post_form(client, (RED[0], None), version="9"), "unknown-version")


@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg", "image/webp", "image/png"])
def test_each_kind_of_file_is_taken_raw(client: httpx.Client, kind: str) -> None:
    name = {"image/jpg": "JPEG"}.get(kind, kind.partition("/")[2].upper())
    (found,) = predictions(post_bytes(client, written(shades(1), name), f"{kind}; charset=binary"))
    assert found[0]["label"] == "blue"


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_read(client: httpx.Client, name: str) -> None:
    answers = client.post(CLASSIFY, json={"inputs": as_json(UNUSUAL[name])})
    assert len(predictions(answers)) == 1


def test_scores_are_those_of_the_backbone_whatever_shares_the_pass(
    store: Store, vit: TorchVisionBackbone, serve: Serve
) -> None:
    publish(store, vit, TONES)
    client = serve(store, vit, batching={"inputs": 3}).client
    files = [*UNUSUAL.values(), *RED, *BLUE]
    together = predictions(post_form(client, *((one, None) for one in files)))
    for index, one in enumerate(files):
        (alone,) = predictions(client.post(CLASSIFY, json={"inputs": as_json(one)}))
        expected = {found["label"]: found["score"] for found in alone}
        for found in together[index]:
            assert found["score"] == pytest.approx(expected[found["label"]], abs=1e-4)


# Teaching


def test_a_form_teaches_files_with_their_labels(client: httpx.Client, taught: Store) -> None:
    files = [(RED[0], "image/png"), (BLUE[0], None), (BLUE[1], "application/octet-stream")]
    answer = post_form(
        client, *files, path=TEACH, label=["red", "blue", "blue"], id=["a", "b", "c"]
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["examples"] == 3
    kept = taught.intake.read(answer.json()["batch"]).examples
    assert [(one.id, one.label) for one in kept] == [("a", "red"), ("b", "blue"), ("c", "blue")]
    images = [taught.blobs.get(one.image) for one in kept if one.image]
    assert images == [RED[0], BLUE[0], BLUE[1]]


def test_one_label_does_for_all_files(client: httpx.Client, taught: Store) -> None:
    answer = post_form(client, (RED[0], None), (RED[1], None), path=TEACH, label="red")
    kept = taught.intake.read(answer.json()["batch"]).examples
    assert [one.label for one in kept] == ["red", "red"]


def test_json_and_a_form_with_one_key_are_one_batch(client: httpx.Client, taught: Store) -> None:
    before = len(taught.intake.pending())
    key = {"Idempotency-Key": "folder-1"}
    examples = [{"input": one, "label": "red"} for one in as_json(*RED)]
    first = client.post(TEACH, json={"examples": examples}, headers=key)
    parts = [("file", ("a.png", one)) for one in RED]
    again = client.post(TEACH, files=parts, data={"label": "red"}, headers=key)
    assert first.json()["batch"] == again.json()["batch"]
    other = client.post(TEACH, files=parts, data={"label": "blue"}, headers=key)
    check(other, "idempotency-key-reused")
    assert len(taught.intake.pending()) == before + 1


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({}, "#/examples"),
        ({"label": ["red", "blue", "red"]}, "#/examples"),
        ({"label": "red", "id": "one"}, "#/examples"),
        ({"label": ["red", "a/b"]}, "#/examples/1/label"),
        ({"label": "red", "id": ["a", "b c"]}, "#/examples/1/id"),
        ({"label": "red", "task": "tones"}, "#/task"),
    ],
)
def test_forms_that_teach_nothing(
    client: httpx.Client, taught: Store, fields: dict[str, Any], pointer: str
) -> None:
    before = taught.intake.pending()
    answer = post_form(client, (RED[0], None), (BLUE[0], None), path=TEACH, **fields)
    assert check(answer, "invalid-content")["errors"][0]["pointer"] == pointer
    assert taught.intake.pending() == before


# Modalities, and what the server says


def test_texts_for_a_server_that_sees(client: httpx.Client) -> None:
    problem = check(client.post(CLASSIFY, json={"inputs": "a text"}), "unsupported-input")
    assert problem["errors"] == [{"pointer": "#/inputs/0", "detail": "send images"}]
    examples = {"examples": [{"input": "a text", "label": "b"}]}
    check(client.post(TEACH, json=examples), "unsupported-input")


def test_images_in_any_form_for_a_server_that_reads(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    client = serve(store, backbone).client
    for answer in (
        post_bytes(client, RED[0]),
        post_form(client, (RED[0], None)),
        post_form(client, (RED[0], None), path=TEACH, label="red"),
    ):
        assert "bag-of-words sees texts" in check(answer, "unsupported-input")["detail"]
    assert "multipart/form-data" not in client.get("/v1/info").json()["media_types"]


def test_info_tells_what_may_be_sent(client: httpx.Client) -> None:
    info = client.get("/v1/info").json()
    assert info["backbone"]["modality"] == "vision"
    assert {"image/png", "image/jpeg", "image/webp", "multipart/form-data"} < set(
        info["media_types"]
    )
    assert (info["limits"]["image_bytes"], info["limits"]["image_pixels"]) == (20_000, 100_000)


def test_limits_beyond_what_is_ever_decoded_are_refused() -> None:
    with pytest.raises(ValueError, match="image_pixels"):
        Settings(limits={"image_pixels": 10**9})
