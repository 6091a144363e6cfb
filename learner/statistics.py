"""Class statistics: the additive state every closed-form head is solved from (METHODS §1)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import DoubleArray, IntArray, Tensors


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """Sums over examples in fp64: they add and subtract exactly (to rounding), in any order.

    The features may be the backbone's own or any map of them. `scatter` is one matrix for all
    classes, so it is the *pooled* spread that is known, not the spread of a single class.
    """

    classes: tuple[str, ...]  # "task/label", each once
    counts: DoubleArray  # (C,)    n_c
    sums: DoubleArray  # (C, D)    m_c = Σ z over the class
    scatter: DoubleArray  # (D, D) A = Σ z zᵀ over all examples

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(
                f"classes must be unique, got {_repeated(self.classes)} more than once"
            )
        counts, sums, scatter = self.counts.shape, self.sums.shape, self.scatter.shape
        size, width = len(self.classes), self.sums.shape[-1]
        if counts != (size,) or sums != (size, width) or scatter != (width, width):
            raise ValueError(
                f"{size} classes need counts ({size},), sums ({size}, D) and scatter (D, D);"
                f" got {counts}, {sums} and {scatter}"
            )

    @classmethod
    def empty(cls, width: int, classes: Sequence[str] = ()) -> ClassStatistics:
        """No examples yet, of features `width` wide: the zero of `+`."""
        size = len(classes)
        return cls(
            tuple(classes), np.zeros(size), np.zeros((size, width)), np.zeros((width, width))
        )

    @classmethod
    def of(
        cls, features: NDArray[np.floating[Any]], labels: IntArray, classes: Sequence[str]
    ) -> ClassStatistics:
        """The statistics of features (N, D) whose labels (N,) index `classes`, in any order.

        Raises ValueError where shapes disagree, a label is out of range or a feature not finite.
        """
        rows = np.asarray(features, dtype=np.float64)
        labels = check_rows(rows, labels, len(classes))
        counts = np.bincount(labels, minlength=len(classes)).astype(np.float64)
        sums = np.zeros((len(classes), rows.shape[1]))
        np.add.at(sums, labels, rows)
        return cls(tuple(classes), counts, sums, rows.T @ rows)

    @property
    def width(self) -> int:
        """D, the width of the features."""
        return int(self.scatter.shape[0])

    @property
    def total(self) -> int:
        """N, the number of examples."""
        return int(self.counts.sum())

    @property
    def means(self) -> DoubleArray:
        """(C, D) class means; zeros for a class without examples."""
        return self.sums / np.maximum(self.counts, 1.0)[:, None]

    @property
    def freedom(self) -> int:
        """N − C over the classes that have examples: the degrees of freedom of `within`."""
        return self.total - int(np.count_nonzero(self.counts))

    @property
    def within(self) -> DoubleArray:
        """(D, D) pooled within-class scatter S = A − Σ_c m_c m_cᵀ / n_c."""
        return self.scatter - self.sums.T @ self.means

    def __add__(self, other: ClassStatistics) -> ClassStatistics:
        """Both sets of examples together; classes are united, in sorted order."""
        union = tuple(sorted({*self.classes, *other.classes}))
        left, right = self._spread(union), other._spread(union)
        return ClassStatistics(
            union,
            left.counts + right.counts,
            left.sums + right.sums,
            left.scatter + right.scatter,
        )

    def __sub__(self, other: ClassStatistics) -> ClassStatistics:
        """Without the examples of `other`; keeps the classes of `self`, emptied ones too.

        Raises ValueError where `other` has examples that `self` cannot have seen.
        """
        unknown = sorted(set(other.nonempty().classes) - set(self.classes))
        if unknown:
            raise ValueError(f"cannot subtract classes that are not here: {unknown[:5]}")
        right = other.nonempty()._spread(self.classes)
        counts = self.counts - right.counts
        if (counts < 0).any():
            short = self.classes[int(np.argmin(counts))]
            raise ValueError(f"cannot subtract more examples of {short!r} than there are")
        sums = np.where(counts[:, None] > 0, self.sums - right.sums, 0.0)
        scatter = self.scatter - right.scatter
        return ClassStatistics(self.classes, counts, sums, scatter * float(counts.any()))

    def extend(self, classes: Iterable[str]) -> ClassStatistics:
        """With those of `classes` that are missing appended, without examples."""
        missing = [name for name in dict.fromkeys(classes) if name not in set(self.classes)]
        return self._spread((*self.classes, *missing))

    def select(self, classes: Sequence[str]) -> ClassStatistics:
        """Only `classes`, in this order.

        Counts and sums are exact. The scatter keeps the pooled covariance S / (N − C) and the
        means of the classes that stay: exact where the classes left out are empty, else an
        estimate, because the pooled scatter cannot be taken apart. Subtract the examples'
        own statistics to forget them exactly. Raises ValueError for an unknown class.
        """
        index = {name: column for column, name in enumerate(self.classes)}
        unknown = [name for name in classes if name not in index]
        if unknown:
            raise ValueError(f"unknown classes {unknown[:5]}; known are {list(self.classes)[:5]} …")
        columns = [index[name] for name in classes]
        counts, sums = self.counts[columns], self.sums[columns]
        if counts.sum() == self.counts.sum():
            return ClassStatistics(tuple(classes), counts, sums, self.scatter)
        freedom = counts.sum() - np.count_nonzero(counts)
        share = freedom / self.freedom if self.freedom else 0.0
        between = sums.T @ (sums / np.maximum(counts, 1.0)[:, None])
        return ClassStatistics(tuple(classes), counts, sums, share * self.within + between)

    def nonempty(self) -> ClassStatistics:
        """Without the classes that have no examples; exact."""
        return self.select([self.classes[column] for column in np.flatnonzero(self.counts)])

    def relabel(self, names: Mapping[str, str]) -> ClassStatistics:
        """Classes renamed by `names` (others stay); classes given one name become one. Exact."""
        renamed = [names.get(name, name) for name in self.classes]
        union = tuple(dict.fromkeys(renamed))
        columns = [union.index(name) for name in renamed]
        counts, sums = np.zeros(len(union)), np.zeros((len(union), self.width))
        np.add.at(counts, columns, self.counts)
        np.add.at(sums, columns, self.sums)
        return ClassStatistics(union, counts, sums, self.scatter)

    def affine(self, matrix: NDArray[Any], offset: NDArray[Any]) -> ClassStatistics:
        """The statistics of z M + t, for M (D, E) and t (E,), exactly: the drift map of METHODS §5.

        m_c ← m_c M + n_c t and A ← MᵀAM + Mᵀs tᵀ + t sᵀM + N t tᵀ with s = Σ_c m_c.
        """
        matrix, offset = np.asarray(matrix, np.float64), np.asarray(offset, np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != self.width or offset.shape != matrix.shape[1:]:
            raise ValueError(
                f"features of width {self.width} need M ({self.width}, E) and t (E,);"
                f" got {matrix.shape} and {offset.shape}"
            )
        moved = self.sums @ matrix
        cross = np.outer(moved.sum(axis=0), offset)
        scatter = matrix.T @ self.scatter @ matrix + cross + cross.T
        scatter += self.counts.sum() * np.outer(offset, offset)
        sums = moved + self.counts[:, None] * offset
        return ClassStatistics(self.classes, self.counts, sums, scatter)

    def tensors(self) -> Tensors:
        """`counts`, `sums` and `scatter`, fp64; `metadata` goes with them."""
        return {"counts": self.counts, "sums": self.sums, "scatter": self.scatter}

    def metadata(self) -> dict[str, str]:
        """The class names, as one JSON string under `classes`."""
        return {"classes": json.dumps(self.classes)}

    @classmethod
    def load(
        cls, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
    ) -> ClassStatistics:
        """The inverse of `tensors` and `metadata`; KeyError names what is missing."""
        counts, sums, scatter = (
            np.asarray(tensors[name], np.float64) for name in ("counts", "sums", "scatter")
        )
        return cls(tuple(json.loads(metadata["classes"])), counts, sums, scatter)

    def _spread(self, classes: tuple[str, ...]) -> ClassStatistics:
        """The same examples over `classes`, a superset of the own ones in any order."""
        index = {name: column for column, name in enumerate(classes)}
        columns = [index[name] for name in self.classes]
        counts, sums = np.zeros(len(classes)), np.zeros((len(classes), self.width))
        counts[columns], sums[columns] = self.counts, self.sums
        return ClassStatistics(classes, counts, sums, self.scatter)


def check_rows(features: NDArray[Any], labels: IntArray, classes: int) -> NDArray[np.intp]:
    """Labels (N,) as indices, checked against features (N, D) and the number of classes.

    Raises ValueError for shapes that disagree, features that are not finite, labels out of range.
    """
    labels = np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"features must be (N, D) and labels (N,); got {features.shape} and {labels.shape}"
        )
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise ValueError(f"features must be finite; row {row} is not")
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers that index the classes, got {labels.dtype}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must lie in 0…{classes - 1}; got {labels.min()}…{labels.max()}")
    return labels.astype(np.intp)


def check_nonempty(statistics: ClassStatistics) -> None:
    """Raise ValueError where there is no class, or one without examples: no head can be fitted."""
    if not statistics.classes:
        raise ValueError("no classes: a head needs at least one class with one example")
    empty = [name for name, n in zip(statistics.classes, statistics.counts, strict=True) if not n]
    if empty:
        raise ValueError(f"classes without examples: {empty[:5]}; leave them out (`nonempty`)")


def _repeated(classes: Sequence[str]) -> list[str]:
    return [name for name, times in Counter(classes).items() if times > 1][:5]
