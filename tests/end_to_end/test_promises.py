"""Promises that take a real server to break."""

from __future__ import annotations

import os
import signal
import time

import httpx
import pytest

from perennial.client import Client
from tests.end_to_end.conftest import Start, learner_of, needs_minilm

pytestmark = [pytest.mark.slow, needs_minilm]


def test_a_learner_that_hangs_stops_no_prediction(start: Start) -> None:
    with start("--learner-method", "frozen") as server, Client(server.url) as client:
        batch = client.learn("mail", [{"input": "money back", "label": "refund"}])
        client.wait(batch, timeout=120)
        learner = learner_of(server)
        assert learner is not None
        os.kill(learner.pid, signal.SIGSTOP)
        try:
            with httpx.Client(base_url=server.url, timeout=10) as http:
                body = {"examples": [{"input": "x", "label": "a"}]}
                for _ in range(400):
                    assert http.post("/v1/tasks/many/examples", json=body).status_code == 202
            assert client.classify("money back").results[0].predictions[0].label == "refund"
        finally:
            os.kill(learner.pid, signal.SIGCONT)


def test_a_refusal_is_no_larger_than_its_request(start: Start) -> None:
    with start("--learner-method", "frozen") as server:
        body = '{"inputs": [' + ",".join(["0"] * 100_000) + "]}"
        headers = {"content-type": "application/json"}
        began = time.monotonic()
        answer = httpx.post(f"{server.url}/v1/classify", content=body, headers=headers, timeout=60)
        assert answer.status_code == 422
        assert len(answer.content) < 10_000
        assert time.monotonic() - began < 30
        odd = httpx.post(
            f"{server.url}/v1/tasks/t/examples",
            json={"examples": [{"input": "x", "label": "a"}]},
            headers={"Host": "["},
            timeout=30,
        )
        assert odd.status_code == 403


def test_a_task_is_forgotten_over_http(start: Start) -> None:
    with start("--learner-method", "frozen") as server, Client(server.url) as client:
        for task, label in (("mail", "refund"), ("home", "music")):
            client.wait(client.learn(task, [{"input": label, "label": label}]), timeout=120)
        client.forget("mail")
        for _ in range(600):
            if [task.task for task in client.tasks()] == ["home"]:
                break
            time.sleep(0.05)
        assert [task.task for task in client.tasks()] == ["home"]
        assert client.classify("refund").results[0].predictions[0].task == "home"
