"""Names of batches: ordered by time, or derived from a client's idempotency key."""

import hashlib
import os
import secrets
import time
from datetime import UTC, datetime
from threading import Lock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: sorts as it counts
_LENGTH = 26
_RANDOM_BITS = 80
_DERIVED = "k"  # a time-ordered id begins with 0 to 7


class _Clockwork:
    """The last id given out by this process, as a number (48 bits of milliseconds, 80 random)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0

    def next(self) -> int:
        """Return a number above all earlier ones, also when the clock steps back."""
        now = int(time.time() * 1000) << _RANDOM_BITS
        with self._lock:
            if now > self._last:
                self._last = now | secrets.randbits(_RANDOM_BITS)
            else:
                self._last += 1 + secrets.randbits(_RANDOM_BITS // 2)
            return self._last

    def forget(self) -> None:
        """Start anew in a forked child: another thread may have held the lock at the fork."""
        self._lock = Lock()
        self._last = 0


_clockwork = _Clockwork()
os.register_at_fork(after_in_child=_clockwork.forget)


def batch_id(key: str | None = None) -> str:
    """Return a new id above this process's earlier ones, or the one id of an idempotency key.

    26 characters, as in a ULID. A derived one is `k` and 125 bits of the key's sha256.
    """
    if key is None:
        return _in_base_32(_clockwork.next(), _LENGTH)
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return _DERIVED + _in_base_32(int.from_bytes(digest, "big"), _LENGTH - 1)


def made_at(identifier: str) -> datetime:
    """When an id that is no key's was given out, by its maker's clock. ValueError for others."""
    if len(identifier) != _LENGTH or not "0" <= identifier[0] <= "7":
        raise ValueError(f"{identifier[:80]!r} is no id that time orders")
    number = 0
    for character in identifier:
        number = 32 * number + _ALPHABET.index(character)
    return datetime.fromtimestamp((number >> _RANDOM_BITS) / 1000, UTC)


def _in_base_32(number: int, length: int) -> str:
    digits = ((number >> (5 * place)) & 31 for place in reversed(range(length)))
    return "".join(_ALPHABET[digit] for digit in digits)
