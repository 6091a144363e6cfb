"""A store in a local folder, by the standard library alone."""

import errno
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from prompt_store.backends.base import check_key, check_prefix
from prompt_store.errors import AlreadyExists, NotFound, UnsafeBackend

# Unfinished files live in one hidden folder, so that sweeping them never walks the store.
TEMPORARY = ".unfinished"
STALE_AFTER = 3600.0  # seconds; no single write takes an hour
_NO_HARD_LINKS = (errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


def flush(descriptor: int) -> None:
    """Force a file or a folder down to the medium."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone stops at the drive's cache
    else:
        os.fsync(descriptor)


class LocalBackend:
    """Files below one folder.

    A file is written and flushed under a temporary name, then hard-linked to its own name: the
    link is exclusive, and nobody ever sees half a file. Then the folder is flushed too.
    """

    def __init__(self, root: str | Path, *, fsync: Callable[[int], None] = flush) -> None:
        """Open or make the folder. `fsync` is given in tests that count or fail it."""
        self.root = Path(root).absolute()
        self._fsync = fsync
        self._make_root()
        self._durable_folders = {self.root}
        self._temporary = self.root / TEMPORARY
        self._ensure_folder(self._temporary)
        self._sweep()

    def __repr__(self) -> str:
        return f"LocalBackend({str(self.root)!r})"

    def create(self, key: str, data: bytes) -> None:
        """See `Backend.create`. Raises UnsafeBackend where the file system has no hard links."""
        path = self._path(key)
        self._ensure_folder(path.parent)
        if path.exists():
            raise self._taken(path, key)
        temporary = self._temporary / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            self._write(temporary, data)
            self._link(temporary, path, key)
        finally:
            temporary.unlink(missing_ok=True)
        self._flush_folder(path.parent)

    def read(self, key: str) -> bytes:
        """See `Backend.read`."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(f"There is no {key!r} in {self.root}") from None

    def exists(self, key: str) -> bool:
        """See `Backend.exists`."""
        return self._path(key).is_file()

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `Backend.list_after`; the listing is made at the call, and flushed."""
        folder = self.root / check_prefix(prefix)
        return iter(sorted(key for key in self._keys(folder, prefix) if key > after))

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        path = self._path(key)
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            self._flush_folder(path.parent)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _keys(self, folder: Path, prefix: str) -> Iterator[str]:
        files = False
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from self._keys(folder / entry.name, f"{prefix}{entry.name}/")
                else:
                    files = True
                    yield prefix + entry.name
        if files:  # a writer may have died before it flushed them, and our caller relies on them
            self._flush_folder(folder)

    def _write(self, path: Path, data: bytes) -> None:
        with open(path, "xb") as file:
            file.write(data)
            file.flush()
            self._fsync(file.fileno())

    def _link(self, temporary: Path, path: Path, key: str) -> None:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise self._taken(path, key) from None
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            raise UnsafeBackend(
                f"{path.parent} cannot hold a store: hard links from {self._temporary} fail there "
                f"({error.strerror}). Use one local file system such as ext4, xfs or APFS"
            ) from error

    def _taken(self, path: Path, key: str) -> AlreadyExists:
        # Its writer may not have flushed the folder yet, and our caller may now rely on the key.
        self._flush_folder(path.parent)
        return AlreadyExists(f"{key!r} is already in {self.root}")

    def _make_root(self) -> None:
        made = [step for step in (self.root, *self.root.parents) if not step.exists()]
        self.root.mkdir(parents=True, exist_ok=True)
        for step in made or [self.root]:
            with suppress(PermissionError):  # a mounted volume's parent need not be ours to open
                self._flush_folder(step.parent)

    def _ensure_folder(self, folder: Path) -> None:
        """Make `folder` below the root, and its entry durable, once per process."""
        if folder in self._durable_folders:
            return
        self._ensure_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self._flush_folder(folder.parent)
        self._durable_folders.add(folder)

    def _flush_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            self._fsync(descriptor)
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what writers that died have left behind."""
        oldest = time.time() - STALE_AFTER
        for path in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
