"""Domains: which tasks look alike to the backbone's lower layers, and the router between them."""

from learner.domains.partition import Partition, place
from learner.domains.router import DomainRouter, fit_router
from learner.domains.rows import TaskRows

__all__ = ["DomainRouter", "Partition", "TaskRows", "fit_router", "place"]
