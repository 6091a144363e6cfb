"""Log lines as JSON, each with the id of the request it belongs to. Never what users sent."""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar

import orjson

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The request being answered by the running task or thread; `-` outside of one."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_id.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def configure(level: int = logging.INFO) -> None:
    """Sends every log line of the process through `JsonFormatter`, to standard error."""
    stream = logging.StreamHandler()
    stream.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[stream], force=True)
