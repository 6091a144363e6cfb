"""Classifying a stream: an input a line in, an answer a line out, in the same order.

    read      cuts what comes in into lines, and starts an answer to each
    collect   puts the answers into the spool, in order
    deliver   sends what is in the spool

Most clients send everything before they read anything. So reading must go on while nobody reads
the answers: the spool keeps them. Reading stops for the backbone only, when as many inputs are
under way as streams may have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backbones import Input
from serving.allowance import Allowance
from serving.batcher import Answer
from serving.bodies import read_line
from serving.forward import Result
from serving.lines import Line, LineSplitter
from serving.logs import request_id
from serving.middleware import internal_error
from serving.problems import Problem
from serving.schemas.classify import ClassifyOptions
from serving.service import Service
from serving.spool import Spool

logger = logging.getLogger(__name__)

_PAUSE: Final = 1.0
"""Longest time, in seconds, until a line is tried again that had to wait."""

_PART: Final = 2**15
"""Bytes that are cut into lines before others have a turn: blank lines keep it from none."""

Coming = asyncio.Queue[asyncio.Task[bytes] | None]
"""Answers in the order of their lines; None ends them."""


class LineStream(Response):
    """The answers to the lines of one request, which are read while they are sent."""

    def __init__(
        self,
        service: Service,
        options: ClassifyOptions,
        media_type: str,
        admit: Callable[[], Allowance | None],
        caller: str | None = None,
    ) -> None:
        """admit: how fast its caller may send; raises Problem where he may no longer."""
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._service = service
        self._options = options
        self._admit = admit
        self._caller = caller
        self._limits = service.settings.limits
        self._ended_by: Problem | None = None
        self._held = 0  # bytes of lines under way
        self._freed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises nothing where the client goes away: what is under way for it is dropped."""
        coming: Coming = asyncio.Queue(self._service.stream_places)
        with Spool(self._limits.stream_bytes, self._limits.stream_idle_seconds) as spool:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(receive, group, coming))
                    group.create_task(self._collect(coming, spool))
                    group.create_task(self._deliver(spool, send))
            except* ClientDisconnect:
                logger.info("the client of a stream went away")
            except* TimeoutError:
                logger.info("the client of a stream does not read its answers")

    async def _read(self, receive: Receive, group: asyncio.TaskGroup, coming: Coming) -> None:
        try:
            async for line in self._lines(receive):
                await self._until_allowed()
                await self._until_room()
                await self._service.streams.acquire()
                size = len(line.content or b"")
                self._held += size
                task = group.create_task(self._answer(line))
                task.add_done_callback(partial(self._let_go, size))
                await coming.put(task)
        except Problem as problem:
            self._ended_by = problem
        await coming.put(None)

    async def _until_allowed(self) -> None:
        """A key that is too fast waits.

        Raises Problem where it was revoked or has ended, and where the server's time is almost up.
        """
        while (allowance := self._admit()) is not None and allowance.enter():
            if self._service.ending.hurried:
                raise _stopping()
            await asyncio.sleep(min(_PAUSE, allowance.wait()))

    async def _until_room(self) -> None:
        """Lines under way hold the bytes that a request may have, and those of one line more."""
        while self._held >= self._limits.body_bytes:
            self._freed.clear()
            await self._freed.wait()

    def _let_go(self, size: int, _: object) -> None:
        self._service.streams.release()
        self._held -= size
        self._freed.set()

    async def _lines(self, receive: Receive) -> AsyncIterator[Line]:
        """Raises Problem: client-idle, not-ready, body-too-large. Raises ClientDisconnect."""
        splitter = LineSplitter(self._limits.body_bytes)
        more = True
        while more:
            message = await self._message(receive)
            more = message.get("more_body", False)
            body = message.get("body", b"")
            for start in range(0, len(body), _PART):
                for line in splitter.feed(body[start : start + _PART]):
                    yield line
                await asyncio.sleep(0)
        for line in splitter.end():
            yield line

    async def _message(self, receive: Receive) -> Any:
        seconds, ending = self._limits.stream_idle_seconds, self._service.ending
        if ending.hurried:
            raise _stopping()
        try:
            async with ending.patience(seconds):
                message = await receive()
        except TimeoutError as error:
            if ending.began:
                raise _stopping() from error
            raise Problem(
                "client-idle", f"nothing came for {seconds:g} s; send the rest in a new stream"
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        return message

    async def _collect(self, coming: Coming, spool: Spool) -> None:
        while (task := await coming.get()) is not None:
            await spool.put(await task)
        if self._ended_by is not None:
            await spool.put(_line({"error": self._ended_by.members}))
        await spool.finish()

    async def _deliver(self, spool: Spool, send: Send) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        async for part in spool.parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _answer(self, line: Line) -> bytes:
        """What is wrong with one line ends no other."""
        named: dict[str, str] = {}
        try:
            asked = read_line(self._content(line))
            named = {} if asked.id is None else {"id": asked.id}
            answer = await self._classified(asked.to_input())
        except Problem as error:
            problem = error
        except Exception:
            logger.exception("unexpected error")
            problem = internal_error(request_id.get())
        else:
            members = result_members(answer.results[0])
            if named:
                members["prediction_id"] = members["id"]
            return _line({"version": answer.version, **members, **named})
        return _line({**named, "line": line.number, "error": problem.members})

    def _content(self, line: Line) -> bytes:
        if line.content is None:
            most = self._limits.body_bytes
            raise Problem("body-too-large", f"the line is longer than {most} bytes", limit=most)
        return line.content

    async def _classified(self, one: Input) -> Answer:
        """Waits for room, where a request of its own would be refused."""
        ask = self._options
        while True:
            try:
                return await self._service.classify(
                    [one],
                    ask.task,
                    ask.top_k,
                    ask.version,
                    ask.min_version,
                    patient=True,
                    caller=self._caller,
                )
            except Problem as problem:
                if problem.slug != "overloaded":
                    raise
            await asyncio.sleep(_PAUSE)


def _stopping() -> Problem:
    return Problem("not-ready", "the server is stopping; send the rest in a new stream")


def result_members(one: Result) -> dict[str, Any]:
    """A result as answers have it."""
    return {
        "id": one.id,
        "novelty": one.novelty,
        "predictions": [prediction._asdict() for prediction in one.predictions],
    }


def _line(members: dict[str, Any]) -> bytes:
    return orjson.dumps(members) + b"\n"
