"""Inputs to what the backbone sees: ahead of the queue for a pass, while another one computes.

Images are decoded in threads of their own. A decoded image is many times its file; no more of them
exist at once than there are threads: what is kept is the backbone's own small input. Texts become
tokens at once where that is quicker than a change of threads, else in the same threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, TypeVar

from backbones import Backbone, Input, InvalidInput, Preprocessed
from serving.images import check_header
from serving.metrics import Metrics
from serving.problems import invalid, several_invalid
from serving.room import check_room
from serving.settings import Limits

T = TypeVar("T")

THREADS: Final = 2
"""Images decoded at once. Decoding leaves Python's lock, so that two cores are used."""
AT_ONCE: Final = 1000
"""Characters of texts that are read on the event loop: some tenths of a millisecond."""


class Preprocessor:
    """Bounded, and fair: each request has at most `THREADS` images in hand at a time."""

    def __init__(self, backbone: Backbone, limits: Limits, metrics: Metrics) -> None:
        self._backbone: Final = backbone
        self._limits: Final = limits
        self._metrics: Final = metrics
        self._threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="preprocessor")
        self._turns: Final = asyncio.Semaphore(THREADS)
        self._waiting = 0

    def turn(self, *, patient: bool) -> AbstractAsyncContextManager[None]:
        """To hold while inputs are read. Patient ones wait here, not before others in a thread."""
        return self._turns if patient else nullcontext()

    def shutdown(self) -> None:
        """Returns after what is in hand."""
        self._threads.shutdown(cancel_futures=True)

    async def texts(self, inputs: Sequence[Input]) -> Preprocessed:
        """The tokens of texts and pairs. Raises Problem invalid-content."""
        try:
            if sum(_characters(one) for one in inputs) <= AT_ONCE:
                return self._backbone.preprocess(inputs)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._backbone.preprocess, inputs)
        except InvalidInput as error:
            raise invalid("#/inputs", str(error)) from error

    async def images(self, inputs: Sequence[Input], place: str) -> Preprocessed:
        """The images for the backbone. place: JSON pointer of input number {} in the body.

        Raises Problem: invalid-content that names every image at fault, overloaded. Cancelling
        drops what is not yet in a thread.
        """
        return Preprocessed.concat(await self._each(inputs, place, self._one))

    async def check(self, inputs: Sequence[Input], place: str) -> None:
        """Whether the backbone can see every image. Keeps nothing. Raises as `images`."""
        await self._each(inputs, place, lambda one: bool(len(self._one(one))))

    async def _each(
        self, inputs: Sequence[Input], place: str, work: Callable[[Input], T]
    ) -> list[T]:
        check_room(
            self._waiting,
            len(inputs),
            self._limits.queue_depth,
            metrics=self._metrics,
            what="images wait to be decoded",
            retry_after=1,
        )
        done: dict[int, T] = {}
        wrong: dict[int, str] = {}
        rest = enumerate(inputs)
        loop = asyncio.get_running_loop()

        async def lane() -> None:
            for index, one in rest:
                try:
                    done[index] = await loop.run_in_executor(self._threads, work, one)
                except InvalidInput as error:
                    wrong[index] = str(error).removeprefix("input 0: ")  # its place in a list of 1

        self._waiting += len(inputs)
        try:
            await asyncio.gather(*(lane() for _ in range(min(THREADS, len(inputs)))))
        finally:
            self._waiting -= len(inputs)
        if wrong:
            raise several_invalid([("#/" + place.format(i), wrong[i]) for i in sorted(wrong)])
        return [done[index] for index in range(len(inputs))]

    def _one(self, one: Input) -> Preprocessed:
        assert one.image is not None, "only images are decoded"
        check_header(one.image, self._limits.image_pixels)
        return self._backbone.preprocess([one])


def _characters(one: Input) -> int:
    return len(one.text or "") + len(one.text_pair or "")
