"""An application on Ray Serve that does nothing: what Ray itself takes to answer.

python -m benchmarks.cold_start.empty_application --port 8000
"""

from __future__ import annotations

import click
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request

from serving.cluster import cluster, wait_for_a_signal


class Empty:
    """Answers every request, with nothing."""

    async def __call__(self, request: Request) -> str:
        return ""


@click.command()
@click.option("--port", type=int, required=True)
def run(port: int) -> None:
    """Serve on a cluster like that of `perennial serve --engine ray`, until a signal ends it."""
    with cluster(actors=3):
        serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
        empty = serve.deployment(name="Empty")(Empty)
        serve.run(empty.bind(), name="empty", route_prefix="/")
        wait_for_a_signal()


if __name__ == "__main__":
    run()
