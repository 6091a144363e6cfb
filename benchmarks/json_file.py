"""What `--json` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


def write_json(path: Path | None, content: Any) -> None:
    """Indented, for people and for diffs. path: None where nobody asked for a file"""
    if path is not None:
        path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
