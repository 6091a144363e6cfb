"""What the blobs of a version name themselves: kept examples their images."""

from __future__ import annotations

from learner.archive import EXAMPLES
from learner.examples import TaskExamples
from prompt_store import Corrupt
from prompt_store.tensors import decode_tensors

NAMING = EXAMPLES
"""How the roles of those blobs begin that may name others."""


def references(role: str, data: bytes) -> frozenset[str]:
    """The digests of images that a blob of this role names, see `prompt_store.References`.

    Raises Corrupt, InvalidTensor where the content is none of this role.
    """
    if not role.startswith(EXAMPLES):
        decode_tensors(data)
        return frozenset()
    try:
        rows = TaskExamples.from_bytes(data).rows
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"no kept examples: {error!r}") from error
    return frozenset(row.image for row in rows if row.image is not None)
