"""Versions that requests name, kept loaded while they are in use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor

from prompt_store import StoreError, UnknownVersion
from serving.problems import Problem
from serving.snapshot import Snapshot, SnapshotLoader, Unservable


class Pins:
    """The `capacity` snapshots used last, besides the live one. Used from one event loop."""

    def __init__(self, loader: SnapshotLoader, executor: Executor, capacity: int) -> None:
        self._loader = loader
        self._executor = executor
        self._capacity = capacity
        self._loaded: OrderedDict[int, Snapshot] = OrderedDict()
        self._loading: dict[int, asyncio.Task[Snapshot]] = {}

    @property
    def versions(self) -> list[int]:
        """What is loaded, the one used longest ago first."""
        return list(self._loaded)

    async def get(self, version: int) -> Snapshot:
        """The snapshot of this version, loaded off the event loop where it is not here yet.

        Raises Problem: unknown-version, version-not-loadable.
        """
        if version in self._loaded:
            self._loaded.move_to_end(version)
            return self._loaded[version]
        if version not in self._loading:
            self._loading[version] = asyncio.create_task(self._load(version))
        # Shielded: a request that goes away must not take the load from others that wait for it.
        return await asyncio.shield(self._loading[version])

    async def _load(self, version: int) -> Snapshot:
        loop = asyncio.get_running_loop()
        try:
            snapshot = await loop.run_in_executor(self._executor, self._loader.load, version)
        except UnknownVersion as error:
            raise unknown_version(version) from error
        except (Unservable, StoreError, OSError) as error:
            raise Problem("version-not-loadable", str(error), version=version) from error
        finally:
            del self._loading[version]
        self._loaded[version] = snapshot
        while len(self._loaded) > self._capacity:
            self._loaded.popitem(last=False)
        return snapshot


def unknown_version(version: int) -> Problem:
    """The version was never published, or is no longer kept."""
    return Problem(
        "unknown-version",
        f"there is no version {version}; GET /v1/versions lists those that are kept",
        version=version,
    )
