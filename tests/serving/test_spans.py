"""Spans of OpenTelemetry: none unless the environment asks, and nothing that users sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from learner import spans
from prompt_store import Store
from serving.trace import joined
from tests.serving.bag_of_words import BagOfWords
from tests.serving.collector import Collector, collecting
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Where spans of this process go."""
    with collecting() as collector:
        monkeypatch.setattr(spans, "_tracer", None)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        spans.begin("perennial")
        yield collector
        spans._tracer.span_processor.shutdown()  # type: ignore[union-attr]


def test_a_request_is_followed_through_to_its_head(
    store: Store, backbone: BagOfWords, serve: Serve, collector: Collector
) -> None:
    publish(store, backbone, MAIL)
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    client = serve(store, backbone).client
    answer = client.post("/v1/classify", json={"inputs": "secret text"}, headers=headers)
    missing = client.post("/v1/classify", json={"inputs": "a", "task": "secret"}, headers=headers)
    client.get("/last")  # by now the spans of the others have ended
    spans.flush()
    root, refused = collector.named("POST /v1/classify")
    children = {name: collector.named(name) for name in ("preprocess", "queue", "pass")}
    assert {name: len(found) for name, found in children.items()} == dict.fromkeys(children, 1)
    for (one,) in children.values():
        assert (one.trace_id.hex(), one.parent_span_id) == (TRACE, root.span_id)
    for name in ("encode", "head"):
        (one,) = collector.named(name)
        assert one.parent_span_id == children["pass"][0].span_id
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, SPAN)
    told = joined(answer.headers["traceresponse"].encode())
    assert told is not None
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{root.span_id.hex()}-01"
    assert missing.json()["trace"] == refused.trace_id.hex() == TRACE
    assert "secret" not in "".join(map(str, collector.spans))


def test_what_a_batch_causes_is_in_its_trace_and_links_the_others(collector: Collector) -> None:
    parents = [f"00-{name * 16}-{SPAN}-01" for name in ("0a", "0b", "0a")]
    with pytest.raises(ValueError, match="secret"), spans.caused("refresh", parents):
        raise ValueError("secret")
    with spans.caused("refresh", []):
        pass
    spans.flush()
    failed, alone = collector.named("refresh")
    assert (failed.trace_id.hex(), failed.parent_span_id.hex()) == ("0a" * 16, SPAN)
    assert [link.trace_id.hex() for link in failed.links] == ["0b" * 16]
    assert failed.status.message == "ValueError"
    assert not alone.parent_span_id
    assert "secret" not in str(failed)


@pytest.mark.parametrize(
    ("variables", "imported"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_nothing_is_imported_unless_the_environment_asks(
    variables: dict[str, str], imported: bool
) -> None:
    program = (
        "import sys; from learner import spans; from serving import app, local; "
        "spans.begin('perennial'); print('opentelemetry.sdk' in sys.modules, spans.are_on())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(imported)] * 2


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(OSError, match=r"perennial\[otel\]"):
        spans.begin("perennial")
