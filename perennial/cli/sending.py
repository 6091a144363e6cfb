"""Sending examples in several calls, so that a broken run can be taken up again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from perennial.cli.connection import Connection, one_line
from perennial.cli.examples_source import ExamplesSource
from perennial.cli.image_files import ImageFileError
from perennial.cli.progress import LearningProgress
from perennial.client import Batch, PerennialError, Problem

_POINTER = re.compile(r"#/examples/(\d+)")


@dataclass
class Sending:
    """One run of `perennial learn`. key: of the whole run; each call has one of its own."""

    task: str
    source: ExamplesSource
    key: str
    batches: list[Batch] = field(default_factory=list)
    sent: int = 0

    def run(self, connection: Connection, size: int, progress: LearningProgress) -> list[Batch]:
        """The accepted batches. Raises ClickException, which says how to send the rest."""
        with connection.client() as client, self._telling_how_to_go_on():
            parts = self.source.parts(size, lambda: client.info().limits)
            for number, part in enumerate(parts):
                self.batches.append(client.learn(self.task, part, f"{self.key}-{number}"))
                self.sent += len(part)
                progress.sent(len(part))
        return self.batches

    @contextmanager
    def _telling_how_to_go_on(self) -> Iterator[None]:
        try:
            yield
        except PerennialError as error:
            raise self._ended(self._named(error) + one_line(error)) from error
        except (ImageFileError, OSError) as error:
            raise self._ended(str(error)) from error
        except KeyboardInterrupt as error:
            raise self._ended("interrupted") from error

    def _named(self, error: PerennialError) -> str:
        """The file at fault, where the server points to one."""
        found = _POINTER.match(str(error)) if isinstance(error, Problem) else None
        name = self.source.name(self.sent + int(found[1])) if found else None
        return f"{name}: " if name else ""

    def _ended(self, message: str) -> click.ClickException:
        if not self.batches:
            return click.ClickException(message)
        return click.ClickException(
            f"{message} ({self.sent} of {len(self.source)} examples had been sent before; the "
            f"server keeps those. Add --idempotency-key {self.key} to the same command, and it "
            "does not learn them twice)"
        )
