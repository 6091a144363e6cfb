import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from safetensors.numpy import load

from prompt_store import InvalidTensor
from prompt_store.tensors import MAX_HEADER_BYTES, decode_tensors, encode_tensors

DTYPES = ["<f8", "<f4", "<f2", "<i8", "<i4", "i1", "u1", "?"]

tensors = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
            elements=({"allow_nan": False, "allow_infinity": False} if "f" in dtype else None),
        )
    ),
    max_size=5,
)


def file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: tuple[int, ...] = (1,), end: int = 4) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [0, end]}


@given(tensors, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_tensors_come_back(given: dict[str, NDArray[Any]], metadata: dict[str, str]) -> None:
    data = encode_tensors(given, metadata)
    back, metadata_back = decode_tensors(data)
    assert metadata_back == metadata
    assert back.keys() == given.keys()
    for name, values in given.items():
        assert back[name].dtype == values.dtype
        assert back[name].shape == values.shape
        assert back[name].tobytes() == values.tobytes()
    assert encode_tensors(back, metadata_back) == data
    assert encode_tensors(dict(reversed(given.items())), dict(reversed(metadata.items()))) == data


def test_the_bytes_are_the_librarys_format_and_aligned() -> None:
    given: dict[str, NDArray[Any]] = {
        "a": np.ones(3, np.uint8),
        "b": np.arange(6.0).reshape(2, 3),
        "c": np.array(2, np.float32),
    }
    data = encode_tensors(given)
    read = load(data)
    assert set(read) == set(given)
    assert np.array_equal(read["b"], given["b"])
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert len(data[: -(48 + 4 + 3)]) % 8 == 0
    assert [header[name]["data_offsets"][0] for name in "bca"] == [0, 48, 52]


def test_memory_layout_and_byte_order_do_not_count() -> None:
    plain = np.arange(12, dtype="<f4").reshape(3, 4)
    for same in (np.asfortranarray(plain), plain.astype(">f4"), plain.repeat(2, 1)[:, ::2]):
        assert encode_tensors({"a": same}) == encode_tensors({"a": plain})


def test_what_is_read_can_be_written_to() -> None:
    back, _ = decode_tensors(encode_tensors({"a": np.zeros(2)}))
    back["a"][0] = 1
    assert back["a"].tolist() == [1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_on_both_ways(bad: float) -> None:
    values = np.array([1, bad, 2], np.float32)
    with pytest.raises(InvalidTensor, match=r"'head' has 1 values of 3"):
        encode_tensors({"head": values})
    with pytest.raises(InvalidTensor, match=r"'head' has 1 values of 3"):
        decode_tensors(file({"head": entry(shape=(3,), end=12)}, values.tobytes()))


@pytest.mark.parametrize("dtype", ["c8", "u8", "i2", "U3", "O", "M8[s]", "g"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(InvalidTensor, match="'odd' has dtype"):
        encode_tensors({"odd": np.zeros(2, dtype)})


@pytest.mark.parametrize("name", ["", "__metadata__"])
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidTensor, match="cannot be named"):
        encode_tensors({name: np.zeros(1)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        (2**63).to_bytes(8, "little") + b"{}",
        (MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b" " * (MAX_HEADER_BYTES + 1),
        file(b"{"),
        file([]),
        file(b"[" * 100_000),
        file(b"\xff\xfe"),
        file({"__metadata__": [1]}),
        file({"a": entry()}, b"\0" * 3),
        file({"a": entry()}, b"\0" * 5),
        file({"a": entry(shape=(2,))}, b"\0" * 4),
        file({"a": entry(shape=(-1,))}, b"\0" * 4),
        file({"a": entry(shape=(2**62, 2**62, 0), end=0)}),
        file({"a": entry("F8_E4M3", end=1)}, b"\0"),
        file({"a": entry("BF16", end=2)}, b"\0\0"),
        file({"a": entry("C64", end=8)}, b"\0" * 8),
        file({"a": entry(end=4), "b": entry(end=4)}, b"\0" * 4),
        file(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), b"\0" * 4),
    ],
)
def test_malformed_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidTensor):
        decode_tensors(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_being_refused(data: bytes) -> None:
    for candidate in (data, file(data), file({"a": entry()}, data)):
        try:
            decode_tensors(candidate)
        except InvalidTensor:
            continue


@given(st.data())
def test_a_cut_file_is_refused(data: st.DataObject) -> None:
    whole = encode_tensors({"a": np.arange(4.0), "b": np.ones(3, np.int8)}, {"k": "v"})
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(InvalidTensor):
        decode_tensors(whole[:cut])


def test_an_over_long_header_is_not_written() -> None:
    with pytest.raises(InvalidTensor, match="header"):
        encode_tensors({}, {"long": "x" * MAX_HEADER_BYTES})
