"""Forms with files, `multipart/form-data` (RFC 7578), read as they stream in.

A form is refused as soon as it has too many parts or one that is too large. What is left of it is
then read and dropped, so that the client gets to the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serving.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD_BYTES: Final = 4096
"""Of a part that is no file: a name of 128 characters is at most 512."""


@dataclass(frozen=True)
class FilePart:
    """A part with a file name. media_type: as the client declares it, None where it does not."""

    media_type: str | None
    data: bytes


@dataclass(frozen=True)
class Form:
    """The parts of a form in their order. fields: (name, value) of those that are no files."""

    files: tuple[FilePart, ...]
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FormLimits:
    """Bounds on a form. refuse_files: makes the problem with one file too many.

    refuse_bytes: makes the problem with file number n, counted from 0, of more than `file_bytes`.
    """

    files: int
    fields: int
    file_bytes: int
    refuse_files: Callable[[], Problem]
    refuse_bytes: Callable[[int], Problem]


async def read_form(stream: AsyncIterator[bytes], content_type: str, limits: FormLimits) -> Form:
    """The form in `stream`. Raises Problem: malformed-request, or what the limits make."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    refusal: Problem | None = None
    reader = _Reader(limits)
    try:
        parser = MultipartParser(boundary or b"-", reader.callbacks())
    except FormParserError as error:
        refusal = _malformed(str(error))
    if not boundary:
        refusal = _malformed("Content-Type names no boundary")
    async for chunk in stream:
        if refusal is None and chunk:
            try:
                parser.write(chunk)
            except Problem as problem:
                refusal = problem
            except (FormParserError, ValueError) as error:
                refusal = _malformed(str(error))
    if refusal is not None:
        raise refusal
    if not reader.ended:
        raise _malformed("it ends before its last boundary")
    return Form(tuple(reader.files), tuple(reader.fields))


def _malformed(reason: str) -> Problem:
    return Problem("malformed-request", f"the body is no multipart form: {reason}")


@dataclass
class _Reader:
    """What the parser has come to so far."""

    limits: FormLimits
    files: list[FilePart] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    _headers: dict[str, bytes] = field(default_factory=dict)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: dict[bytes, bytes] = field(default_factory=dict)
    _data: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> MultipartCallbacks:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._admit,
            "on_part_data": self._more,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    @property
    def _is_file(self) -> bool:
        return b"filename" in self._disposition

    def _begin(self) -> None:
        self._headers, self._data = {}, bytearray()

    def _header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _admit(self) -> None:
        kind, self._disposition = parse_options_header(self._headers.get("content-disposition"))
        if kind != b"form-data" or b"name" not in self._disposition:
            raise _malformed("a part has no Content-Disposition: form-data with a name")
        if self._is_file and len(self.files) == self.limits.files:
            raise self.limits.refuse_files()
        if not self._is_file and len(self.fields) == self.limits.fields:
            raise _malformed(f"more than {self.limits.fields} parts are no files")

    def _more(self, data: bytes, start: int, end: int) -> None:
        size = len(self._data) + end - start
        if self._is_file and size > self.limits.file_bytes:
            raise self.limits.refuse_bytes(len(self.files))
        if not self._is_file and size > FIELD_BYTES:
            raise _malformed(f"a part that is no file has more than {FIELD_BYTES} bytes")
        self._data += data[start:end]

    def _end(self) -> None:
        if self._is_file:
            declared = self._headers.get("content-type")
            media_type = parse_options_header(declared)[0].decode("latin-1") if declared else None
            self.files.append(FilePart(media_type, bytes(self._data)))
        else:
            name = self._disposition[b"name"].decode()
            self.fields.append((name, self._data.decode()))

    def _finish(self) -> None:
        self.ended = True
