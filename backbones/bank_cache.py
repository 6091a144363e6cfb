"""Banks as an engine needs them, converted once for each Bank object."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from backbones.bank import Bank

T = TypeVar("T")


class BankCache(Generic[T]):
    """Converts each bank once, for as long as somebody holds it. Safe to use from many threads."""

    def __init__(self, convert: Callable[[Bank], T]) -> None:
        self._convert: Final = convert
        self._lock: Final = threading.Lock()
        self._known: Final[weakref.WeakKeyDictionary[Bank, T]] = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, bank: Bank) -> T:
        """What the bank was converted to."""
        with self._lock:
            found = self._known.get(bank)
            if found is None:
                found = self._known[bank] = self._convert(bank)
            return found
