"""Whether what is live belongs to a backbone: features of another one mean nothing to it."""

from __future__ import annotations

from learner.errors import ForeignStore
from prompt_store import Manifest


def check_backbone(live: Manifest, fingerprint: str) -> None:
    """Raises ForeignStore unless `live` was learnt with the backbone of this fingerprint."""
    if live.backbone != fingerprint:
        raise ForeignStore(
            f"version {live.version} was learnt with backbone {live.backbone}, this one is "
            f"{fingerprint}: start with that one, or on another store"
        )
