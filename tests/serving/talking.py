"""A client that sends lines one by one and hears the answers meanwhile, or does not."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import orjson

LINES = "application/x-ndjson"


class Talk:
    """One stream. What is said is sent at once."""

    def __init__(self, url: str, query: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._connection.putrequest("POST", f"/v1/classify?{urlencode(query)}")
        self._connection.putheader("Content-Type", LINES)
        self._connection.putheader("Transfer-Encoding", "chunked")
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self._answer: http.client.HTTPResponse | None = None

    def say(self, *values: Any) -> None:
        """A line for each."""
        data = b"".join(orjson.dumps(one) + b"\n" for one in values)
        self._connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """Says that nothing more comes."""
        self._connection.send(b"0\r\n\r\n")

    def hear(self) -> dict[str, Any] | None:
        """The next answer, None where there are no more."""
        line = self._listen().readline()
        return orjson.loads(line) if line else None

    def rest(self) -> list[dict[str, Any]]:
        """All answers that are still to come."""
        return list(iter(self.hear, None))

    def breaks_off(self) -> bool:
        """Whether the connection is closed before the answers end."""
        try:
            self._listen().read()
        except http.client.IncompleteRead:
            return True
        return False

    def leave(self) -> None:
        """Closes the connection, whatever is under way."""
        self._connection.close()

    def _listen(self) -> http.client.HTTPResponse:
        if self._answer is None:
            self._answer = self._connection.getresponse()
            assert self._answer.status == 200
        return self._answer


@contextmanager
def talking(url: str, headers: Mapping[str, str] | None = None, **query: Any) -> Iterator[Talk]:
    """A stream to the server at this address. query: what is asked of all lines."""
    talk = Talk(url, query, headers or {})
    try:
        yield talk
    finally:
        talk.leave()
