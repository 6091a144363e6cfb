"""Matrix products keep to the threads they are given."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from learner.matrix_threads import bound_blas


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_matrix_products_keep_to_their_threads() -> None:
    assert np.ones((2, 2)).dot(np.ones(2)).tolist() == [2, 2]  # the library is loaded
    with threadpool_limits(limits=2, user_api="blas"):  # restores what was
        bound_blas(1)
        assert blas_threads() == {1}
