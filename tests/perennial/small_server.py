"""A small real server with the documented shapes, to test the client and the commands against.

It learns nothing: a batch takes one step towards `published` every time somebody looks at it.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

LINES = "application/x-ndjson"
REFUSED = {"type": "about:blank", "title": "No", "status": 422, "detail": "not this one"}
FORGOTTEN = {"version": 9, "examples": 5, "classes": 2, "prompts_dropped": 1, "exact": True}
STEPS = ("queued", "refreshed", "training", "evaluating", "published")


@dataclass
class Seen:
    """A request the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    query: dict[str, str]


@dataclass
class SmallServer:
    """Its state, open for tests: what it saw, what it shall refuse, what it tells."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    refusals: deque[Response] = field(default_factory=deque)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ends_as: str = "published"
    gate_refuses: bool = False
    fenced: bool = False
    gate: dict[str, Any] | None = None
    older: dict[str, list[str]] | None = None
    refuses_from_batch: int | None = None
    refusal: dict[str, Any] = field(default_factory=lambda: {"detail": "no such label"})
    limits: dict[str, Any] = field(default_factory=lambda: {"inputs": 256})
    bad_input: Any = None
    ends_streams: bool = False
    forgotten: dict[str, Any] = field(default_factory=lambda: dict(FORGOTTEN))
    forgets_after: int = 2  # looks at the report
    canary: dict[str, Any] | None = None

    def refuse(self, status: int, *, retry_after: int | None = None, **members: Any) -> None:
        """Answer the next request, whatever it is, with this problem."""
        body = {"type": "about:blank", "title": "No", "status": status, "detail": "no"} | members
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        media_type = "application/problem+json"
        self.refusals.append(JSONResponse(body, status, headers, media_type))

    def answer(self, body: str, status: int = 200, media_type: str = "text/html") -> None:
        """Answer the next request, whatever it is, with this body."""
        self.refusals.append(Response(body, status, media_type=media_type))

    def forget_everything(self) -> None:
        """As it was at the start."""
        self.__init__(self.url)  # type: ignore[misc]

    def calls(self, path: str) -> list[Seen]:
        return [one for one in self.seen if one.path == path]

    def app(self) -> FastAPI:
        app = FastAPI()
        app.middleware("http")(self._record)
        for method, path, endpoint in (
            ("POST", "/v1/classify", self._classify),
            ("POST", "/v1/feedback", self._feedback),
            ("GET", "/v1/feedback", self._live_accuracy),
            ("POST", "/v1/tasks/{task}/examples", self._learn),
            ("GET", "/v1/batches/{batch}", self._batch),
            ("GET", "/v1/tasks", self._tasks),
            ("GET", "/v1/tasks/{task}", self._task),
            ("PUT", "/v1/tasks/{task}", self._declare),
            ("DELETE", "/v1/tasks/{task}", self._forget),
            ("DELETE", "/v1/tasks/{task}/labels/{label}", self._forget_label),
            ("POST", "/v1/tasks/{task}/examples/forget", self._forget_examples),
            ("GET", "/v1/erasures/{erasure}", self._erasure),
            ("GET", "/v1/versions", self._versions),
            ("GET", "/v1/versions/{number}", self._version),
            ("POST", "/v1/versions/{number}/promote", self._promote),
            ("PUT", "/v1/versions/{number}/pin", self._pin),
            ("DELETE", "/v1/versions/{number}/pin", self._unpin),
            ("PUT", "/v1/canary", self._start_canary),
            ("GET", "/v1/canary", self._canary),
            ("DELETE", "/v1/canary", self._stop_canary),
            ("GET", "/v1/info", self._info),
            ("GET", "/v1/events", self._events),
        ):
            app.add_api_route(path, endpoint, methods=[method], response_model=None)
        return app

    async def _record(
        self, request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        body = await _read(request)
        path = request.scope["path"]
        query = dict(request.query_params)
        self.seen.append(Seen(request.method, path, dict(request.headers), body, query))
        listening = path == "/v1/events"
        return self.refusals.popleft() if self.refusals and not listening else await go_on(request)

    async def _classify(self, request: Request) -> Any:
        body = await _read(request)
        if isinstance(body, list):
            asked: dict[str, Any] = {"inputs": body, **request.query_params}
            version, results = int(asked.get("version", 7)), self._results(asked)
            lines = [json.dumps({"version": version, **one}) for one in results]
            for number, one in enumerate(body, start=1):
                if one == self.bad_input:
                    lines[number - 1] = json.dumps({"line": number, "error": REFUSED})
            lines += [json.dumps({"error": REFUSED})] if self.ends_streams else []
            return Response("\n".join(lines), media_type=LINES)
        return {"version": body.get("version", 7), "results": self._results(body)}

    def _results(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        known = [(t, one) for t, labels in sorted(self.labels.items()) for one in labels]
        wanted = [(t, one) for t, one in known if asked.get("task") in (None, t)]
        predictions = [
            {"task": task, "label": label, "score": 1 / (rank + 2)}
            for rank, (task, label) in enumerate(wanted[: int(asked["top_k"])])
        ]
        return [
            {"id": f"r{n}", "novelty": 0.25, "predictions": predictions}
            for n, _ in enumerate(asked["inputs"])
        ]

    async def _feedback(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        judged = [
            {
                "prediction_id": one["prediction_id"],
                "version": 7,
                "task": one.get("task", "mail"),
                "outcome": "right" if one["label"] == "refund" else "wrong",
                "repeated": one["prediction_id"] == "r0",
            }
            for one in body["feedback"]
        ]
        return {"feedback": judged, "batch": "b1" if body["learn"] else None}

    async def _live_accuracy(self) -> dict[str, Any]:
        tally = {"version": 7, "task": "mail", "right": 3, "wrong": 1, "new": 0, "accuracy": 0.75}
        return {"since": "2030-01-01T00:00:00Z", "window": 100, "accuracy": [tally]}

    async def _learn(self, task: str, request: Request) -> JSONResponse:
        if self.refuses_from_batch is not None and len(self.batches) >= self.refuses_from_batch:
            problem = {"title": "No", "status": 422, **self.refusal}
            return JSONResponse(problem, 422, media_type="application/problem+json")
        examples = (await request.json())["examples"]
        number = f"b{len(self.batches) + 1}"
        self.labels[task] = sorted({*self.labels[task], *(one["label"] for one in examples)})
        self.batches[number] = {"batch": number, "task": task, "step": 0}
        answer = {"batch": number, "task": task, "status": "queued", "examples": len(examples)}
        return JSONResponse(answer, 202, {"Location": f"/v1/batches/{number}"})

    async def _batch(self, batch: str) -> dict[str, Any]:
        known = self.batches[batch]
        step = known["step"]
        known["step"] = min(step + 1, len(STEPS) - 1)
        status = self.ends_as if step == len(STEPS) - 1 else STEPS[step]
        told = {"version": 8 if step else None, "gate_refused": self.gate_refuses}
        error = "no such label" if status == "failed" else None
        return {**known, **told, "status": status, "error": error}

    async def _tasks(self) -> dict[str, Any]:
        known = [self._described(task) for task in sorted(self.labels)]
        return {"tasks": known}

    async def _task(self, task: str) -> Response:
        if task not in self.labels:
            problem = {"title": "No such task", "status": 404, "detail": f"no task {task!r}"}
            return JSONResponse(problem, 404, media_type="application/problem+json")
        return JSONResponse(self._described(task))

    def _described(self, task: str) -> dict[str, Any]:
        return {
            "task": task,
            "labels": self.labels[task],
            "examples": 10,
            "domain": "mail",
            "prompt": "domain",
        }

    async def _declare(self, task: str, request: Request) -> dict[str, Any]:
        labels = (await request.json())["labels"]
        return {"task": task, "labels": self.labels[task], "declared_labels": labels}

    async def _forget(self, task: str) -> dict[str, Any]:
        del self.labels[task]
        return {"task": task, "status": "forgetting", "erasure": "e1"}

    async def _forget_label(self, task: str, label: str) -> dict[str, Any]:
        self.labels[task].remove(label)
        return {"task": task, "status": "forgetting", "erasure": "e1"}

    async def _forget_examples(self, task: str, request: Request) -> dict[str, Any]:
        self.forgotten["examples"] = len((await request.json())["ids"])
        return {"task": task, "status": "forgetting", "erasure": "e1"}

    async def _erasure(self, erasure: str) -> dict[str, Any]:
        self.forgets_after -= 1
        if self.forgets_after > 0:
            return {"erasure": erasure, "status": "forgetting"}
        return {"erasure": erasure, "status": "forgotten", **self.forgotten}

    async def _versions(self, limit: int = 50, before: int | None = None) -> dict[str, Any]:
        known = [_version(8, "train"), _version(7, "refresh")]
        known[1]["batches"] += list(self.batches) if self.gate_refuses else []
        known += [_version(6, "fence")] if self.fenced else []
        below = [one for one in known if before is None or one["version"] < before]
        rest = below[limit - 1]["version"] if limit < len(below) else None
        return {"live": 8, "versions": below[:limit], "before": rest}

    async def _version(self, number: int) -> dict[str, Any]:
        return {**_version(number, "train"), "gate": self.gate}

    async def _promote(self, number: int) -> dict[str, Any]:
        self.labels = self.labels if self.older is None else self.older
        return {**_version(9, "rollback"), "source": number}

    async def _pin(self, number: int) -> dict[str, Any]:
        return {**_version(number, "train"), "pinned": True}

    async def _unpin(self, number: int) -> dict[str, Any]:
        return {**_version(number, "train"), "pinned": False}

    async def _start_canary(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        self.canary = {**body, "entry": 9, "since": "2030-01-01T00:00:00Z"}
        return await self._canary()

    async def _stop_canary(self) -> dict[str, Any]:
        self.canary = None
        return await self._canary()

    async def _canary(self) -> dict[str, Any]:
        if self.canary is None:
            ended = {"entry": 10, "kind": "canary", "at": "2030-01-01T00:00:00Z", "version": 7}
            return {"canary": None, "ended": {**ended, "reason": "a caller ended it"}}
        comparison = {
            "requests": {"canary": 5, "live": 95},
            "median_seconds": {"canary": 0.01, "live": 0.009},
            "compared": 4,
            "agreement": 0.75,
            "feedback": {"both": 2, "canary": 0, "live": 1, "neither": 1},
            "errors": 0,
        }
        return {"canary": self.canary, "comparison": comparison, "ended": None}

    async def _info(self) -> dict[str, Any]:
        return {"name": "perennial", "backbone": {"name": "minilm"}, "limits": self.limits}

    async def _events(self) -> StreamingResponse:
        def stream() -> Iterator[str]:
            yield ": heartbeat\n\n"
            for number, (name, data) in enumerate(self.events, start=1):
                yield f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")


async def _read(request: Request) -> Any:
    """The body; of lines a list."""
    raw = await request.body()
    if request.headers.get("content-type") == LINES:
        return [json.loads(line) for line in raw.splitlines()]
    return json.loads(raw) if raw else None


def _version(number: int, kind: str) -> dict[str, Any]:
    created = "2030-01-01T00:00:00Z"
    told = {"version": number, "kind": kind, "created_at": created, "batches": ["b"], "epoch": 3}
    learnt = {"mail": {"rows": 40, "right": 33, "new": 8}, "mood": {"rows": 2, "right": 2}}
    return {**told, "prequential": learnt if kind == "refresh" else {}}


@contextmanager
def running() -> Iterator[SmallServer]:
    """The server on a free loopback port, in a thread, until the block ends."""
    server = SmallServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(server.app(), log_level="error", ws="none", lifespan="off")
        runner = uvicorn.Server(config)
        thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield server
        finally:
            runner.should_exit = True
            thread.join()
