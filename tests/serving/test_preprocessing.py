"""The preprocessor: few images at once, nobody starved, nothing decoded for those who have gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import pytest_asyncio

from backbones import Input, Preprocessed
from serving.metrics import PrometheusMetrics
from serving.preprocessing import THREADS, Preprocessor
from serving.problems import Problem
from serving.settings import Limits
from tests.serving.bag_of_words import BagOfWords
from tests.serving.pictures import RED, declaring


class HeldEyes(BagOfWords):
    """Sees what follows an image; each image waits until it is let go. Never encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Semaphore(0)
        self.seen: list[bytes] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        (one,) = inputs
        assert one.image is not None
        with self._lock:
            self.seen.append(name := one.image.removeprefix(RED[0]))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        assert self.free.acquire(timeout=30)
        with self._lock:
            self.at_once -= 1
        return Preprocessed({"size": (np.array([len(name)]),)}, np.ones(1, np.int64))

    async def until_seen(self, count: int) -> None:
        """Returns when so many images have been begun."""
        async with asyncio.timeout(30):
            while len(self.seen) < count:
                await asyncio.sleep(0.001)


@pytest.fixture
def eyes() -> HeldEyes:
    return HeldEyes()


@pytest_asyncio.fixture
async def preprocessor(eyes: HeldEyes) -> AsyncIterator[Preprocessor]:
    preprocessor = Preprocessor(eyes, Limits(queue_depth=10), PrometheusMetrics())
    yield preprocessor
    for _ in range(100):
        eyes.free.release()
    await asyncio.to_thread(preprocessor.shutdown)


def _images(*names: bytes) -> list[Input]:
    """Sound images, each followed by a name of its own."""
    return [Input(image=RED[0] + name) for name in names]


async def test_no_more_images_are_open_than_there_are_threads(
    preprocessor: Preprocessor, eyes: HeldEyes
) -> None:
    reading = [
        asyncio.create_task(preprocessor.images(_images(b"a", b"bb", b"ccc"), "inputs/{}"))
        for _ in range(3)
    ]
    await eyes.until_seen(THREADS)
    for _ in range(9):
        eyes.free.release()
    for batch in await asyncio.gather(*reading):
        assert [int(size[0]) for size in batch.fields["size"]] == [1, 2, 3]  # in their order
    assert eyes.most_at_once == THREADS
    assert len(eyes.seen) == 9


async def test_one_image_does_not_wait_for_all_of_a_large_request(
    preprocessor: Preprocessor, eyes: HeldEyes
) -> None:
    large = asyncio.create_task(preprocessor.check(_images(*[b"large"] * 9), "examples/{}/input"))
    await eyes.until_seen(THREADS)
    small = asyncio.create_task(preprocessor.images(_images(b"small"), "inputs/{}"))
    await asyncio.sleep(0)
    for _ in range(THREADS + 1):
        eyes.free.release()
    await asyncio.wait_for(small, 30)
    assert eyes.seen.index(b"small") <= 2 * THREADS
    assert not large.done()
    for _ in range(9):
        eyes.free.release()
    await large


async def test_who_has_gone_gets_nothing_decoded(
    preprocessor: Preprocessor, eyes: HeldEyes
) -> None:
    gone = asyncio.create_task(preprocessor.images(_images(*[b"gone"] * 9), "inputs/{}"))
    await eyes.until_seen(THREADS)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    for _ in range(20):
        eyes.free.release()
    await preprocessor.images(_images(b"here"), "inputs/{}")
    assert eyes.seen == [b"gone"] * THREADS + [b"here"]


async def test_beyond_its_bound_it_refuses(preprocessor: Preprocessor, eyes: HeldEyes) -> None:
    first = asyncio.create_task(
        preprocessor.images(_images(*[b"a"] * 20), "inputs/{}")
    )  # alone: taken
    await eyes.until_seen(THREADS)
    with pytest.raises(Problem, match="20 images wait") as refused:
        await preprocessor.images(_images(b"b"), "inputs/{}")
    assert (refused.value.slug, refused.value.status_code) == ("overloaded", 429)
    for _ in range(21):
        eyes.free.release()
    await first
    await preprocessor.images(_images(b"b"), "inputs/{}")


async def test_a_bomb_is_refused_before_the_backbone_sees_it(
    preprocessor: Preprocessor, eyes: HeldEyes
) -> None:
    eyes.free.release()
    with pytest.raises(Problem, match="far too many pixels; at most 32000000"):
        await preprocessor.images([Input(image=declaring(60_000, 60_000))], "inputs/{}")
    bomb = Input(image=declaring(9_000, 9_000))
    with pytest.raises(Problem, match="9000 x 9000 pixels; at most 32000000") as refused:
        await preprocessor.images([*_images(b"a"), bomb], "inputs/{}")
    assert refused.value.extra["errors"][0]["pointer"] == "#/inputs/1"
    assert eyes.seen == [b"a"]


async def test_what_nobody_foresaw_is_not_swallowed(eyes: HeldEyes) -> None:
    class Breaking(HeldEyes):
        def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
            raise RuntimeError("a bug")

    preprocessor = Preprocessor(Breaking(), Limits(), PrometheusMetrics())
    with pytest.raises(RuntimeError, match="a bug"):
        await preprocessor.images(_images(b"a", b"b", b"c"), "inputs/{}")
    preprocessor.shutdown()


async def test_patient_images_queue_up_behind_others(
    preprocessor: Preprocessor, eyes: HeldEyes
) -> None:
    async def read(name: bytes, *, patient: bool) -> None:
        async with preprocessor.turn(patient=patient):
            await preprocessor.images(_images(name), "inputs/{}")

    reading = [asyncio.create_task(read(b"patient", patient=True)) for _ in range(9)]
    await eyes.until_seen(THREADS)
    reading.append(asyncio.create_task(read(b"other", patient=False)))
    for _ in range(3):
        await asyncio.sleep(0)  # until it has asked for a thread
    for _ in reading:
        eyes.free.release()
    await asyncio.gather(*reading)
    assert eyes.seen.index(b"other") == THREADS
