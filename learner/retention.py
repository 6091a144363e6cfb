"""Memory retention: keep the shared prefix alone as informative as the old prompt was.

Published (Q-tuning, Guo et al. 2024): maximise the mutual information between what the new shared
prefix alone sees and what the old prefix with the old queue saw. Ours: the estimator's details.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from learner.arrays import FloatArray, IntArray


class Critic(nn.Module):
    """A small network that tells true pairs of representations from shuffled ones."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self._score = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, new: Tensor, old: Tensor) -> Tensor:
        """Scores `(B,)` of the pairs `new (B, D)`, `old (B, D)`."""
        score: Tensor = self._score(torch.cat([new, old], dim=1)).squeeze(1)
        return score


def information_bound(joint: Tensor, product: Tensor) -> Tensor:
    """Jensen–Shannon lower bound E_joint[−sp(−F)] − E_product[sp(F)], sp = softplus."""
    return -softplus(-joint).mean() - softplus(product).mean()


class Retention:
    """The bound on a batch; the old side is computed once and has no gradient."""

    def __init__(
        self, old: FloatArray, *, hidden: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        """`old (n, D)`: features of all rows under the old aggregate."""
        self._old = torch.tensor(old, device=device)
        self._random = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._critic = Critic(self._old.shape[1], hidden).to(device)

    def parameters(self) -> list[Tensor]:
        """The critic's, trained with the prompt."""
        return list(self._critic.parameters())

    def information(self, new: Tensor, index: IntArray) -> Tensor:
        """The bound for `new (B, D)`, features of the rows `index` under the shared prefix alone.

        Product pairs come from a random cyclic shift, so no row meets itself; one row alone has no
        product pair and no term.
        """
        if len(new) < 2:
            return new.sum() * 0.0
        old = self._old[torch.as_tensor(index, device=new.device)]
        shift = int(torch.randint(1, len(new), (1,), generator=self._random))
        joint = self._critic(new, old)
        return information_bound(joint, self._critic(new, old.roll(shift, dims=0)))
