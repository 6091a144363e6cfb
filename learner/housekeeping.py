"""Between two lessons now and then: what the store no longer needs to hold is dropped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from learner.references import NAMING, references
from prompt_store import Retention, RetentionConfig, Store, StoreError

log = logging.getLogger(__name__)


class Housekeeping:
    """Runs rounds of retention, each of bounded work. What goes wrong never keeps from learning."""

    def __init__(
        self,
        store: Store,
        config: RetentionConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retention = Retention(store, references, NAMING, config)
        self._every = config.every_seconds
        self._clock = clock
        self._due_at = clock() + self._every

    def look(self) -> None:
        """Do a round if one is due; the next is due at once where there is more to do."""
        if self._clock() < self._due_at:
            return
        self._due_at = self._clock() + self._every
        try:
            done = self._retention.run()
        except (StoreError, OSError) as error:
            log.error("nothing was deleted, as the store cannot be read wholly: %s", error)
            return
        if done.dropped or done.erased:
            log.info(
                "retention: %d versions dropped, %d blobs (%d bytes) erased",
                len(done.dropped),
                done.erased,
                done.erased_bytes,
            )
        if done.more:
            self._due_at = self._clock()
