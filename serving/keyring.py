"""The keys in force in this replica: those of its settings, and those of the store.

The store is read before anything is answered, and polled from then on, one read where nothing is
new. What cannot be read leaves the keys as they are; at the start it is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace

from pydantic import ValidationError

from prompt_store import Keys, StoredKey, StoreError
from serving import audit
from serving.allowance import Allowance
from serving.auth import Access
from serving.settings import Key, Limits

logger = logging.getLogger(__name__)

_BURST_SECONDS = 10
"""What a key may send at once where nothing says how much: its rate for so long."""


class Keyring:
    """access: the rule in force, replaced whole; trouble: for people, None when all is well."""

    def __init__(
        self, stored: Keys, access: Access, limits: Limits, executor: Executor, interval: float
    ) -> None:
        """access: with the settings' keys. Raises StoreError where the store's cannot be read."""
        self._stored = stored
        self._own = access.keys
        self._limits = limits
        self._executor = executor
        self._interval = interval
        self._allowances: dict[str, Allowance] = {}
        self._seen = 0
        self._task: asyncio.Task[None] | None = None
        self.trouble: str | None = None
        self.access = access
        self._take(stored.known(), len(stored.entries()))

    def start(self) -> None:
        """Starts polling on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="keyring")

    async def stop(self) -> None:
        """Ends polling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def allowance(self, caller: str) -> Allowance | None:
        """How fast this caller may send; None: as it likes."""
        return self._allowances.get(caller)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._look()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            entries = await loop.run_in_executor(self._executor, self._stored.entries)
            if len(entries) > self._seen:
                known = await loop.run_in_executor(self._executor, self._stored.known)
                for entry in entries[self._seen :]:
                    audit.tell(f"key {entry.what}", who=entry.actor.name, key=entry.name)
                self._take(known, len(entries))
        except (StoreError, OSError) as error:
            if self.trouble != str(error):
                logger.error("the store's keys cannot be read; those known stay", exc_info=error)
            self.trouble = str(error)
            return
        self.trouble = None

    def _take(self, known: Mapping[str, StoredKey], seen: int) -> None:
        """Puts these in force. Once there was a key, one is demanded, also when all are revoked."""
        keys = (*self._own, *self._usable(known.values()))
        self._seen = seen
        self.access = replace(self.access, keys=keys, keyed=bool(keys or known))
        self._allowances = {
            key.name: self._allowances.get(key.name) or allowance
            for key in keys
            if (allowance := self._new_allowance(key)) is not None
        }

    def _usable(self, stored: Iterable[StoredKey]) -> Iterator[Key]:
        taken = {key.name for key in self._own}
        for one in stored:
            key = _key(one) if one.revoked_at is None else None
            if key is not None and key.name in taken:
                logger.warning("the store's key %r is passed over: the settings have one", one.name)
            elif key is not None:
                yield key

    def _new_allowance(self, key: Key) -> Allowance | None:
        rate = key.inputs_per_second or self._limits.inputs_per_second
        if rate is None:
            return None
        burst = key.burst or self._limits.burst or max(1, round(rate * _BURST_SECONDS))
        return Allowance(rate, burst)


def _key(stored: StoredKey) -> Key | None:
    """As settings have it; None where it holds what this program does not know, as a new scope."""
    terms = stored.terms
    try:
        return Key(
            name=stored.name,
            sha256=terms.digest,
            scopes=frozenset(terms.scopes),
            inputs_per_second=terms.inputs_per_second,
            burst=terms.burst,
            expires_at=terms.expires_at,
        )
    except ValidationError as error:
        logger.warning("the store's key %r is passed over: %s", stored.name, error)
        return None
