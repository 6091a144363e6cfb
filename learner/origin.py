"""Whether what is live belongs to a backbone: features of another one mean nothing to it."""

from __future__ import annotations

from learner.errors import ForeignStore
from prompt_store import Manifest


def check_backbone(live: Manifest, fingerprint: str) -> None:
    """Raises ForeignStore unless `live` was learnt with the backbone of this fingerprint."""
    if live.backbone != fingerprint:
        learnt_with = (live.backbone or "none")[:12]
        raise ForeignStore(
            f"version {live.version} of this store was learnt with another backbone (fingerprint "
            f"{learnt_with}…) than the one that is named now ({fingerprint[:12]}…): start with "
            "that one, or on another store"
        )
