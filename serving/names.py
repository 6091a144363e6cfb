"""Names that callers choose: tasks and labels.

A class is written `task/label`, so neither part may hold a slash. Names are compared byte by byte:
they are normalised (Unicode NFC) first, so that two spellings of "é" are one name.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST_NAME = 128  # characters; the upper bound of `limits.name_characters`


def checked_name(name: str) -> str:
    """The name in NFC.

    Raises ValueError where it is empty, too long, has a slash, blanks at its ends or unprintables.
    """
    name = unicodedata.normalize("NFC", name)
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters, this one has {len(name)}")
    if name != name.strip():
        raise ValueError(f"a name neither starts nor ends with a blank: {name!r}")
    for character in name:
        if character == "/":
            raise ValueError(f"a name holds no '/' (it divides task and label): {name!r}")
        if not character.isprintable():
            raise ValueError(f"a name holds printable characters only, not {character!r}: {name!r}")
    return name


Name = Annotated[
    str,
    AfterValidator(checked_name),
    Field(
        description="1 to 128 printable characters without '/', kept in Unicode NFC",
        json_schema_extra={
            "minLength": 1,
            "maxLength": LONGEST_NAME,
            "pattern": r"^[^/\x00-\x1f]+$",
        },
    ),
]
