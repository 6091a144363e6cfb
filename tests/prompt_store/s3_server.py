"""moto's S3 as a program: prints its port, and ends when its standard input does.

It answers one request at a time: moto looks for a key and writes it in two steps, which alone make
If-None-Match exclusive only when nobody comes between.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from threading import Thread
from typing import TYPE_CHECKING

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.prompt_store.bucket_servers import BUCKET, BUSY, DEAF, REGION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class FirstPuts:
    """Makes the first put of a key go wrong as it may on a network, in two buckets."""

    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner
        self._seen: set[str] = set()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "PUT" or path in self._seen:
            return self._inner(environ, start)
        self._seen.add(path)
        if path.startswith(f"/{BUSY}/"):
            environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            start("409 Conflict", [])
            return [b"<Error><Code>ConditionalRequestConflict</Code></Error>"]
        answer = self._inner(environ, start)
        if path.startswith(f"/{DEAF}/"):
            raise ConnectionResetError("on purpose")
        return answer


def main() -> None:
    for bucket in (BUCKET, DEAF, BUSY):
        get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(bucket, REGION)
    application = FirstPuts(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=False)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
