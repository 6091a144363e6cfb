"""The README's first five minutes, block by block, against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.lessons import lessons
from benchmarks.running_server import RunningServer
from perennial.client import Client
from tests.end_to_end.conftest import needs_minilm

pytestmark = [pytest.mark.slow, needs_minilm]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of the section with the first example."""
    section = README.split("## The first five minutes")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def run_shell(block: str, server: RunningServer) -> str:
    script = block.replace("http://127.0.0.1:8000", server.url).replace("curl ", "curl -sf ")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_example_works_word_for_word(server: RunningServer) -> None:
    teach, ask = blocks("sh")
    sent = re.findall(r'"batch":"(\w+)"', run_shell(teach, server))
    assert len(sent) == 3
    with Client(server.url) as client:
        learnt = [client.wait(batch, until="refreshed") for batch in sent]
        newest = max(batch.version or 0 for batch in learnt)
        for lesson in lessons():
            for text, label in lesson.train:
                answer = client.classify(text, top_k=1, min_version=newest)
                best = answer.results[0].predictions[0]
                assert (best.task, best.label) == (lesson.name, label)
    assert '"label":"delivery"' in run_shell(ask, server)


def test_the_python_example_prints_what_it_says(server: RunningServer) -> None:
    (python,) = blocks("python")
    script = python.replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "billing\n", done.stderr
