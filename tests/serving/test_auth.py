"""Who may do what, with keys and without."""

from __future__ import annotations

import hashlib
import socket

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from prompt_store import Store
from serving.auth import SCOPES, Access, Caller, allows, find_key, is_loopback
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.problems import Problem
from serving.service import Service
from serving.settings import Key, Scope, Settings
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish
from tests.serving.running import running
from tests.serving.test_problems import check

CALLS: dict[Scope, list[tuple[str, str]]] = {
    "predict": [
        ("POST", "/v1/classify"),
        ("POST", "/v1/feedback"),
        ("GET", "/v1/feedback"),
        ("GET", "/v1/tasks"),
        ("GET", "/v1/tasks/mail"),
        ("GET", "/v1/versions"),
        ("GET", "/v1/versions/1"),
        ("GET", "/v1/batches/x"),
        ("GET", "/v1/info"),
        ("GET", "/metrics"),
    ],
    "learn": [("POST", "/v1/tasks/mail/examples"), ("PUT", "/v1/tasks/mail")],
    "admin": [
        ("POST", "/v1/versions/1/promote"),
        ("PUT", "/v1/versions/1/pin"),
        ("DELETE", "/v1/versions/1/pin"),
        ("DELETE", "/v1/tasks/mail"),
    ],
}
EVERY = [(method, path, scope) for scope, calls in CALLS.items() for method, path in calls]
OPEN = ["/health/live", "/health/ready", "/openapi.json"]


def _key(secret: str, *scopes: Scope) -> Key:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return Key(name=f"{secret}-key", sha256=digest, scopes=frozenset(scopes))


KEYS = tuple(_key(scope, scope) for scope in SCOPES)


@pytest.fixture
def locked(store: Store, backbone: BagOfWords, serve: Serve) -> httpx.Client:
    """To a server with a key for each scope, whose secret is the scope's name."""
    publish(store, backbone, MAIL)
    return serve(store, backbone, keys=KEYS).client


@pytest.fixture
def keyless(store: Store, backbone: BagOfWords, serve: Serve) -> httpx.Client:
    publish(store, backbone, MAIL)
    return serve(store, backbone).client


def _call(
    client: httpx.Client, method: str, path: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    return client.request(method, path, json={}, headers=headers)


@pytest.mark.parametrize(("method", "path", "needed"), EVERY)
def test_each_call_needs_its_scope(
    locked: httpx.Client, method: str, path: str, needed: Scope
) -> None:
    for held in SCOPES:
        answer = _call(locked, method, path, {"Authorization": f"Bearer {held}"})
        if SCOPES.index(held) >= SCOPES.index(needed):
            assert answer.status_code not in (401, 403), (held, answer.text)
        else:
            problem = check(answer, "forbidden")
            assert needed in problem["detail"]


@pytest.mark.parametrize(("method", "path", "needed"), EVERY)
def test_without_a_known_key_nothing_is_told(
    locked: httpx.Client, method: str, path: str, needed: Scope
) -> None:
    for sent in (None, "Bearer nobody", "Bearer", "Basic cHJlZGljdA==", "Bearer " + "0" * 64):
        answer = _call(locked, method, path, {"Authorization": sent} if sent else None)
        check(answer, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", OPEN)
def test_health_and_the_description_need_no_key(locked: httpx.Client, path: str) -> None:
    assert locked.get(path).status_code == 200


def test_the_event_stream_needs_a_key(locked: httpx.Client) -> None:
    check(locked.get("/v1/events"), "unauthenticated")
    headers = {"Authorization": "bearer predict"}
    with locked.stream("GET", "/v1/events", headers=headers) as stream:
        assert stream.status_code == 200


@pytest.mark.parametrize(("method", "path", "needed"), EVERY)
def test_without_keys_this_machine_may_do_everything(
    keyless: httpx.Client, method: str, path: str, needed: Scope
) -> None:
    assert _call(keyless, method, path).status_code not in (401, 403)


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"Host": "rebound.example"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(("method", "path", "needed"), EVERY)
def test_without_keys_a_proxy_or_a_foreign_page_may_only_predict(
    keyless: httpx.Client, method: str, path: str, needed: Scope, header: dict[str, str]
) -> None:
    answer = _call(keyless, method, path, header)
    if needed == "predict":
        assert answer.status_code not in (401, 403)
    else:
        check(answer, "forbidden")


def _own_addresses() -> list[str]:
    """Of this machine's network interfaces, IPv4."""
    found = (one for addresses in psutil.net_if_addrs().values() for one in addresses)
    return [
        one.address
        for one in found
        if one.family is socket.AddressFamily.AF_INET and not is_loopback(one.address)
    ]


@pytest.mark.skipif(not _own_addresses(), reason="this machine has no network interface")
@pytest.mark.parametrize("host", [None, "localhost", "127.0.0.1"])
def test_without_keys_who_comes_over_the_network_may_only_predict(
    store: Store, backbone: BagOfWords, host: str | None
) -> None:
    """A server on all interfaces, reached by another than loopback, whatever Host is sent."""
    publish(store, backbone, MAIL)
    service = Service(store, Engines(backbone), Settings(), PrometheusMetrics())
    headers = {} if host is None else {"Host": host}
    with running(service, host="0.0.0.0") as server:
        port = server.url.rpartition(":")[2]
        with httpx.Client(base_url=f"http://{_own_addresses()[0]}:{port}") as outside:
            for method, path, needed in EVERY:
                answer = _call(outside, method, path, headers)
                if needed == "predict":
                    assert answer.status_code not in (401, 403)
                else:
                    check(answer, "forbidden")
                    assert _call(server.client, method, path).status_code not in (401, 403)


def _caller(address: str | None, host: str = "localhost:8000", **headers: str) -> Caller:
    return Caller(address, Headers({"host": host, **headers}))


def test_without_keys_other_machines_may_only_predict() -> None:
    access = Access()
    assert access.admit(_caller("10.0.0.7"), "predict") == "anybody"
    assert access.admit(_caller("127.0.0.1"), "learn") == "this-machine"
    assert access.admit(_caller("::1", host="[::1]:8000"), "admin") == "this-machine"
    same_page = _caller("127.0.0.1", origin="http://localhost:8000")
    assert access.admit(same_page, "admin") == "this-machine"
    for scope in ("learn", "admin"):
        for address in ("10.0.0.7", "::ffff:10.0.0.7", None):
            with pytest.raises(Problem, match="own machine"):
                access.admit(_caller(address), scope)


@pytest.mark.parametrize("trusted", [True, False])
def test_behind_our_own_proxy_the_flag_decides_instead_of_the_peer(trusted: bool) -> None:
    access = Access(trusted_local=trusted)
    for address in ("127.0.0.1", "10.0.0.7"):
        if trusted:
            assert access.admit(_caller(address), "learn") == "this-machine"
        else:
            with pytest.raises(Problem, match="own machine"):
                access.admit(_caller(address), "learn")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5, unique=True), st.text(max_size=8))
def test_a_key_is_found_by_its_secret_and_by_nothing_else(secrets: list[str], sent: str) -> None:
    keys = tuple(
        Key(
            name=f"k{index}",
            sha256=hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest(),
            scopes=frozenset({"predict"}),
        )
        for index, secret in enumerate(secrets)
    )
    found = find_key(keys, sent)
    assert (found is not None) == (sent in secrets)
    if found is not None:
        assert secrets[int(found.name[1:])] == sent


def test_a_key_with_several_scopes_allows_what_its_highest_includes() -> None:
    key = _key("x", "predict", "learn")
    assert [allows(key, scope) for scope in SCOPES] == [True, True, False]
