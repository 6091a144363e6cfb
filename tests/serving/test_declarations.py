from __future__ import annotations

import pytest

from prompt_store import MemoryBackend, Unavailable
from serving.declarations import Declaration, Declarations
from tests.prompt_store.faults import SilentBackend


def test_a_declaration_that_a_bucket_does_not_give_now_is_read_later() -> None:
    backend = SilentBackend(MemoryBackend())
    Declarations(backend).declare(Declaration(task="mail"))
    declarations = Declarations(backend)
    backend.silent = frozenset({"read"})
    with pytest.raises(Unavailable):
        declarations.all()
    backend.silent = frozenset()
    assert set(declarations.all()) == {"mail"}
