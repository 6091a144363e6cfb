"""Closed-form heads on the backbone's features: numpy to serve, numpy and scipy to fit."""

from learner.heads.auto import FittedHead, fit_head
from learner.heads.codec import load_head, split_tensors
from learner.heads.config import HeadConfig
from learner.heads.head import Head
from learner.heads.linear import LinearHead
from learner.heads.mixture import MixtureHead
from learner.heads.novelty import Novelty, fit_novelty
from learner.heads.projected import ProjectedHead
from learner.heads.viewed import FittedViewed, ViewedHead, fit_viewed

__all__ = [
    "FittedHead",
    "FittedViewed",
    "Head",
    "HeadConfig",
    "LinearHead",
    "MixtureHead",
    "Novelty",
    "ProjectedHead",
    "ViewedHead",
    "fit_head",
    "fit_novelty",
    "fit_viewed",
    "load_head",
    "split_tensors",
]
