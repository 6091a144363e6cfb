"""What the server says about itself: health, info, measurements, description, log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from prompt_store import Store
from serving.app import create_app
from serving.logs import JsonFormatter, TextFormatter, request_id
from serving.metrics import METRICS, PrometheusMetrics
from serving.precision import Engines
from serving.problems import KINDS, MEDIA_TYPE
from serving.schemas.classify import AnswerLine, ClassifyAnswer
from serving.service import Service
from serving.settings import Settings
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, publish
from tests.serving.talking import LINES
from tests.serving.test_problems import check


@pytest.fixture
def document(store: Store, backbone: BagOfWords) -> dict[str, Any]:
    """The OpenAPI description."""
    app = create_app(Service(store, Engines(backbone), Settings(), PrometheusMetrics()))
    return app.openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_description_covers_the_api(document: dict[str, Any]) -> None:
    assert sorted(name for name, _ in _operations(document)) == [
        "DELETE /v1/canary",
        "DELETE /v1/tasks/{task}",
        "DELETE /v1/tasks/{task}/labels/{label}",
        "DELETE /v1/versions/{version}/pin",
        "GET /",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
        "GET /v1/batches/{batch}",
        "GET /v1/canary",
        "GET /v1/erasures/{erasure}",
        "GET /v1/events",
        "GET /v1/feedback",
        "GET /v1/info",
        "GET /v1/tasks",
        "GET /v1/tasks/{task}",
        "GET /v1/versions",
        "GET /v1/versions/{version}",
        "POST /v1/classify",
        "POST /v1/feedback",
        "POST /v1/tasks/{task}/examples",
        "POST /v1/tasks/{task}/examples/forget",
        "POST /v1/versions/{version}/promote",
        "PUT /v1/canary",
        "PUT /v1/tasks/{task}",
        "PUT /v1/versions/{version}/pin",
    ]


def test_every_body_and_answer_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in _operations(document):
        assert operation.get("summary"), name
        assert operation.get("description"), name
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in (*bodies, *operation["responses"].values()):
            for media in body["content"].values():
                assert _has_example(media, document), (name, media)
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter)


def _has_example(media: dict[str, Any], document: dict[str, Any]) -> bool:
    schema = media.get("schema", {})
    if reference := schema.get("$ref"):
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    return bool(media.get("example") or media.get("examples") or schema.get("examples"))


def test_every_refusal_is_described_as_a_problem(document: dict[str, Any]) -> None:
    statuses = {str(kind.status) for kind in KINDS.values()}
    for name, operation in _operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == [MEDIA_TYPE], (name, status)
                assert status in statuses
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_in_the_description_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(document)):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_the_examples_of_the_description_are_accepted_and_answers_have_its_shapes(
    document: dict[str, Any], store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    client = serve(store, backbone).client
    shapes = document["components"]["schemas"]
    for body in shapes["ClassifyRequest"]["examples"]:
        answer = client.post("/v1/classify", json=body)
        assert answer.status_code == 200, answer.text
        parsed = ClassifyAnswer.model_validate_json(answer.content, strict=True)
        assert orjson.loads(parsed.model_dump_json()) == answer.json()
    lines = document["paths"]["/v1/classify"]["post"]["requestBody"]["content"][LINES]
    answers = client.post("/v1/classify", content=lines["example"], headers={"Content-Type": LINES})
    for line in answers.content.splitlines():
        assert AnswerLine.model_validate_json(line, strict=True)
    assert [b"error" in line for line in answers.content.splitlines()] == [False, False, True]
    for body in shapes["ExamplesRequest"]["examples"]:
        assert client.post("/v1/tasks/mail/examples", json=body).status_code == 202
    for body in shapes["Declare"]["examples"]:
        assert client.put("/v1/tasks/mail", json=body).status_code == 200


def test_the_description_shows_every_form_of_a_body(document: dict[str, Any]) -> None:
    ask = document["paths"]["/v1/classify"]["post"]
    assert list(ask["requestBody"]["content"]) == [
        "application/json", "image/png", "image/jpeg", "image/webp", "multipart/form-data",
        "application/x-ndjson", "application/jsonl",
    ]  # fmt: skip
    assert list(ask["responses"]["200"]["content"]) == [
        "application/json", "application/x-ndjson", "application/jsonl",
    ]  # fmt: skip
    options = {one["name"] for one in ask["parameters"] if one["in"] == "query"}
    assert options == {"task", "top_k", "version", "min_version"}
    teach = document["paths"]["/v1/tasks/{task}/examples"]["post"]
    assert list(teach["requestBody"]["content"]) == ["application/json", "multipart/form-data"]
    assert {one["in"] for one in teach["parameters"]} == {"path", "header"}
    form = teach["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert list(form["properties"]) == ["file", "label", "id"]


def test_info_tells_what_is_served(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    version = publish(store, backbone, BOTH).version
    running = serve(store, backbone)
    running.service.troubles["encoder"] = "int8 is not supported here; fp32 is used"
    body = {"examples": [{"input": "a", "label": "b"}]}
    running.client.post("/v1/tasks/t/examples", json=body)
    info = running.client.get("/v1/info").json()
    assert (info["version"], info["tasks"], info["classes"]) == (version, 2, 4)
    assert info["backbone"]["fingerprint"] == backbone.description.fingerprint
    assert (info["pending_batches"], info["keys"], info["ready"]) == (1, False, True)
    assert info["trouble"] == ["int8 is not supported here; fp32 is used"]
    assert info["limits"] == Settings().limits.model_dump()


def test_measurements_are_exported_under_their_names(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    client = serve(store, backbone).client
    client.post("/v1/classify", json={"inputs": ["a", "b"]})
    client.get("/v1/tasks/secret-name")
    text = client.get("/metrics").text
    for name, metric in METRICS.items():
        assert f"# TYPE {name}{'_total' if metric.kind == 'counter' else ''} {metric.kind}" in text
    assert 'perennial_requests_total{route="/v1/classify",status="200"} 1.0' in text
    assert 'perennial_requests_total{route="/v1/tasks/{task}",status="404"} 1.0' in text
    assert "perennial_inputs_total 2.0" in text
    assert "perennial_version 1.0" in text
    assert "perennial_pending_batches 0.0" in text
    assert "secret-name" not in text


class Elsewhere:
    """Measurements that another exporter takes."""

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[name].labels)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[name].labels)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        assert set(labels) == set(METRICS[name].labels)


async def test_without_prometheus_there_is_nothing_to_scrape(
    store: Store, backbone: BagOfWords
) -> None:
    publish(store, backbone, MAIL)
    service = Service(store, Engines(backbone), Settings(), Elsewhere())
    app = create_app(service, manage=False)
    app.state.service = service
    await service.start()
    await service.watcher.until_ready()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert "`ray_`" in check(await client.get("/metrics"), "not-found")["detail"]
        assert (await client.post("/v1/classify", json={"inputs": "a"})).status_code == 200
    await service.stop()


def test_every_answer_carries_a_request_id(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    ids = {client.get("/health/live").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    kept = client.get("/health/live", headers={"X-Request-Id": "trace-7"})
    assert kept.headers["X-Request-Id"] == "trace-7"
    for odd in ("a b", "x" * 200, '{"a":1}'):
        answer = client.get("/nothing", headers={"X-Request-Id": odd})
        assert answer.headers["X-Request-Id"] != odd


def test_the_log_has_each_request_and_nothing_users_sent(
    store: Store, backbone: BagOfWords, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, backbone, MAIL)
    client = serve(store, backbone).client
    with caplog.at_level(logging.INFO, logger="serving"):
        headers = {"X-Request-Id": "r-1"}
        client.post(
            "/v1/tasks/secret-task/examples",
            json={"examples": [{"input": "secret text", "label": "secret label"}]},
            headers=headers,
        )
        client.post("/v1/classify", json={"inputs": "secret text", "task": "secret-task"})
        client.get("/health/live", headers={"X-Request-Id": "last"})
    ours = [record for record in caplog.records if record.name != "httpx"]  # the test's client
    lines = [orjson.loads(JsonFormatter().format(record)) for record in ours]
    answered = [line for line in lines if line["message"] == "answered"]
    routes = [(line["method"], line["route"], line["status"]) for line in answered]
    assert ("POST", "/v1/tasks/{task}/examples", 202) in routes
    assert ("POST", "/v1/classify", 404) in routes
    assert "secret" not in "".join(map(str, lines))
    assert answered[0]["caller"] == "this-machine"


async def test_under_ray_the_request_id_is_left_to_ray(store: Store, backbone: BagOfWords) -> None:
    service = Service(store, Engines(backbone), Settings(engine="ray"), Elsewhere())
    app = create_app(service, manage=False)
    app.state.service = service

    async def under_ray(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("X-Request-ID", "ray-1")
            await send(message)

        await app(scope, receive, send_marked)

    transport = httpx.ASGITransport(under_ray)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/health/live", headers={"X-Request-Id": "ray-1"})
    assert answer.headers.get_list("X-Request-Id") == ["ray-1"]
    assert answer.headers["X-Perennial-Replica"]


def test_the_index_leads_somewhere_and_is_open(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    key = {"name": "a", "sha256": "ab" * 32, "scopes": ["predict"]}
    client = serve(store, backbone, keys=[key]).client
    index = client.get("/")
    assert index.status_code == 200
    assert index.json()["name"] == "perennial"
    for address in index.json()["links"].values():
        assert client.get(address).status_code in (200, 401)


def test_probes_are_logged_at_debug(
    store: Store, backbone: BagOfWords, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(store, backbone).client
    with caplog.at_level(logging.DEBUG, logger="serving"):
        for address in ("/health/live", "/health/ready", "/metrics", "/v1/info", "/last"):
            client.get(address)
    levels = {
        record.fields["route"]: record.levelname  # type: ignore[attr-defined]
        for record in caplog.records
        if record.getMessage() == "answered"
    }
    assert {levels[probe] for probe in ("/health/live", "/health/ready", "/metrics")} == {"DEBUG"}
    assert levels["/v1/info"] == "INFO"


def test_log_lines_for_a_person() -> None:
    record = logging.LogRecord("serving", logging.INFO, __file__, 1, "swapped %d", (3,), None)
    record.fields = {"task": "mail", "caller": None}
    assert TextFormatter().format(record).endswith(" info    swapped 3  task=mail")


def test_log_lines_name_their_request() -> None:
    record = logging.LogRecord("serving", logging.INFO, __file__, 1, "swapped %d", (3,), None)
    token = request_id.set("r-9")
    try:
        line = orjson.loads(JsonFormatter().format(record))
    finally:
        request_id.reset(token)
    assert (line["request"], line["message"], line["level"]) == ("r-9", "swapped 3", "info")
    assert orjson.loads(JsonFormatter().format(record))["request"] == "-"


def test_one_application_object_serves_a_service_made_when_it_starts(
    store: Store, backbone: BagOfWords
) -> None:
    made: list[Service] = []

    def make() -> Service:
        made.append(Service(store, Engines(backbone), Settings(), PrometheusMetrics()))
        return made[-1]

    app = create_app(make)
    assert made == []

    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    async def run() -> None:
        check(await ask("/health/live"), "not-ready")
        async with app.router.lifespan_context(app):
            await made[0].watcher.until_ready()
            assert (await ask("/health/ready")).status_code == 200

    asyncio.run(run())
    assert len(made) == 1


def test_every_call_is_on_its_page(document: dict[str, Any]) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "http.md").read_text()
    for name, _ in _operations(document):
        assert f"`{name}`" in page, f"docs/http.md does not list {name}"
