"""Closed-form heads on the backbone's features: numpy to serve, numpy and scipy to fit."""

from learner.heads.codec import load_head, split_tensors
from learner.heads.head import Head
from learner.heads.linear import LinearHead
from learner.heads.mixture import MixtureHead
from learner.heads.projected import ProjectedHead

__all__ = [
    "Head",
    "LinearHead",
    "MixtureHead",
    "ProjectedHead",
    "load_head",
    "split_tensors",
]
