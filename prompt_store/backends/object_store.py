"""A store in a bucket of S3, Google Cloud Storage or Azure, by obstore."""

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from prompt_store.backends.base import check_key, check_prefix
from prompt_store.errors import AlreadyExists, InvalidUrl, NotFound, Unavailable

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, RetryConfig

CREATION = "creation"  # an object's metadata: which call of `create` wrote it
PAGE = 1000  # keys taken over at once; the pages of S3 have as many
ATTEMPTS = 5  # of a put that is refused while nobody holds the key
_CLIENT: "ClientConfig" = {
    "allow_http": True,  # where the endpoint that somebody named says so
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=30),
}
_RETRIES: "RetryConfig" = {  # exponential, with jitter
    "max_retries": 10,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"max_backoff": timedelta(seconds=3)},
}
_URL = re.compile(r"(s3|gs|az)://([a-z0-9][a-z0-9._-]{1,221})(?:/(.*?))?/?")
_ENDPOINT = re.compile(r"(https?://[^/\s]+)/")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
# Azure's client has no account; the clients' last resort, the machine's own role, did not help.
_NO_CREDENTIALS = ("MissingAccount", "/latest/api/token", "/computeMetadata/", "/metadata/identity")


@dataclass(frozen=True)
class Cloud:
    """client: how obstore speaks to it; credentials: the variables that they are taken from."""

    client: type[S3Store] | type[GCSStore] | type[AzureStore]
    credentials: str


CLOUDS = {
    "s3": Cloud(S3Store, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    "gs": Cloud(GCSStore, "GOOGLE_APPLICATION_CREDENTIALS"),
    "az": Cloud(AzureStore, "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
}


class ObjectStoreBackend:
    """Objects below one prefix of a bucket; `create` is a put on the condition of absence.

    Every operation raises Unavailable where the bucket cannot be used. After that of a `create` or
    `delete` it is open whether it happened.
    """

    def __init__(self, url: str) -> None:
        """Name `s3://bucket/prefix`, `gs://…` or `az://container/…`; nothing is asked of it yet.

        Endpoint, region and credentials come from the environment, or from the machine's role.

        Raises:
            InvalidUrl, InvalidKey: another form; a prefix that is no key.
            Unavailable: the environment contradicts itself, or lacks Azure's account.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise InvalidUrl(f"{url!r} names no bucket: write it like s3://bucket/prefix")
        scheme, bucket, prefix = parts.groups()
        self.url = url
        self._cloud = CLOUDS[scheme]
        with self._explained():
            self._store = self._cloud.client(
                bucket,
                prefix=check_key(prefix) if prefix else None,
                client_options=_CLIENT,
                retry_config=_RETRIES,
            )

    def __repr__(self) -> str:
        return f"ObjectStoreBackend({self.url!r})"

    def create(self, key: str, data: bytes) -> None:
        """See `Backend.create`."""
        creation = secrets.token_hex(16)
        with self._explained():
            for _ in range(ATTEMPTS):
                if self._put(check_key(key), data, creation):
                    return
                holder = self._creation_of(key)
                if holder == creation:  # the client repeats a put whose reply it lost
                    return
                if holder is not None:
                    raise AlreadyExists(f"{key!r} is already in {self.url}")
                # S3 also refuses a put that meets another or a delete: then nobody may hold it.
        raise Unavailable(f"{self.url} refuses {key!r} as taken, and it is not there: try again")

    def read(self, key: str) -> bytes:
        """See `Backend.read`."""
        with self._explained():
            try:
                return bytes(obstore.get(self._store, check_key(key)).bytes())
            except FileNotFoundError as error:
                if _names(_NO_BUCKET, str(error)):
                    raise
                raise NotFound(f"There is no {key!r} in {self.url}") from None

    def exists(self, key: str) -> bool:
        """See `Backend.exists`."""
        with self._explained():
            try:
                obstore.head(self._store, check_key(key))
            except FileNotFoundError:
                return False
            return True

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `Backend.list_after`; pages are asked for as they are needed."""
        pages = obstore.list(
            self._store, check_prefix(prefix) or None, offset=after or None, chunk_size=PAGE
        )
        return self._keys(pages, prefix, after)

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        with self._explained(), suppress(FileNotFoundError):
            obstore.delete(self._store, check_key(key))

    def _keys(
        self, pages: Iterable[Sequence["ObjectMeta"]], prefix: str, after: str
    ) -> Iterator[str]:
        with self._explained():
            for page in pages:
                for entry in page:
                    # A console keeps a folder as an object, whose path is not below the folder.
                    if entry["path"].startswith(prefix) and entry["path"] > after:
                        yield entry["path"]

    def _put(self, key: str, data: bytes, creation: str) -> bool:
        """Put where the key is free; False where it was refused as taken."""
        marked = {CREATION: creation}
        with suppress(AlreadyExistsError):
            obstore.put(
                self._store, key, data, mode="create", use_multipart=False, attributes=marked
            )
            return True
        return False

    def _creation_of(self, key: str) -> str | None:
        """Return what `create` marked the object with: "" for a foreign one, None for no object."""
        try:
            found = obstore.get(self._store, key, options={"head": True})
        except FileNotFoundError:
            return None
        return found.attributes.get(CREATION, "")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raises Unavailable for what obstore raises."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise Unavailable(f"{self.url} cannot be used: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        said = str(error)
        if _names(_NO_CREDENTIALS, said):
            return (
                f"there are no credentials. Set {self._cloud.credentials}, or give this machine "
                "a role that may use the bucket"
            )
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
            return (
                f"access is denied ({_summary(said)}). Its credentials ({self._cloud.credentials}, "
                "or the machine's role) must allow to get, put, delete and list objects there"
            )
        if isinstance(error, FileNotFoundError) or _names(_NO_BUCKET, said):
            return "there is no such bucket. Create it, or correct the URL, the endpoint or region"
        return f"{_summary(said)}. Check the network, the endpoint and the region"


def _names(signs: Iterable[str], said: str) -> bool:
    return any(sign in said for sign in signs)


def _summary(said: str) -> str:
    """Who answered what, in one line that is the same for the same trouble."""
    line = re.split(r"<|\n", said, maxsplit=1)[0]
    found = (_ENDPOINT.search(line), line.rpartition(" - ")[2].strip(" :"), _CODE.search(said))
    return ": ".join(part if isinstance(part, str) else part[1] for part in found if part)
