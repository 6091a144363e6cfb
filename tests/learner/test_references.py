import numpy as np
import pytest

from learner.archive import EXAMPLES
from learner.examples import TaskExamples
from learner.references import references
from prompt_store import Corrupt, Example, InvalidTensor
from prompt_store.tensors import encode_tensors

IMAGE = "0" * 64


def test_kept_examples_name_their_images() -> None:
    examples = (
        Example(id="0", label="robin", image=IMAGE),
        Example(id="1", label="robin", text="a text"),
    )
    data = TaskExamples("birds").add("batch", examples).to_bytes()
    assert references(EXAMPLES + "birds", data) == {IMAGE}


def test_tensors_name_nothing() -> None:
    assert references("head/domain/all", encode_tensors({"w": np.ones(3)})) == frozenset()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"task":"t","seen":{},"rows":[{}]}'])
def test_what_is_not_of_its_role_is_refused(data: bytes) -> None:
    with pytest.raises(Corrupt):
        references(EXAMPLES + "birds", data)
    with pytest.raises(InvalidTensor):
        references("head/domain/all", data)
