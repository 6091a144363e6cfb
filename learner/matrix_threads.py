"""Threads of numpy and scipy, beside those of torch and ONNX Runtime."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def bound_blas(threads: int) -> None:
    """From now on, matrix products of libraries loaded so far use at most so many threads.

    Left alone they take every core, for products that gain nothing by it, from the encoder and from
    other processes: they wait for each other in loops.
    """
    threadpool_limits(limits=threads, user_api="blas")
