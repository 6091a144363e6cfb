"""The event bus: what happens here, to everybody who listens. Nothing depends on it for truth."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

from learner.events import Event

DEPTH = 256  # events a subscriber may be behind before it is dropped


@dataclass(frozen=True)
class Numbered:
    """An event and its number in this process, from 1."""

    number: int
    event: Event


class Dropped(Exception):
    """The subscriber was too slow: events are missing, and none will follow."""


class Subscription:
    """One listener's bounded queue. Only the event loop's thread touches it."""

    def __init__(self, depth: int) -> None:
        self._waiting: asyncio.Queue[Numbered | None] = asyncio.Queue(depth)
        self._dropped = False
        self._ended = False

    def offer(self, numbered: Numbered) -> bool:
        """Whether there was room; without it the subscription ends as dropped."""
        try:
            self._waiting.put_nowait(numbered)
        except asyncio.QueueFull:
            self._dropped = True
            self.end()
            return False
        return True

    def end(self) -> None:
        """Ends the stream after what is already waiting, or at once where the queue is full."""
        self._ended = True
        if not self._waiting.full():
            self._waiting.put_nowait(None)

    async def next(self) -> Numbered | None:
        """The next event; None at the end. Raises Dropped where the end is due to slowness."""
        if self._ended and self._waiting.empty():
            self._check_whole()
            return None
        numbered = await self._waiting.get()
        if numbered is None:
            self._check_whole()
        return numbered

    def _check_whole(self) -> None:
        if self._dropped:
            raise Dropped


class EventBus:
    """Events from any thread, to subscribers on one event loop."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._numbers = itertools.count(1)
        self._subscriptions: set[Subscription] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def open(self) -> None:
        """Starts delivery on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Ends every stream and delivers nothing more. Call it on the event loop."""
        self._loop = None
        for subscription in self._subscriptions:
            subscription.end()

    def publish(self, event: Event) -> None:
        """From any thread. While the bus is closed, events are lost: the store is the truth."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._deliver, event)

    def _deliver(self, event: Event) -> None:
        numbered = Numbered(next(self._numbers), event)
        slow = [one for one in self._subscriptions if not one.offer(numbered)]
        self._subscriptions.difference_update(slow)

    def subscribe(self) -> Subscription:
        """From now on. End it with `unsubscribe`."""
        subscription = Subscription(self._depth)
        self._subscriptions.add(subscription)
        if self._loop is None:
            subscription.end()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
