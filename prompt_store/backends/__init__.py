"""Places a store can live in, chosen by URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from prompt_store.backends.base import Backend
from prompt_store.backends.local import LocalBackend
from prompt_store.backends.memory import MemoryBackend

__all__ = ["Backend", "LocalBackend", "MemoryBackend", "open_backend"]


def open_backend(url: str | Path) -> Backend:
    """Return the backend for `memory://name`, `file:///folder` or a folder.

    Raises:
        ValueError: a URL of another scheme, or of another host.
    """
    if isinstance(url, Path) or "://" not in url:
        return LocalBackend(url)
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryBackend.named(parts.netloc + parts.path)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return LocalBackend(unquote(parts.path))
    raise ValueError(
        f"Cannot open a store at {url!r}: give a folder, file:///folder or memory://name"
    )
