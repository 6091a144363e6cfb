"""Log lines, each with the ids of the request it belongs to. Never what users sent.

A record's `fields` (`extra={"fields": …}`) become members of its line; they cannot displace those
that every line has.
"""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from serving.trace import trace

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The request being answered by the running task or thread; `-` outside of one."""

Form = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True)
class Logging:
    """How a process writes its log, the same in those that it starts.

    form: auto is text where standard error is a terminal, else json.
    """

    form: Form = "auto"
    level: Level = "info"

    def begin(self) -> None:
        """Sends every log line of this process, and Python's warnings, to standard error."""
        text = self.form == "text" or (self.form == "auto" and sys.stderr.isatty())
        stream = logging.StreamHandler()
        stream.setFormatter(TextFormatter() if text else JsonFormatter())
        logging.basicConfig(level=self.level.upper(), handlers=[stream], force=True)
        logging.captureWarnings(True)
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)


CHATTY = ("httpx", "httpcore", "asyncio", "urllib3")
"""Libraries whose own lines of lower levels tell nothing about this server."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request, trace, and the `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_id.get(),
        }
        known = trace.get()
        if known is not None:
            line["trace"] = known.id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        fields = getattr(record, "fields", {})
        told = {name: value for name, value in fields.items() if name not in line}
        return orjson.dumps({**line, **told}).decode()


class TextFormatter(logging.Formatter):
    """One line for a person: local time, level, message, the record's `fields`, ids."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        ids = {"request": request_id.get()}
        known = trace.get()
        if known is not None and known.id != ids["request"]:
            ids["trace"] = known.id
        fields = {**getattr(record, "fields", {}), **ids}
        told = [f"{name}={value}" for name, value in fields.items() if value not in (None, "-")]
        line = "  ".join([f"{clock} {record.levelname.lower():<7} {record.getMessage()}", *told])
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line
