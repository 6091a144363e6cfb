"""Versions that requests name, kept loaded while they are in use."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from concurrent.futures import Executor

from prompt_store import StoreError, UnknownVersion
from serving.problems import Problem
from serving.snapshot import Snapshot, SnapshotLoader, Unservable

logger = logging.getLogger(__name__)

KEPT_SECONDS = 60.0
"""For how long it is taken for granted that a loaded version is still kept."""


class Pins:
    """The `capacity` snapshots used last, besides the live one. Used from one event loop."""

    def __init__(self, loader: SnapshotLoader, executor: Executor, capacity: int) -> None:
        self._loader = loader
        self._executor = executor
        self._capacity = capacity
        self._loaded: OrderedDict[int, Snapshot] = OrderedDict()
        self._loading: dict[int, asyncio.Task[Snapshot]] = {}
        self._looked_at: dict[int, float] = {}

    @property
    def versions(self) -> list[int]:
        """What is loaded, the one used longest ago first."""
        return list(self._loaded)

    async def get(self, version: int) -> Snapshot:
        """The snapshot of this version, loaded off the event loop where it is not here yet.

        Raises Problem: unknown-version, version-not-loadable.
        """
        if version in self._loaded:
            snapshot = self._loaded[version]
            await self._check_kept(version)
            if version in self._loaded:
                self._loaded.move_to_end(version)
            return snapshot
        if version not in self._loading:
            self._loading[version] = asyncio.create_task(self._load(version))
        # Shielded: a request that goes away must not take the load from others that wait for it.
        return await asyncio.shield(self._loading[version])

    async def _check_kept(self, version: int) -> None:
        """Now and then: a version that retention has dropped, or a `forget`, answers no more.

        Raises Problem unknown-version. Trouble with the store leaves it as it is.
        """
        now = time.monotonic()
        if now - self._looked_at[version] < KEPT_SECONDS:
            return
        self._looked_at[version] = now
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, self._loader.check_kept, version)
        except UnknownVersion as error:
            self._drop(version)
            raise unknown_version(version) from error
        except (StoreError, OSError) as error:
            logger.warning("it is not known whether version %d is kept: %s", version, error)

    def _drop(self, version: int) -> None:
        self._loaded.pop(version, None)
        self._looked_at.pop(version, None)

    async def _load(self, version: int) -> Snapshot:
        loop = asyncio.get_running_loop()
        try:
            snapshot = await loop.run_in_executor(self._executor, self._loader.load_kept, version)
        except UnknownVersion as error:
            raise unknown_version(version) from error
        except (Unservable, StoreError, OSError) as error:
            raise Problem("version-not-loadable", str(error), version=version) from error
        finally:
            del self._loading[version]
        self._loaded[version] = snapshot
        self._looked_at[version] = time.monotonic()
        while len(self._loaded) > self._capacity:
            self._drop(next(iter(self._loaded)))
        return snapshot


def unknown_version(version: int) -> Problem:
    """The version was never published, or is no longer kept."""
    return Problem(
        "unknown-version",
        f"there is no version {version}; GET /v1/versions lists those that are kept",
        version=version,
    )
