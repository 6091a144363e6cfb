"""Which blobs a store names, and where: in its versions, its batches and its kept examples."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from prompt_store.batch import Batch
from prompt_store.blobs import Blobs, blob_key
from prompt_store.errors import Corrupt, InvalidTensor, NotFound, StoreError
from prompt_store.intake import pending_key
from prompt_store.log import log_key
from prompt_store.manifest import Manifest

IMAGE = "image"
"""The role of a blob that an example names; its content is the client's, whatever it is."""

References = Callable[[str, bytes], Collection[str]]
"""Role and content of a version's blob to the digests of the images it names.

Raises Corrupt, InvalidTensor where it is malformed. What blobs hold is the learner's to know.
"""

Progress = Callable[[int, int], None]
"""How many blobs are done, of how many that are known so far."""


@dataclass(frozen=True)
class Mention:
    """Why a blob is kept. where: the key of a record or blob that names it."""

    role: str
    where: str

    @property
    def kind(self) -> str:
        """The first part of the role: `head`, `examples`, `image` …"""
        return self.role.partition("/")[0]


@dataclass(frozen=True)
class Found:
    """A blob that is named. data: its content, or why it cannot be had."""

    digest: str
    mention: Mention
    data: bytes | StoreError


def named_by_manifest(manifest: Manifest) -> dict[str, Mention]:
    """Mentions by digest."""
    where = log_key(manifest.version)
    return {digest: Mention(role, where) for role, digest in manifest.blobs.items()}


def named_by_batch(batch: Batch) -> dict[str, Mention]:
    """Mentions by digest."""
    mention = Mention(IMAGE, pending_key(batch.id))
    return {one.image: mention for one in batch.examples if one.image is not None}


def follow(
    blobs: Blobs, mentions: Mapping[str, Mention], references: References, progress: Progress
) -> Iterator[Found]:
    """Read each blob of `mentions` once, and those that are named inside them."""
    known, waiting = set(mentions), dict(mentions)
    while waiting:
        digest, mention = waiting.popitem()
        try:
            data = blobs.get(digest)
            inside = () if mention.role == IMAGE else references(mention.role, data)
        except (NotFound, Corrupt, InvalidTensor) as error:
            yield Found(digest, mention, error)
        else:
            new = set(inside) - known
            known |= new
            waiting |= dict.fromkeys(new, Mention(IMAGE, blob_key(digest)))
            yield Found(digest, mention, data)
        progress(len(known) - len(waiting), len(known))


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""
