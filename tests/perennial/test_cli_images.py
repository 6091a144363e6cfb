"""Images on the command line: files to classify, folders to learn from."""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.client.parts import in_bounded_parts
from tests.perennial.conftest import Run
from tests.perennial.small_server import SmallServer

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
WEBP = b"RIFF\0\0\0\0WEBP"


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _image(data: bytes) -> dict[str, str]:
    return {"image": base64.b64encode(data).decode()}


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Three robins and two wrens, and what a desktop leaves behind."""
    folder = tmp_path / "birds"
    for number in range(3):
        _write(folder / "robin" / f"{number}.png", PNG + b"r%d" % number)
    _write(folder / "wren" / "a.JPG", JPEG + b"w0")
    _write(folder / "wren" / "b.webp", WEBP + b"w1")
    _write(folder / "wren" / ".DS_Store", b"x")
    _write(folder / ".hidden" / "x", b"x")
    return folder


def _sent(server: SmallServer, task: str = "birds") -> list[list[tuple[str, bytes]]]:
    """Of each call the labels and images."""
    return [
        [(one["label"], base64.b64decode(one["input"]["image"])) for one in call.body["examples"]]
        for call in server.calls(f"/v1/tasks/{task}/examples")
    ]


# classify


def test_classify_takes_images_beside_texts(run: Run, server: SmallServer, tmp_path: Path) -> None:
    photo = _write(tmp_path / "my photo.jpg", JPEG)
    other = _write(tmp_path / "other.WEBP", WEBP)
    long = "a text " * 100 + "a.png"
    run("classify", photo, "some text", other, long)
    (call,) = server.calls("/v1/classify")
    assert call.body == [_image(JPEG), "some text", _image(WEBP), long]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none.jpg", None, "There is no image"),
        ("text.png", b"just a text", "is no PNG, JPEG or WebP image"),
        ("empty.webp", b"", "is empty"),
        ("animation.gif", b"GIF89a", "is no PNG, JPEG or WebP image"),
    ],
)
def test_classify_names_files_that_are_no_images(
    run: Run, server: SmallServer, tmp_path: Path, name: str, data: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if data is not None:
        _write(path, data)
    said = run("classify", path, code=2).stderr
    assert message in said
    assert name in said
    assert server.seen == []


# learn


def test_learn_sends_a_folder_with_its_classes_in_turns(
    run: Run, server: SmallServer, birds: Path
) -> None:
    result = run("learn", "birds", birds, "--batch-size", 3)
    assert _sent(server) == [
        [("robin", PNG + b"r0"), ("wren", JPEG + b"w0"), ("robin", PNG + b"r1")],
        [("wren", WEBP + b"w1"), ("robin", PNG + b"r2")],
    ]
    assert result.stdout == "5 examples of birds: published in version 8\n"
    assert "5/5" in result.stderr


@pytest.mark.parametrize(("limits", "calls"), [
    ({"body_bytes": 9000, "examples": 2}, [2, 2, 1]),
    ({"body_bytes": 3500}, [2, 2, 1]),
    ({"body_bytes": 10_000}, [5]),
])  # fmt: skip
def test_learn_keeps_calls_within_what_the_server_takes(
    run: Run, server: SmallServer, birds: Path, limits: dict[str, Any], calls: list[int]
) -> None:
    server.limits = limits
    run("learn", "birds", birds, "--wait", "none")
    assert [len(one) for one in _sent(server)] == calls


def test_learn_names_the_file_that_the_server_refuses_and_goes_on_where_it_was(
    run: Run, server: SmallServer, birds: Path
) -> None:
    server.refuses_from_batch = 1
    server.refusal = {"detail": "#/examples/1/input: the image is truncated"}
    arguments = ("learn", "birds", birds, "--batch-size", 2, "--wait", "none")
    said = run(*arguments, "--idempotency-key", "spring", code=1).stderr
    robin = birds / "robin" / "1.png"
    wren = birds / "wren" / "b.webp"
    assert f"Error: {wren}: #/examples/1/input: the image is truncated" in said
    assert robin.name not in said
    assert "(2 of 5 examples had been sent before" in said
    assert "Add --idempotency-key spring to the same command" in said
    server.refuses_from_batch = None
    run(*arguments, "--idempotency-key", "spring")
    keys = [one.headers["idempotency-key"] for one in server.calls("/v1/tasks/birds/examples")]
    assert keys == ["spring-0", "spring-1", "spring-0", "spring-1", "spring-2"]
    sent = _sent(server)
    assert (sent[0], sent[1]) == (sent[2], sent[3])


def test_learn_makes_up_a_key_that_can_be_used_again(
    run: Run, server: SmallServer, birds: Path
) -> None:
    server.refuses_from_batch = 1
    said = run("learn", "birds", birds, "--batch-size", 2, code=1).stderr
    key = server.calls("/v1/tasks/birds/examples")[0].headers["idempotency-key"]
    assert f"--idempotency-key {key.removesuffix('-0')} " in said


@pytest.mark.parametrize("key", ["with blank", "é", "k" * 241, ""])
def test_keys_that_cannot_be(run: Run, server: SmallServer, birds: Path, key: str) -> None:
    said = run("learn", "birds", birds, "--idempotency-key", key, code=2).stderr
    assert "printable ASCII" in said
    assert server.seen == []


def _without_classes(folder: Path) -> None:
    _write(folder / "1.png", PNG)


def _with_an_empty_class(folder: Path) -> None:
    _write(folder / "robin" / "1.png", PNG)
    _write(folder / "wren" / ".DS_Store", b"x")


def _with_a_loose_image(folder: Path) -> None:
    _write(folder / "robin" / "1.png", PNG)
    _write(folder / "2.png", PNG)


def _with_folders_in_folders(folder: Path) -> None:
    _write(folder / "train" / "robin" / "1.png", PNG)


def _with_a_file_that_is_no_image(folder: Path) -> None:
    _write(folder / "robin" / "1.png", PNG)
    _write(folder / "robin" / "2.png", b"notes")


def _with_a_class_that_cannot_be_named_so(folder: Path) -> None:
    _write(folder / "robin " / "1.png", PNG)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_without_classes, "has no sub-folders; put the images of each class into a folder"),
        (_with_an_empty_class, "wren is a class without images"),
        (_with_a_loose_image, "2.png lies beside the folders of the classes"),
        (_with_folders_in_folders, "is a folder inside the class train"),
        (_with_a_file_that_is_no_image, "2.png is no PNG, JPEG or WebP image"),
        (_with_a_class_that_cannot_be_named_so, "the class cannot be named so"),
    ],
)
def test_learn_sends_nothing_of_a_folder_that_is_not_right(
    run: Run, server: SmallServer, tmp_path: Path, make: Any, message: str
) -> None:
    folder = tmp_path / "folder"
    make(folder)
    assert message in run("learn", "birds", folder, code=1).stderr
    assert server.seen == []


def test_learn_sends_nothing_where_one_image_is_too_large(
    run: Run, server: SmallServer, birds: Path
) -> None:
    server.limits = {"image_bytes": 50}
    _write(birds / "wren" / "z.png", PNG + bytes(100))
    assert "z.png has 108 bytes" in run("learn", "birds", birds, code=1).stderr
    assert _sent(server) == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 5), st.integers(1, 80))
def test_parts_keep_order_and_bounds(costs: list[int], size: int, budget: int) -> None:
    parts = list(in_bounded_parts(costs, size, budget, lambda one: one))
    assert [one for part in parts for one in part] == costs
    for part in parts:
        assert 0 < len(part) <= size
        assert sum(part) <= budget or len(part) == 1
    for part, following in pairwise(parts):  # no part could have been longer
        assert len(part) == size or sum(part) + following[0] > budget
