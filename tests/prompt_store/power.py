"""A disk that forgets: what may be on it after a power cut, by the steps that were taken before.

The weakest disk that POSIX allows: of a file that was not flushed any part may be there; of the
names that came or went in a folder since that was flushed any subset, in whatever order. Flushing
a file does not make its name durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from prompt_store.backends.local import TEMPORARY

MOST_CHANGES = 6  # of names, at once: 64 states


@dataclass(eq=False)
class File:
    """written: what a process reads; durable: whether all of it is on the medium"""

    written: bytes = b""
    durable: bool = False

    def contents(self) -> list[bytes]:
        """What may be read after the cut."""
        if self.durable:
            return [self.written]
        return sorted({b"", self.written[: len(self.written) // 2], bytes(len(self.written))})


Names = dict[Path, File | None]
"""What is at a path; None: a folder."""
State = Mapping[Path, bytes | None]
"""The same with the contents of files."""


@dataclass(frozen=True)
class Change:
    """A name that came or went. gone: it went, and was this file's"""

    path: Path
    entry: File | None
    gone: bool = False

    @property
    def counts(self) -> bool:
        """Whether the store would see it."""
        return self.path.parent.name != TEMPORARY

    def apply_to(self, names: Names) -> None:
        if self.gone:
            names.pop(self.path, None)
        else:
            names[self.path] = self.entry


@dataclass
class Medium:
    """What processes see, what is durable, and the changes between the two, in their order."""

    seen: Names = field(default_factory=dict)
    durable: Names = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def take(self, step: str, path: Path, target: Path | None) -> None:
        """Follow a step that is about to be taken: see `disks.Watcher`."""
        if step == "fsync":
            self._flush(path)
        elif step == "unlink" and path in self.seen:
            self._change(Change(path, self.seen[path], gone=True))
        elif step == "link" and target is not None and target not in self.seen:
            self._change(Change(target, self.seen[path]))
        elif step == "mkdir" and path not in self.seen:
            self._change(Change(path, None))
        elif step == "open":
            self._change(Change(path, File()))

    def states(self) -> Iterator[State]:
        """Whatever may be on the disk if the power goes now."""
        doubtful = [change for change in self.changes if change.counts]
        unfinished = [c for c in self.changes if not c.counts and not c.gone]
        assert len(doubtful) <= MOST_CHANGES, f"all these names are not flushed: {doubtful}"
        for happened in product([True, False], repeat=len(doubtful)):
            for left_over in ([], unfinished):
                names = dict(self.durable)
                for change, applied in zip(doubtful, happened, strict=True):
                    if applied:
                        change.apply_to(names)
                for change in left_over:
                    change.apply_to(names)
                yield from _in_all_contents(names)

    def _change(self, change: Change) -> None:
        change.apply_to(self.seen)
        self.changes.append(change)

    def _flush(self, path: Path) -> None:
        entry = self.seen.get(path)
        if entry is not None:
            entry.written, entry.durable = path.read_bytes(), True
        for change in self.changes:
            if change.path.parent == path:
                change.apply_to(self.durable)
        self.changes = [change for change in self.changes if change.path.parent != path]


def _in_all_contents(names: Names) -> Iterator[State]:
    contents = [[None] if entry is None else entry.contents() for entry in names.values()]
    for chosen in product(*contents):
        yield dict(zip(names, chosen, strict=True))


def restore_power(state: State, before: Path, after: Path) -> None:
    """Make folders and files of a state of the disk `before` on the disk `after`."""
    after.mkdir(parents=True)
    for path, content in sorted(state.items()):
        place = after / path.relative_to(before)
        if not place.parent.is_dir():
            continue  # its folder's own name was lost
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
