"""Which tests share a worker: those of one file its fixtures, those with Ray the one machine."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's `loadgroup` would do, but for pytest 9.2, which ignores the ids it gives tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        source = (self.config.rootpath / file).read_text(encoding="utf-8")
        return "ray" if "pytest.mark.ray" in source else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)
