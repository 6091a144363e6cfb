"""Attention queries of real tokens: what eviction needs to know about one layer."""

from dataclasses import dataclass

from backbones.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Queries:
    """n sampled queries of one prompted layer.

    A prefix row with key k and bias b has the score q·k/√Dh + b beside the text's
    (a model with another scaling has it folded into `q`).

    q: (H, n, Dh)
    log_mass: (H, n), logsumexp of the scores of the text's own keys
    output: (H, n, Dh), the attention output over the text's own keys alone
    """

    q: FloatArray
    log_mass: FloatArray
    output: FloatArray
