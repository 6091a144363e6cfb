"""The trace of a request: read, answered, logged, and kept with the batch it caused."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_store import Store
from serving.logs import JsonFormatter, TextFormatter, request_id
from serving.trace import begun, joined, trace
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
INVALID = [
    "", "00", f"00-{TRACE}-{SPAN}", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01", f"{PARENT}-more", f"{PARENT}.",
    f"00-{TRACE[1:]}-{SPAN}-01", f"0-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-1",
]  # fmt: skip


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@given(hexadecimal(32), hexadecimal(16), st.integers(0, 255), st.integers(0, 254), st.booleans())
def test_a_valid_header_is_joined_by_a_span_of_its_own(
    name: str, span: str, flags: int, version: int, more: bool
) -> None:
    """Versions to come may say more; of the flags only the one that is known is passed on."""
    header = f"{version:02x}-{name}-{span}-{flags:02x}" + ("-more" if version and more else "")
    known = joined(header.encode())
    assert known is not None
    assert (known.id, known.flags) == (name, f"{flags & 1:02x}")
    again = joined(known.parent.encode())
    assert again is not None
    assert again.id == name
    assert len({span, known.span, again.span}) == 3


@pytest.mark.parametrize("header", INVALID)
def test_an_invalid_header_is_ignored(header: str) -> None:
    assert joined(header.encode()) is None


def test_the_trace_is_answered_logged_and_kept_with_the_batch(
    store: Store, backbone: BagOfWords, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(store, backbone).client
    body = {"examples": [{"input": "a", "label": "b"}]}
    with caplog.at_level(logging.INFO, logger="serving"):
        caplog.handler.setFormatter(JsonFormatter())  # the server's thread formats its own lines
        taught = client.post(
            "/v1/tasks/mail/examples",
            json=body,
            headers={"traceparent": PARENT, "tracestate": "vendor=1", "X-Request-Id": "r-7"},
        )
        client.get("/nothing")  # its line comes after the one in question
    answered = joined(taught.headers["traceresponse"].encode())
    assert answered is not None
    assert (answered.id, taught.headers["X-Request-Id"]) == (TRACE, "r-7")
    assert taught.headers["traceresponse"] != PARENT
    kept = store.intake.read(taught.json()["batch"])
    assert (kept.trace, kept.traceparent) == (TRACE, taught.headers["traceresponse"])
    ours = [line for line in caplog.text.splitlines() if '"request":"r-7"' in line]
    line = orjson.loads(ours[-1])
    assert (line["trace"], line["batch"]) == (TRACE, kept.id)


@pytest.mark.parametrize("headers", [[], [("traceparent", "00")], [("traceparent", PARENT)] * 2])
def test_without_a_trace_one_begins_that_has_the_requests_id(
    store: Store, backbone: BagOfWords, serve: Serve, headers: list[tuple[str, str]]
) -> None:
    client = serve(store, backbone).client
    answers = [client.get("/v1/tasks/none", headers=headers) for _ in range(2)]
    for answer in answers:
        name = answer.headers["X-Request-Id"]
        assert re.fullmatch(rf"00-{name}-[0-9a-f]{{16}}-00", answer.headers["traceresponse"])
        assert answer.json()["trace"] == name
    assert all(one.json()["trace"] != other.json()["trace"] for one, other in pairwise(answers))


def test_the_log_names_the_version_that_answered(
    store: Store, backbone: BagOfWords, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    version = publish(store, backbone, MAIL).version
    client = serve(store, backbone).client
    with caplog.at_level(logging.INFO, logger="serving"):
        client.post("/v1/classify", json={"inputs": "a"})
        client.get("/last")
    fields = [record.fields for record in caplog.records if record.msg == "answered"]  # type: ignore[attr-defined]
    assert [one["version"] for one in fields if "version" in one] == [version]


def test_following_a_batch_does_not_flood_the_log(
    store: Store, backbone: BagOfWords, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(store, backbone).client
    body = {"examples": [{"input": "a", "label": "b"}]}
    place = client.post("/v1/tasks/mail/examples", json=body).headers["location"]
    with caplog.at_level(logging.INFO, logger="serving"):
        for address in (place, place, "/v1/batches/unknown", "/last"):
            client.get(address)
    fields = [record.fields for record in caplog.records if record.msg == "answered"]  # type: ignore[attr-defined]
    looks = [one["status"] for one in fields if one["route"] == "/v1/batches/{batch}"]
    assert looks == [404]


def test_fields_displace_nothing_that_every_line_has() -> None:
    record = logging.LogRecord("serving", logging.INFO, __file__, 1, "said", (), None)
    record.fields = {"message": "other", "trace": "other", "batch": "b"}
    tokens = request_id.set("r-9"), trace.set(begun(TRACE))
    try:
        line = orjson.loads(JsonFormatter().format(record))
        text = TextFormatter().format(record)
    finally:
        request_id.reset(tokens[0])
        trace.reset(tokens[1])
    assert (line["message"], line["trace"], line["batch"]) == ("said", TRACE, "b")
    assert " said  " in text
    assert set(text.split("  ")) >= {f"trace={TRACE}", "batch=b", "request=r-9"}


@pytest.mark.parametrize(("form", "shown"), [("auto", "json"), ("json", "json"), ("text", "text")])
def test_every_line_of_a_process_has_the_form_that_is_set(
    form: str, shown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libraries' lines and Python's warnings too. A process of its own: logging is global."""
    program = (
        "import logging, warnings; from serving.logs import Logging; "
        f"Logging({form!r}, 'warning').begin(); logging.getLogger('uvicorn.error').info('no'); "
        "logging.getLogger('uvicorn.error').warning('yes'); warnings.warn('old')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    lines = [line for line in capfd.readouterr().err.splitlines() if "yes" in line or "old" in line]
    assert len(lines) == 2
    if shown == "json":
        assert [orjson.loads(line)["level"] for line in lines] == ["warning", "warning"]
    else:
        assert all(" warning " in line for line in lines)
