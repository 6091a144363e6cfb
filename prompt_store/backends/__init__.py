"""Places a store can live in, chosen by URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from prompt_store.backends.base import Backend
from prompt_store.backends.local import LocalBackend
from prompt_store.backends.memory import MemoryBackend
from prompt_store.errors import InvalidUrl

__all__ = ["Backend", "LocalBackend", "MemoryBackend", "local_folder", "open_backend"]


def open_backend(url: str | Path) -> Backend:
    """Return the backend for a folder, `file:///folder`, `memory://name` or a bucket's URL.

    A bucket's URL is `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Raises:
        InvalidUrl: of another scheme, or of another host.
        Unavailable: the environment does not say how to use the bucket.
    """
    folder = local_folder(url)
    if folder is not None:
        return LocalBackend(folder)
    parts = urlsplit(str(url))
    if parts.scheme == "memory":
        return MemoryBackend.named(parts.netloc + parts.path)
    if parts.scheme in ("s3", "gs", "az"):
        from prompt_store.backends.object_store import ObjectStoreBackend  # takes time to import

        return ObjectStoreBackend(str(url))
    raise InvalidUrl(
        f"Cannot open a store at {url!r}: give a folder, file:///folder, s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix or memory://name"
    )


def local_folder(url: str | Path) -> Path | None:
    """The folder on this machine that `url` means; None where it means another place."""
    if isinstance(url, Path) or "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    here = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path
    return Path(unquote(parts.path)) if here else None
