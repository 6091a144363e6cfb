"""Heads to tensors and back; the projection apart, so that all versions share one blob of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, Tensors
from learner.heads.head import Head
from learner.heads.linear import LinearHead
from learner.heads.mixture import MixtureHead
from learner.heads.projected import ProjectedHead

PROJECTION = "projection"

_Value = TypeVar("_Value")


def split_tensors(tensors: Mapping[str, NDArray[Any]]) -> tuple[Tensors, FloatArray | None]:
    """A head's tensors without its projection, and the projection (None: it has none).

    The projection is the same array in every version and every task's head: store it on its own
    under its content and name it to `load_head`. Raises ValueError for two different ones.
    """
    own = {name: tensor for name, tensor in tensors.items() if not _is_projection(name)}
    shared = [tensor for name, tensor in tensors.items() if _is_projection(name)]
    if any(not np.array_equal(shared[0], other) for other in shared[1:]):
        raise ValueError("a head must use one projection; this one holds several")
    return own, shared[0] if shared else None


def load_head(
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str],
    projection: FloatArray | None = None,
) -> Head:
    """The head that `tensors` and `metadata` came from; `projection` where it was stored apart.

    Raises ValueError for an unknown kind or a tensor that is missing.
    """
    kind = metadata.get("kind")
    try:
        if kind == "linear":
            return LinearHead.load(tensors)
        if kind == "projected":
            apart = {} if projection is None else {PROJECTION: projection}
            return ProjectedHead.load({**tensors, **apart})
        if kind == "mixture":
            return _load_mixture(tensors, metadata, projection)
    except KeyError as missing:
        raise ValueError(f"a {kind} head needs the tensor {missing}") from missing
    raise ValueError(f"unknown kind of head {kind!r}; known are linear, projected, mixture")


def _load_mixture(
    tensors: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str],
    projection: FloatArray | None,
) -> MixtureHead:
    members = tuple(
        load_head(_under(tensors, place), _under(metadata, place), projection)
        for place in range(int(metadata["members"]))
    )
    return MixtureHead(members, tensors["weights"])


def _under(entries: Mapping[str, _Value], place: int) -> dict[str, _Value]:
    prefix = f"{place}."
    return {
        name[len(prefix) :]: entry for name, entry in entries.items() if name.startswith(prefix)
    }


def _is_projection(name: str) -> bool:
    return name.rsplit(".", 1)[-1] == PROJECTION
