"""Log lines, each with the id of the request it belongs to. Never what users sent.

For a person where standard error is a terminal, as JSON everywhere else.
"""

from __future__ import annotations

import logging
import sys
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


class TextFormatter(logging.Formatter):
    """One line for a person: local time, level, message, the record's `fields`, request."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = {**getattr(record, "fields", {}), "request": request_id.get()}
        told = [f"{name}={value}" for name, value in fields.items() if value not in (None, "-")]
        line = "  ".join([f"{clock} {record.levelname.lower():<7} {record.getMessage()}", *told])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(level: int = logging.INFO) -> None:
    """Sends every log line of the process to standard error, in the form for who reads there."""
    stream = logging.StreamHandler()
    stream.setFormatter(TextFormatter() if sys.stderr.isatty() else JsonFormatter())
    logging.basicConfig(level=level, handlers=[stream], force=True)
