"""What a head is fitted with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["auto", "lda", "ridge", "logistic", "nearest", "mixture"]
Views = Literal["auto", "last", "upper", "all"]
Pairs = Literal["auto", "joined", "apart"]


@dataclass(frozen=True)
class HeadConfig:
    """Settings of `fit_head`; raises ValueError for values that make no head.

    kind: `auto` takes the best of lda, ridge, logistic and mixture on held-out rows; `mixture` is
    logistic and ridge pooled. views: the layers a head looks at, and pairs: whether also at the two
    texts of a pair apart; `auto` by held-out rows (`fit_viewed` only).
    """

    kind: Kind = "auto"
    projection: int = 4096  # M, random features of the ridge head
    seed: int = 0  # of the projection and of the folds
    penalty: float | None = None  # ridge λ in units of the mean row energy; None: by held-out rows
    shrinkage: float | None = None  # LDA ε in 0…1; None: by held-out rows
    inverse_penalty: float = 20.0  # logistic: its C, the inverse of the L2 penalty
    iterations: int = 25  # logistic: L-BFGS iterations of the final fit
    folds: int | None = None  # None: 5 up to 1000 rows, else 3
    judged_rows: int = 4096  # at most so many held-out rows judge the kinds
    logistic_limit: float = 5e8  # auto leaves logistic out above this N · C · D (about 2 s)

    lda_width: int = 1024  # auto leaves lda out for wider features (eigenvectors cost their cube)
    views: Views = "auto"
    pairs: Pairs = "auto"

    def __post_init__(self) -> None:
        for name, known in (("views", get_args(Views)), ("pairs", get_args(Pairs))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}"
                )
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; got {self.kind!r}")
        least = {"projection": 1, "seed": 0, "iterations": 1, "judged_rows": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"folds must be at least 2, got {self.folds}")
        if self.inverse_penalty <= 0:
            raise ValueError(f"inverse_penalty must be above 0, got {self.inverse_penalty}")
        if self.penalty is not None and self.penalty < LEAST_PENALTY:
            raise ValueError(f"penalty must be at least {LEAST_PENALTY}, got {self.penalty}")
        if self.shrinkage is not None and not 0 < self.shrinkage <= 1:
            raise ValueError(f"shrinkage must be above 0 and at most 1, got {self.shrinkage}")


LEAST_PENALTY = 0.01  # below it an fp32 Cholesky of some thousand rows may fail
