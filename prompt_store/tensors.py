"""Named tensors as safetensors bytes: the same tensors give the same bytes, and what is read is
checked before it is used.

Format: 8 bytes of header length (little-endian), a JSON header, the tensors' bytes
(https://github.com/huggingface/safetensors#format). The header is written here because the
library's writer orders metadata at random; it is the library that parses.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from prompt_store.errors import InvalidTensor

MAX_HEADER_BYTES = 8 * 2**20  # some 80,000 tensors; refuses to parse what only claims to be one
METADATA = "__metadata__"
_ALIGNMENT = 8
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_CODES = {(dtype.kind, dtype.itemsize): code for code, dtype in _DTYPES.items()}


def encode_tensors(
    tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return safetensors bytes that depend on content only, not on order or memory layout.

    Raises:
        InvalidTensor: a dtype that is not allowed, values that are not finite, a reserved name.
    """
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    parts: list[bytes] = []
    start = 0
    for name, code, values in _in_file_order(tensors):
        parts.append(values.tobytes())
        end = start + len(parts[-1])
        header[name] = {"dtype": code, "shape": list(values.shape), "data_offsets": [start, end]}
        start = end
    return b"".join([_encode_header(header), *parts])


def decode_tensors(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return tensors (writable, own memory) and metadata.

    Raises:
        InvalidTensor: a malformed or over-long header, a dtype that is not allowed, shapes that do
            not match the bytes, or values that are not finite.
    """
    metadata = _decode_metadata(data)
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise InvalidTensor(f"Not a safetensors file of {len(data)} bytes: {error}") from error
    return {name: _decode_tensor(name, entry) for name, entry in entries}, metadata


def _in_file_order(
    tensors: Mapping[str, NDArray[Any]],
) -> list[tuple[str, str, NDArray[Any]]]:
    """Widest elements first, as the library does, so that each tensor is aligned; then by name."""
    entries = [(name, *_storable(name, tensors[name])) for name in sorted(tensors)]
    return sorted(entries, key=lambda entry: -entry[2].dtype.itemsize)


def _storable(name: str, tensor: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    if not name or name == METADATA:
        raise InvalidTensor(f"A tensor cannot be named {name!r}: use another name")
    values = np.asarray(tensor)
    code = _CODES.get((values.dtype.kind, values.dtype.itemsize))
    if code is None:
        raise InvalidTensor(
            f"Tensor {name!r} has dtype {values.dtype}: convert it to one of {sorted(_DTYPES)}"
        )
    _check_finite(name, values)
    return code, values.astype(_DTYPES[code], copy=False)


def _encode_header(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise InvalidTensor(f"A header of {len(text)} bytes is over {MAX_HEADER_BYTES}")
    return len(text).to_bytes(8, "little") + text


def _decode_metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MAX_HEADER_BYTES):
        raise InvalidTensor(
            f"A safetensors file of {len(data)} bytes cannot have a header of {length} bytes "
            f"(at most {MAX_HEADER_BYTES})"
        )
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_without_duplicates)
        metadata = header.get(METADATA, {})
        return {str(key): str(value) for key, value in metadata.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise InvalidTensor(f"The safetensors header is malformed: {error}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name appears twice")
    return fields


def _decode_tensor(name: str, entry: Mapping[str, Any]) -> NDArray[Any]:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise InvalidTensor(f"Tensor {name!r} has dtype {entry['dtype']}, not of {sorted(_DTYPES)}")
    shape = tuple(entry["shape"])
    if len(entry["data"]) != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise InvalidTensor(f"Tensor {name!r}: {len(entry['data'])} bytes are not {dtype} {shape}")
    values: NDArray[Any] = np.frombuffer(entry["data"], dtype=dtype).reshape(shape)
    _check_finite(name, values)
    return values


def _check_finite(name: str, values: NDArray[Any]) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int(values.size - np.isfinite(values).sum())
        raise InvalidTensor(f"Tensor {name!r} has {count} values of {values.size} not finite")
