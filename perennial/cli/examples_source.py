"""What `perennial learn` sends: the rows of a file, or the images of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from perennial.cli.examples_file import read_examples
from perennial.cli.image_files import LabelledImage, UploadLimits, cost, read_folder
from perennial.client.calls import LabelledInput
from perennial.client.parts import in_bounded_parts, in_parts

Ask = Callable[[], Mapping[str, Any]]


class ExamplesSource(Protocol):
    """Examples, all checked as far as that is possible here."""

    def __len__(self) -> int: ...

    def parts(self, size: int, limits: Ask) -> Iterator[Sequence[LabelledInput]]:
        """In calls of at most `size`, always cut alike. limits: asks the server for its own."""
        ...

    def name(self, index: int) -> str | None:
        """What a person calls example number `index`, None where the server's words will do."""
        ...


def source_at(path: Path) -> ExamplesSource:
    """Of a file, or of a folder with one sub-folder a class. Raises as they do."""
    return FolderSource(read_folder(path)) if path.is_dir() else FileSource(path)


class FileSource:
    """A CSV, JSON lines or JSON file. Every line is checked when this is made."""

    def __init__(self, path: Path) -> None:
        """Raises ExamplesFileError."""
        self._path = path
        self._count = sum(1 for _ in read_examples(path))

    def __len__(self) -> int:
        return self._count

    def parts(self, size: int, limits: Ask) -> Iterator[Sequence[LabelledInput]]:
        """See `ExamplesSource.parts`."""
        return in_parts(read_examples(self._path), size)

    def name(self, index: int) -> str | None:
        """See `ExamplesSource.name`."""
        return None


class FolderSource:
    """Images, read when they are sent."""

    def __init__(self, images: Sequence[LabelledImage]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def parts(self, size: int, limits: Ask) -> Iterator[Sequence[LabelledInput]]:
        """See `ExamplesSource.parts`. Raises ImageFileError where one is too large."""
        known = limits()
        upload = UploadLimits.of(known)
        for one in self._images:
            upload.check(one.path)
        size = min(size, known.get("examples", size))
        for part in in_bounded_parts(self._images, size, upload.budget, lambda one: cost(one.path)):
            yield [(one.path, one.label) for one in part]

    def name(self, index: int) -> str | None:
        """See `ExamplesSource.name`."""
        return str(self._images[index].path)
