"""The face: the command `perennial` and the Python client.

`from perennial import Client` works; it is resolved on first use, so that `perennial --help` does
not load an HTTP library.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perennial.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'perennial' has no attribute {name!r}")
    from perennial import client

    return getattr(client, name)
