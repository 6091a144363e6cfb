"""Threads: as many as there really are cores for."""

from __future__ import annotations

import pytest

from serving import cores


def test_the_encoder_leaves_a_core_to_the_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((1, 1), (2, 1), (16, 15)):
        monkeypatch.setattr(cores, "available_cores", lambda there=there: there)
        assert cores.encoder_threads(None) == expected
    assert cores.encoder_threads(3) == 3
