"""Who may do what.

With keys: a bearer key with the scope. `admin` includes `learn`, `learn` includes `predict`.
A server that ever had a key demands one, also when all are revoked.
Without keys: anybody may predict; learning and administration are for callers on this machine only.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from serving.problems import Problem
from serving.settings import ANYBODY, THIS_MACHINE, Key, Scope

SCOPES: tuple[Scope, ...] = ("predict", "learn", "admin")  # each includes those before it

_INVALID = 'error="invalid_token"'
_PLAIN_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")
_PROXY_HEADERS = (
    *("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"),
    *(f"x-forwarded-{what}" for what in ("for", "host", "proto", "port", "server", "prefix")),
    *("x-envoy-external-address", "x-original-forwarded-for"),
)
"""Signs of a proxy in front, which hides the peer: a request with one never counts as local."""


@dataclass(frozen=True)
class Caller:
    """The one who asks. address: of the peer, None where the server does not know it."""

    address: str | None
    headers: Headers


@dataclass(frozen=True)
class Access:
    """The rule of one server.

    keyed: whether there ever was a key, in force or not.
    trusted_local: None looks at the peer; True and False settle it where the peer is always a proxy
    of our own (Ray Serve), by whether that proxy listens on loopback only.
    """

    keys: tuple[Key, ...] = ()
    keyed: bool = False
    trusted_local: bool | None = None

    @property
    def demands_keys(self) -> bool:
        return self.keyed or bool(self.keys)

    def admit(self, caller: Caller, scope: Scope) -> str:
        """The name of the key used, `anybody` or `this-machine`.

        Raises Problem: unauthenticated (no key, an unknown or ended one), forbidden (not enough of
        a key, or not local).
        """
        if self.demands_keys:
            return self._admit_key(caller, scope)
        if scope == "predict":
            return ANYBODY
        if self._is_local(caller):
            return THIS_MACHINE
        raise Problem(
            "forbidden",
            f"this server has no keys, so {scope!r} is only for callers on its own machine, "
            "without a proxy between; set keys to allow it from elsewhere",
        )

    def _admit_key(self, caller: Caller, scope: Scope) -> str:
        scheme, _, token = caller.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _challenge("send a key: 'Authorization: Bearer <key>'")
        key = find_key(self.keys, token.strip())
        if key is None:
            raise _challenge("this key is unknown here, or revoked", _INVALID)
        if key.has_ended:
            raise _challenge(f"the key {key.name!r} ended at {key.expires_at}", _INVALID)
        if not allows(key, scope):
            raise Problem(
                "forbidden",
                f"the key {key.name!r} has the scopes {', '.join(sorted(key.scopes))}; "
                f"this call needs {scope}",
            )
        return key.name

    def _is_local(self, caller: Caller) -> bool:
        if not _comes_direct(caller.headers):
            return False
        if self.trusted_local is not None:
            return self.trusted_local
        return caller.address is not None and is_loopback(caller.address)


def find_key(keys: Sequence[Key], token: str) -> Key | None:
    """The key of which this is the secret.

    All keys are compared, each in constant time, so that the time taken tells nothing about them.
    """
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    found: Key | None = None
    for key in keys:
        if hmac.compare_digest(digest, key.sha256):
            found = key
    return found


def allows(key: Key, scope: Scope) -> bool:
    """Whether one of the key's scopes is this one or includes it."""
    return any(SCOPES.index(held) >= SCOPES.index(scope) for held in key.scopes)


def is_loopback(host: str) -> bool:
    """Whether this address or host name is the machine itself: 127.0.0.0/8, ::1, localhost."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _comes_direct(headers: Headers) -> bool:
    """No proxy in front, and not a web page's script acting through the user's own browser.

    A page elsewhere can reach a loopback server in two ways: a cross-site request (its Origin is
    not this host) and a name of its own that resolves to 127.0.0.1 (the Host is no loopback name).
    """
    if any(name in headers for name in _PROXY_HEADERS):
        return False
    hosts = headers.getlist("host")
    if len(hosts) != 1 or (host := _PLAIN_HOST.fullmatch(hosts[0])) is None:
        return False
    if not is_loopback(host["name"].strip("[]")):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == hosts[0]


def _challenge(detail: str, error: str = "") -> Problem:
    challenge = 'Bearer realm="perennial"' + (f", {error}" if error else "")
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": challenge})
