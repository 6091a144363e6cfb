"""The client for programs that run an event loop. `Client` has the same calls, and their docs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar

import httpx
from tenacity import AsyncRetrying

from perennial.client import calls, connection
from perennial.client.calls import Call, Input, LabelledInput, Truth
from perennial.client.errors import problem_from
from perennial.client.events import Event, EventParser
from perennial.client.results import (
    Batch,
    CanaryState,
    Classification,
    Erasure,
    Feedback,
    Forgetting,
    Info,
    LiveAccuracy,
    StreamResult,
    Task,
    Version,
    Versions,
)
from perennial.client.retries import Retries, unreachable
from perennial.client.waiting import Until, Wait

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio. Close it, or use it in `async with`."""

    def __init__(
        self,
        url: str = connection.DEFAULT_URL,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: Retries | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(
            base_url=connection.checked_url(url), headers=connection.headers(key), timeout=timeout
        )

    async def classify(
        self,
        inputs: Input | Iterable[Input],
        task: str | None = None,
        top_k: int = 5,
        version: int | None = None,
        min_version: int | None = None,
        caller: str | None = None,
    ) -> Classification:
        """See `Client.classify`."""
        return await self._send(calls.classify(inputs, task, top_k, version, min_version, caller))

    async def classify_stream(
        self,
        inputs: Iterable[Input],
        task: str | None = None,
        top_k: int = 5,
        version: int | None = None,
        min_version: int | None = None,
        caller: str | None = None,
    ) -> AsyncIterator[StreamResult]:
        """See `Client.classify_stream`."""
        for part in calls.classify_stream(inputs, task, top_k, version, min_version, caller):
            request = part.request(self._http)
            response: httpx.Response = await AsyncRetrying(**self._retries.policy())(
                self._open, request
            )
            async with aclosing(self._lines(response)) as lines:
                async for line in lines:
                    yield calls.stream_result(line)

    async def learn(
        self,
        task: str,
        examples: Iterable[LabelledInput],
        idempotency_key: str | None = None,
    ) -> Batch:
        """See `Client.learn`."""
        return await self._send(calls.learn(task, examples, idempotency_key))

    async def feedback(self, truths: Iterable[Truth], learn: bool = False) -> Feedback:
        """See `Client.feedback`."""
        return await self._send(calls.feedback(truths, learn))

    async def live_accuracy(self) -> LiveAccuracy:
        """See `Client.live_accuracy`."""
        return await self._send(calls.live_accuracy())

    async def batch(self, batch_id: str) -> Batch:
        """See `Client.batch`."""
        return await self._send(calls.batch(batch_id))

    async def wait(
        self,
        batch: Batch | str,
        until: Until = "published",
        timeout: float = 600.0,
        on_progress: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """See `Client.wait`."""
        batch_id = batch if isinstance(batch, str) else batch.batch
        wait = Wait(until, timeout, on_progress)
        while not wait.over(current := await self.batch(batch_id)):
            await asyncio.sleep(wait.pause())
        return current

    async def tasks(self) -> tuple[Task, ...]:
        """See `Client.tasks`."""
        return await self._send(calls.tasks())

    async def task(self, name: str) -> Task:
        """See `Client.task`."""
        return await self._send(calls.task(name))

    async def declare(self, name: str, labels: Iterable[str] = ()) -> Task:
        """See `Client.declare`."""
        return await self._send(calls.declare(name, labels))

    async def forget(
        self, task: str, *, label: str | None = None, ids: Iterable[str] | None = None
    ) -> Forgetting:
        """See `Client.forget`."""
        return await self._send(calls.forget(task, label, ids))

    async def erasure(self, erasure: Forgetting | str) -> Erasure:
        """See `Client.erasure`."""
        erasure_id = erasure if isinstance(erasure, str) else erasure.erasure
        return await self._send(calls.erasure(erasure_id))

    async def versions(self, limit: int | None = None, before: int | None = None) -> Versions:
        """See `Client.versions`."""
        return await self._send(calls.versions(limit, before))

    async def version(self, number: int) -> Version:
        """See `Client.version`."""
        return await self._send(calls.version(number))

    async def promote(self, number: int) -> Version:
        """See `Client.promote`."""
        return await self._send(calls.promote(number))

    async def pin(self, number: int) -> Version:
        """See `Client.pin`."""
        return await self._send(calls.pin(number))

    async def unpin(self, number: int) -> Version:
        """See `Client.unpin`."""
        return await self._send(calls.unpin(number))

    async def canary(self) -> CanaryState:
        """See `Client.canary`."""
        return await self._send(calls.canary())

    async def start_canary(self, version: int, percent: float, **rules: float) -> CanaryState:
        """See `Client.start_canary`."""
        return await self._send(calls.start_canary(version, percent, rules))

    async def stop_canary(self) -> CanaryState:
        """See `Client.stop_canary`."""
        return await self._send(calls.stop_canary())

    async def info(self) -> Info:
        """See `Client.info`."""
        return await self._send(calls.info())

    async def events(self) -> AsyncIterator[Event]:
        """See `Client.events`."""
        request = self._http.build_request(
            "GET", connection.EVENTS_PATH, timeout=connection.EVENTS_TIMEOUT
        )
        parser = EventParser()
        async with aclosing(self._lines(await self._open(request))) as lines:
            async for line in lines:
                event = parser.feed(line)
                if event is not None:
                    yield event

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _open(self, request: httpx.Request) -> httpx.Response:
        """The answer, whose body is still to come."""
        try:
            response = await self._http.send(request, stream=True)
            if response.is_error:
                await response.aread()
                raise problem_from(response)
        except httpx.RequestError as error:
            raise unreachable(error, request.url) from error
        return response

    async def _lines(self, response: httpx.Response) -> AsyncGenerator[str]:
        try:
            async for line in response.aiter_lines():
                yield line
        except httpx.RequestError as error:
            raise unreachable(error, response.url) from error
        finally:
            await response.aclose()

    async def _send(self, call: Call[T]) -> T:
        if not call.repeatable:
            return await self._send_once(call)
        return await AsyncRetrying(**self._retries.policy())(self._send_once, call)

    async def _send_once(self, call: Call[T]) -> T:
        try:
            response = await self._http.request(
                call.method, call.path, params=call.query, json=call.body, headers=call.headers
            )
        except httpx.RequestError as error:
            raise unreachable(error, self._http.base_url) from error
        return connection.read(call, response)
