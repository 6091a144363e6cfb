"""Keys of the store in running servers: made, revoked, ended, and how fast they may send."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from prompt_store import Actor, CorruptRecord, KeyTerms, Store, digest_of
from prompt_store.keys import keys_key
from serving.settings import Key
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish
from tests.serving.running import Running
from tests.serving.talking import talking
from tests.serving.test_problems import check

ME = Actor(name="cli:me@here")
ASK = {"inputs": ["give my money back"]}
TEACH = {"examples": [{"input": "a", "label": "refund"}]}
HARDLY = 0.001  # inputs a second: none comes back while a test runs


@pytest.fixture
def running(store: Store, backbone: BagOfWords, serve: Serve) -> Running:
    """A server that knows `MAIL`, and no key yet."""
    publish(store, backbone, MAIL)
    return serve(store, backbone)


def _make(store: Store, name: str, scope: str = "predict", **terms: object) -> None:
    """A key whose secret is its name."""
    made = {"digest": digest_of(name.encode()), "scopes": (scope,), **terms}
    Store.existing(store.backend).keys.create(name, KeyTerms.model_validate(made), ME)


def _revoke(store: Store, name: str) -> None:
    assert Store.existing(store.backend).keys.revoke(name, ME)


def _as(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


def _ask(server: Running, name: str | None, path: str = "/v1/classify") -> httpx.Response:
    headers = {} if name is None else _as(name)
    body = ASK if path == "/v1/classify" else TEACH
    return server.client.post(path, json=body, headers=headers)


def _until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def _until_known(server: Running, name: str) -> None:
    """Until this key, and so all made before it, is in force: without keys any would do."""
    _until(lambda: _ask(server, None).status_code == 401)
    _until(lambda: _ask(server, name).status_code == 200)


def test_a_key_works_and_stops_without_a_restart(store: Store, running: Running) -> None:
    assert _ask(running, None).status_code == 200
    _make(store, "ops", "learn")
    _until(lambda: _ask(running, None).status_code == 401)
    assert _ask(running, "ops").status_code == 200
    check(_ask(running, "nobody"), "unauthenticated")
    _make(store, "reader")
    _until_known(running, "reader")
    check(_ask(running, "reader", "/v1/tasks/mail/examples"), "forbidden")
    _revoke(store, "ops")
    _until(lambda: _ask(running, "ops").status_code == 401)
    assert _ask(running, "reader").status_code == 200


def test_with_all_keys_revoked_nobody_gets_in(
    store: Store, backbone: BagOfWords, running: Running, serve: Serve
) -> None:
    _make(store, "only", "admin")
    _until_known(running, "only")
    _revoke(store, "only")
    _until(lambda: _ask(running, "only").status_code == 401)
    for server in (running, serve(store, backbone)):
        for name in (None, "only", "nobody"):
            check(_ask(server, name), "unauthenticated")
        check(_ask(server, None, "/v1/tasks/mail/examples"), "unauthenticated")


def test_a_key_that_has_ended(store: Store, running: Running) -> None:
    now = datetime.now(UTC)
    _make(store, "past", expires_at=now - timedelta(seconds=1))
    _make(store, "good", expires_at=now + timedelta(days=1))
    _until_known(running, "good")
    assert "ended" in check(_ask(running, "past"), "unauthenticated")["detail"]


def test_keys_of_settings_stay_and_have_their_names(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    own = Key(name="own", sha256=digest_of(b"of-settings"), scopes=frozenset({"predict"}))
    _make(store, "own", "admin")
    _make(store, "other")
    publish(store, backbone, MAIL)
    server = serve(store, backbone, keys=(own,))
    assert _ask(server, "of-settings").status_code == 200
    assert _ask(server, "other").status_code == 200
    check(_ask(server, "own"), "unauthenticated")


def test_a_scope_of_a_newer_program_opens_nothing(store: Store, running: Running) -> None:
    _make(store, "newer", "root")
    _make(store, "good")
    _until_known(running, "good")
    check(_ask(running, "newer"), "unauthenticated")


def test_a_replica_that_cannot_read_the_keys_keeps_those_it_has(
    store: Store, backbone: BagOfWords, running: Running, serve: Serve
) -> None:
    _make(store, "good")
    _until_known(running, "good")
    store.backend.create(keys_key(2), b"{")
    headers = _as("good")

    def trouble() -> list[str]:
        answer = running.client.get("/v1/info", headers=headers)
        found: list[str] = answer.json()["trouble"]
        return found

    _until(lambda: any(keys_key(2) in one for one in trouble()))
    assert _ask(running, "good").status_code == 200
    check(_ask(running, None), "unauthenticated")
    with pytest.raises(CorruptRecord):  # nobody can say what was in it
        serve(Store.existing(store.backend), backbone)


def test_a_stream_ends_where_its_key_does(store: Store, running: Running) -> None:
    _make(store, "good")
    _until_known(running, "good")
    with talking(running.url, headers=_as("good")) as talk:
        talk.say("give my money back")
        assert "predictions" in (talk.hear() or {})
        _revoke(store, "good")
        _until(lambda: _ask(running, "good").status_code == 401)
        talk.say("give my money back")
        (last,) = talk.rest()
    assert last["error"]["status"] == 401


def test_listening_ends_where_the_key_does(store: Store, running: Running) -> None:
    _make(store, "good")
    _until_known(running, "good")
    with running.client.stream("GET", "/v1/events", headers=_as("good")) as stream:
        lines = stream.iter_lines()
        next(lines)
        _revoke(store, "good")
        for _ in lines:
            pass


def test_a_key_that_sends_too_much_waits_and_others_do_not(store: Store, running: Running) -> None:
    _make(store, "slow", inputs_per_second=HARDLY, burst=3)
    _make(store, "free")
    _until_known(running, "free")
    assert [_ask(running, "slow").status_code for _ in range(3)] == [200] * 3
    refused = _ask(running, "slow")
    told = check(refused, "rate-limited")
    assert told["inputs_per_second"] == HARDLY
    assert 900 < int(refused.headers["Retry-After"]) <= 1000
    assert _ask(running, "free").status_code == 200
    _revoke(store, "free")
    _until(lambda: _ask(running, "free").status_code == 401)
    check(_ask(running, "slow"), "rate-limited")  # other keys' changes fill no bucket


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/classify", {"inputs": ["a"] * 50}),
        ("/v1/tasks/mail/examples", {"examples": TEACH["examples"] * 50}),
    ],
)
def test_inputs_are_what_counts(
    store: Store, running: Running, path: str, body: dict[str, object]
) -> None:
    _make(store, "slow", "learn", inputs_per_second=1.0, burst=1)
    _until(lambda: _ask(running, None).status_code == 401)
    answer = running.client.post(path, json=body, headers=_as("slow"))
    assert answer.status_code in (200, 202)
    refused = _ask(running, "slow")
    check(refused, "rate-limited")
    assert 40 < int(refused.headers["Retry-After"]) <= 50


def test_a_stream_waits_where_its_key_is_too_fast(store: Store, running: Running) -> None:
    """Its lines are not refused; it takes one token to come in, and one for each line."""
    _make(store, "slow", inputs_per_second=HARDLY, burst=5)
    _until(lambda: _ask(running, None).status_code == 401)
    with talking(running.url, headers=_as("slow")) as talk:
        talk.say(*["give my money back"] * 100)
        talk.end()
        assert all("predictions" in (talk.hear() or {}) for _ in range(4))
        _revoke(store, "slow")
        (last,) = talk.rest()
    assert last["error"]["status"] == 401


def test_a_stream_that_waits_for_its_key_is_told_when_time_is_up(
    store: Store, running: Running
) -> None:
    _make(store, "slow", inputs_per_second=HARDLY, burst=2)
    _until(lambda: _ask(running, None).status_code == 401)
    with talking(running.url, headers=_as("slow")) as talk:
        talk.say("a", "b")
        assert "predictions" in (talk.hear() or {})
        running.on_loop(running.service.leave)
        running.on_loop(running.service.hurry)
        (told,) = talk.rest()
    assert told["error"]["type"].endswith("/not-ready")


def test_the_default_is_for_keys_without_a_rate(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    _make(store, "plain")
    _make(store, "fast", inputs_per_second=1000.0, burst=100)
    server = serve(store, backbone, limits={"inputs_per_second": HARDLY, "burst": 2})
    assert [_ask(server, "plain").status_code for _ in range(3)] == [200, 200, 429]
    assert [_ask(server, "fast").status_code for _ in range(9)] == [200] * 9


def test_without_keys_nobody_is_counted(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    publish(store, backbone, MAIL)
    server = serve(store, backbone, limits={"inputs_per_second": HARDLY, "burst": 1})
    assert [_ask(server, None).status_code for _ in range(3)] == [200] * 3
