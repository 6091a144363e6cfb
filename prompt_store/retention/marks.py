"""Which blobs are named: by kept versions, their kept examples, and pending batches."""

from collections.abc import Iterable

from prompt_store.backends.base import contents
from prompt_store.batch import Batch
from prompt_store.intake import PENDING
from prompt_store.manifest import Manifest
from prompt_store.records import decode
from prompt_store.references import References, named_by_batch
from prompt_store.store import Store


class Marks:
    """Reads each blob that may name others once, however many versions share it."""

    def __init__(self, store: Store, references: References, naming: str) -> None:
        """naming: how the roles of blobs begin that may name others."""
        self._store = store
        self._references = references
        self._naming = naming
        self._inside: dict[str, frozenset[str]] = {}

    def named(self) -> set[str]:
        """Everything that is named now.

        Pending batches come before the log, since what the log does with them removes them.

        Raises:
            Corrupt, NotFound, UnsupportedFormat: a record or blob that names others cannot be
                read, so that nobody knows what may be deleted.
        """
        pending = self.pending()
        return pending | self.of(self._store.log.kept(self._store.timeline().head))

    def pending(self) -> set[str]:
        """What pending batches name. Raises as `named` does."""
        named: set[str] = set()
        for key, data in contents(self._store.backend, PENDING):
            named |= named_by_batch(decode(Batch, data, key)).keys()
        return named

    def of(self, manifests: Iterable[Manifest]) -> set[str]:
        """What these versions name. Raises as `named` does."""
        named: set[str] = set()
        for manifest in manifests:
            for role, digest in manifest.blobs.items():
                named |= {digest, *self._named_inside(role, digest)}
        return named

    def forget_all_but(self, digests: set[str]) -> None:
        """Keep no memory of blobs that are gone."""
        self._inside = {d: inside for d, inside in self._inside.items() if d in digests}

    def _named_inside(self, role: str, digest: str) -> frozenset[str]:
        if not role.startswith(self._naming):
            return frozenset()
        if digest not in self._inside:
            found = self._references(role, self._store.blobs.get(digest))
            self._inside[digest] = frozenset(found)
        return self._inside[digest]
