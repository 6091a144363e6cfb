"""The small types that the store's records are made of."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

Number = Annotated[int, Field(strict=True, ge=1)]  # of a manifest in the log
Count = Annotated[int, Field(strict=True, ge=0)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]  # sha256, hexadecimal
BATCH_ID = r"^[0-7k][0-9A-HJKMNP-TV-Z]{25}$"  # see batch_ids.py
BatchId = Annotated[str, StringConstraints(pattern=BATCH_ID)]
Name = Annotated[str, StringConstraints(min_length=1)]
Task = Annotated[str, StringConstraints(pattern=r"^[^/]+$")]  # no slash: a class is task/label
ClassName = Annotated[str, StringConstraints(pattern=r"(?s)^[^/]+/.+$")]
Moment = AwareDatetime
TraceParent = Annotated[  # W3C Trace Context, version 00
    str, StringConstraints(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
]


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return `value` as JSON gives it back. Raises ValueError where JSON cannot hold it."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"not plain JSON with finite numbers: {error}") from error
    return plain


Report = Annotated[dict[str, Any], AfterValidator(_plain_json)]
Metrics = Annotated[dict[str, float | int | str], AfterValidator(_plain_json)]
