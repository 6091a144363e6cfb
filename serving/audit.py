"""Who changes what is served or who may ask, told in the log as it happens.

The store's records are the truth, which `perennial audit` shows; these lines are for collectors of
logs. Like all log lines they hold nothing that users sent, names of tasks neither: the ids in them
lead to the records.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from prompt_store import Actor

logger = logging.getLogger("perennial.audit")

acting: ContextVar[Actor | None] = ContextVar("acting", default=None)
"""Who sent the request that is being answered, once admitted."""


def tell(what: str, **about: Any) -> None:
    """One line: what was done, and about what; by whom, where a request is being answered."""
    actor = acting.get()
    who = {} if actor is None else {"who": actor.name}
    logger.info(what, extra={"fields": {**who, **about}})
