import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_store import CorruptRecord, Example, Kind, Manifest, Timeline, UnsupportedFormat
from prompt_store.records import _canonical, _checksum, decode, encode
from tests.prompt_store.drafts import NOON, batch, draft


def manifest(**fields: Any) -> Manifest:
    return Manifest(**dict(draft(**fields)), version=7, created_at=NOON, commit="c" * 32)


def rewritten(data: bytes, **fields: Any) -> bytes:
    """What a program with other fields would have written."""
    changed = {**json.loads(data), **fields}
    changed.pop("sha256")
    return _canonical({**changed, "sha256": _checksum(changed)})


def test_records_come_back_equal() -> None:
    full = manifest(
        kind=Kind.TRAIN,
        gate={"passed": True, "margins": [0.5, None], "nested": {"ü": "日"}},
        metrics={"seconds": 1.5, "steps": 3, "device": "cpu", "whole": 2.0},
        blobs={"bank": "a" * 64},
    )
    back = decode(Manifest, encode(full), "key")
    assert back == full
    assert isinstance(back.labels, tuple)
    types = {name: type(value) for name, value in back.metrics.items()}
    assert types == {"seconds": float, "steps": int, "device": str, "whole": float}


def test_the_bytes_are_sorted_compact_readable_json() -> None:
    data = encode(manifest(metrics={"b": 1, "a": 2}))
    fields = json.loads(data)
    assert fields["format"] == 1
    compact = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert data == compact.encode()
    assert "größe".encode() in data


# Surrogates are refused in names; in texts they survive, see below.
@given(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20))
def test_any_text_survives(text: str) -> None:
    original = batch(task=text)
    assert decode(type(original), encode(original), "key") == original


def test_a_lone_surrogate_survives() -> None:
    example = Example(id="0", label="refund", text="half \ud83d")
    original = batch().model_copy(update={"examples": (example,)})
    assert decode(type(original), encode(original), "key") == original


@given(st.data())
def test_no_truncated_record_is_read(data: st.DataObject) -> None:
    whole = encode(manifest())
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptRecord, match="the-key"):
        decode(Manifest, whole[:cut], "the-key")


@given(st.data())
def test_no_altered_byte_goes_unnoticed(data: st.DataObject) -> None:
    whole = bytearray(encode(manifest()))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((CorruptRecord, UnsupportedFormat)):
        decode(Manifest, bytes(whole), "key")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}"])
def test_other_content_is_refused(data: bytes) -> None:
    with pytest.raises((CorruptRecord, UnsupportedFormat)):
        decode(Timeline, data, "key")


def test_unknown_fields_are_ignored() -> None:
    newer = rewritten(encode(manifest()), invented="later", commit="d" * 32)
    read = decode(Manifest, newer, "key")
    assert read.commit == "d" * 32
    assert not hasattr(read, "invented")


@pytest.mark.parametrize(
    "fields", [{"format": 2}, {"format": None}, {"kind": "merge"}, {"labels": "text"}]
)
def test_what_this_program_does_not_know_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFormat, match="the-key"):
        decode(Manifest, rewritten(encode(manifest()), **fields), "the-key")


def test_equal_records_give_equal_bytes() -> None:
    one, other = manifest(metrics={"a": 1, "b": 2}), manifest(metrics={"b": 2, "a": 1})
    assert encode(one) == encode(other)
