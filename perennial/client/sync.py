"""The client for programs that wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import httpx
from tenacity import Retrying

from perennial.client import calls, connection
from perennial.client.calls import Call, Input, LabelledInput, Truth
from perennial.client.errors import problem_from
from perennial.client.events import Event, parse
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


class Client:
    """Speaks to one Perennial server. Threads may share it. Close it, or use it in `with`.

    url: of the server; key: a bearer key where the server asks for one; timeout: seconds for one
    answer; retries: for calls that may be sent twice. Every call raises `PerennialError`.
    """

    def __init__(
        self,
        url: str = connection.DEFAULT_URL,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: Retries | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.Client(
            base_url=connection.checked_url(url), headers=connection.headers(key), timeout=timeout
        )

    def classify(
        self,
        inputs: Input | Iterable[Input],
        task: str | None = None,
        top_k: int = 5,
        version: int | None = None,
        min_version: int | None = None,
        caller: str | None = None,
    ) -> Classification:
        """Classes of one input or many, among all tasks or those of `task`.

        version: answer from exactly this one; min_version: from this one or a newer; caller: a name
        for whoever asks, who sees one version for as long as a canary lasts.
        """
        return self._send(calls.classify(inputs, task, top_k, version, min_version, caller))

    def classify_stream(
        self,
        inputs: Iterable[Input],
        task: str | None = None,
        top_k: int = 5,
        version: int | None = None,
        min_version: int | None = None,
        caller: str | None = None,
    ) -> Iterator[StreamResult]:
        """Classes of any number of inputs, in their order, in bounded memory on both sides.

        Inputs are read, and results come, a part of about a thousand at a time. One that cannot be
        classified has an `error`. Without `version`, results follow the server's swaps.
        """
        for part in calls.classify_stream(inputs, task, top_k, version, min_version, caller):
            request = part.request(self._http)
            response: httpx.Response = Retrying(**self._retries.policy())(self._open, request)
            yield from map(calls.stream_result, self._lines(response))

    def learn(
        self,
        task: str,
        examples: Iterable[LabelledInput],
        idempotency_key: str | None = None,
    ) -> Batch:
        """Hand in labelled examples as one batch; once this returns, the server keeps them."""
        return self._send(calls.learn(task, examples, idempotency_key))

    def feedback(self, truths: Iterable[Truth], learn: bool = False) -> Feedback:
        """Tell the true labels of predictions, by the `id` of their results: live accuracy.

        learn: learn them as one batch too; then each needs its `input`, and all are of one task.
        Raises NotFound for an id that is none of the server's: nothing was counted then.
        """
        return self._send(calls.feedback(truths, learn))

    def live_accuracy(self) -> LiveAccuracy:
        """How versions did by the newest feedback that the replica which answers has got."""
        return self._send(calls.live_accuracy())

    def batch(self, batch_id: str) -> Batch:
        """Where a batch stands."""
        return self._send(calls.batch(batch_id))

    def wait(
        self,
        batch: Batch | str,
        until: Until = "published",
        timeout: float = 600.0,
        on_progress: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """Wait until a batch's labels are usable (refreshed) or its prompts decided (published).

        on_progress: gets the batch whenever it has changed. Raises BatchFailed, WaitTimedOut.
        """
        batch_id = batch if isinstance(batch, str) else batch.batch
        wait = Wait(until, timeout, on_progress)
        while not wait.over(current := self.batch(batch_id)):
            time.sleep(wait.pause())
        return current

    def tasks(self) -> tuple[Task, ...]:
        """All tasks the server knows."""
        return self._send(calls.tasks())

    def task(self, name: str) -> Task:
        """One task with its classes. Raises NotFound."""
        return self._send(calls.task(name))

    def declare(self, name: str, labels: Iterable[str] = ()) -> Task:
        """Say which labels a task may have; none: any. Optional: teaching declares a task too."""
        return self._send(calls.declare(name, labels))

    def forget(
        self, task: str, *, label: str | None = None, ids: Iterable[str] | None = None
    ) -> Forgetting:
        """Forget a task with the next version: as if it had never been taught. Raises NotFound.

        label: only this class of it; ids: only these examples. Prompts that may carry traces of the
        task are dropped; they begin anew with the next training.
        """
        return self._send(calls.forget(task, label, ids))

    def erasure(self, erasure: Forgetting | str) -> Erasure:
        """What a request to forget came to. Raises NotFound."""
        return self._send(calls.erasure(erasure if isinstance(erasure, str) else erasure.erasure))

    def versions(self, limit: int | None = None, before: int | None = None) -> Versions:
        """A page of the history, newest first: at most `limit`, all below `before`."""
        return self._send(calls.versions(limit, before))

    def version(self, number: int) -> Version:
        """One version with its provenance and gate report. Raises NotFound."""
        return self._send(calls.version(number))

    def promote(self, number: int) -> Version:
        """Make a kept version live again, under a new number. Raises NotFound."""
        return self._send(calls.promote(number))

    def pin(self, number: int) -> Version:
        """Keep a version however many newer ones there are. Raises NotFound.

        A version that holds what was forgotten goes all the same.
        """
        return self._send(calls.pin(number))

    def unpin(self, number: int) -> Version:
        """Let retention drop a version when its turn comes."""
        return self._send(calls.unpin(number))

    def canary(self) -> CanaryState:
        """The canary under way, how it does beside live, and how the last one ended."""
        return self._send(calls.canary())

    def start_canary(self, version: int, percent: float, **rules: float) -> CanaryState:
        """Try a version on a share of the unpinned requests. Replicas end it where they see harm.

        rules: `false_alarms`, `latency_ratio`, `errors`; those not named as the server has them.
        """
        return self._send(calls.start_canary(version, percent, rules))

    def stop_canary(self) -> CanaryState:
        """End the canary: live answers all requests again."""
        return self._send(calls.stop_canary())

    def info(self) -> Info:
        """What the server is."""
        return self._send(calls.info())

    def events(self) -> Iterator[Event]:
        """Progress, publishes and swaps, as they happen, until the stream ends or breaks off."""
        request = self._http.build_request(
            "GET", connection.EVENTS_PATH, timeout=connection.EVENTS_TIMEOUT
        )
        yield from parse(self._lines(self._open(request)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, request: httpx.Request) -> httpx.Response:
        """The answer, whose body is still to come."""
        try:
            response = self._http.send(request, stream=True)
            if response.is_error:
                response.read()
                raise problem_from(response)
        except httpx.RequestError as error:
            raise unreachable(error, request.url) from error
        return response

    def _lines(self, response: httpx.Response) -> Iterator[str]:
        try:
            yield from response.iter_lines()
        except httpx.RequestError as error:
            raise unreachable(error, response.url) from error
        finally:
            response.close()

    def _send(self, call: Call[T]) -> T:
        if not call.repeatable:
            return self._send_once(call)
        result: T = Retrying(**self._retries.policy())(self._send_once, call)
        return result

    def _send_once(self, call: Call[T]) -> T:
        try:
            response = self._http.request(
                call.method, call.path, params=call.query, json=call.body, headers=call.headers
            )
        except httpx.RequestError as error:
            raise unreachable(error, self._http.base_url) from error
        return connection.read(call, response)
