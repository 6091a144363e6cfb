"""How the store writes its JSON: sorted, compact, with a format number and a checksum."""

import hashlib
import json
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from prompt_store.errors import CorruptRecord, UnsupportedFormat


class Record(BaseModel):
    """Base of what is stored as JSON. Fields that a newer writer added are ignored.

    Errors name the field and not its value, which may be what a user sent: they reach logs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    FORMAT: ClassVar[int] = 1  # raised when old readers must not read new records


RecordType = TypeVar("RecordType", bound=Record)


def encode(record: Record) -> bytes:
    """Return the bytes of `record`; equal records give equal bytes."""
    fields = {**record.model_dump(mode="json"), "format": record.FORMAT}
    return _canonical({**fields, "sha256": _checksum(fields)})


def decode(record_type: type[RecordType], data: bytes, key: str) -> RecordType:
    """Return the record that `encode` wrote; `key` is for the message.

    Raises:
        UnsupportedFormat: another format number, or content this program does not know.
        CorruptRecord: truncated or altered bytes.
    """
    fields = _parse(data, key)
    if fields.get("format") != record_type.FORMAT:
        raise UnsupportedFormat(
            f"{key} has format {fields.get('format')!r}, this program reads {record_type.FORMAT}: "
            "use the version of the program that wrote it, or a newer one"
        )
    if fields.pop("sha256", None) != _checksum(fields):
        raise CorruptRecord(f"{key} was altered after it was written: restore it from a backup")
    try:
        return record_type.model_validate(fields)
    except ValidationError as error:  # the checksum holds, so another program meant it so
        raise UnsupportedFormat(f"{key} holds what this program does not know: {error}") from error


def _parse(data: bytes, key: str) -> dict[str, Any]:
    try:
        fields = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(f"{key} ({len(data)} bytes) is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CorruptRecord(f"{key} holds a {type(fields).__name__}, not an object")
    return fields


def _checksum(fields: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(fields)).hexdigest()


def _canonical(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")
