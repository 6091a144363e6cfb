"""The demo from the images to the picture."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.demo.course import Lesson, run_course
from benchmarks.demo.digits import LEARN, Deal, deal, write
from benchmarks.demo.options import Options
from benchmarks.demo.picture import draw
from benchmarks.demo.report import line, print_report
from benchmarks.demo.sight import Sight, chosen
from benchmarks.running_server import running_server
from perennial.client import Client

PICTURE: Final = "demo.png"


def run(options: Options) -> list[Lesson]:
    """Write the images, teach a real server, print a table and draw the picture.

    Raises OtherFiles, NotStarted, PerennialError.
    """
    news, results = Console(stderr=True), Console(highlight=False, markup=False, soft_wrap=True)
    dealt = deal(options.seed, options.shots, options.tests)
    write(dealt, options.out)
    sight = chosen(options, news)
    lessons = _taught(options.out, dealt, sight, news)
    print_report(lessons, results)
    path = options.out / PICTURE
    draw(
        lessons, options.out, path, f"Ten handwritten digits, two a task; backbone: {sight.called}"
    )
    results.print(f"Picture: {path}", *_by_hand(options.out, dealt, sight), sep="\n")
    return lessons


def _taught(images: Path, dealt: Deal, sight: Sight, news: Console) -> list[Lesson]:
    """By a server with a store of its own; both end with the demo."""
    lessons = []
    with tempfile.TemporaryDirectory(prefix="perennial-demo-") as folder:
        store, log = Path(folder, "store"), Path(folder, "server.log")
        with (
            news.status(f"starting a server on {sight.called}: up to a minute") as status,
            running_server([*sight.flags(), "--store", str(store)], log) as server,
            Client(server.url) as client,
        ):
            for lesson in run_course(client, dealt, images, status.update):
                news.print(line(lesson), highlight=False, soft_wrap=True)
                lessons.append(lesson)
            status.update("stopping the server")
    return lessons


def _by_hand(out: Path, dealt: Deal, sight: Sight) -> list[str]:
    """Commands to go on with."""
    task = next(iter(dealt.tasks))
    commands = (
        ("serve", *sight.flags(), "--store", str(out / sight.store)),
        ("learn", task, str(out / LEARN / task)),
        ("classify", str(out / dealt.test[0].path)),
    )
    return [
        "By hand (after `source .venv/bin/activate`), the first in a terminal of its own:",
        *(f"  perennial {shlex.join(command)}" for command in commands),
    ]
