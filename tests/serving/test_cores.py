"""Threads: as many as there really are cores for, and no more for matrix products."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from serving import cores


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_matrix_products_keep_to_their_threads() -> None:
    assert np.ones((2, 2)).dot(np.ones(2)).tolist() == [2, 2]  # the library is loaded
    with threadpool_limits(limits=2, user_api="blas"):  # restores what was
        cores.bound_blas(1)
        assert blas_threads() == {1}


def test_the_encoder_leaves_a_core_to_the_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((1, 1), (2, 1), (16, 15)):
        monkeypatch.setattr(cores, "available_cores", lambda there=there: there)
        assert cores.encoder_threads(None) == expected
    assert cores.encoder_threads(3) == 3
