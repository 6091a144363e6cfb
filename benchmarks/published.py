"""What docs/benchmarks.md shows: sections of runs, and the writing of their tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.degraded_table import degraded_markdown
from benchmarks.named_streams import IMAGE_SHOTS, IMAGES, INTENT_SHOTS, INTENTS, NAMED
from benchmarks.overrides import JOINT
from benchmarks.results import Results, read_rows
from benchmarks.stream import Row
from benchmarks.stream_plot import KINDS, draw_all
from benchmarks.stream_report import Run, check, run_missing
from benchmarks.tables import markdown

PAGE = "benchmarks.md"


VIT = "vit_tiny_patch16_224"
"""The folder, beside the data sets, of the model that sees images."""
CIFAR = "cifar100_subset"
SHORT, SHORTEST = 96, 48
"""Tokens of texts in the tables and in the ablations: what an hour allows."""


@dataclass(frozen=True)
class Part:
    """Methods on one stream. source: a named stream or a data set; max_length: tokens.

    hindsight: every candidate is also judged by the test rows (which takes longer than the gate).
    image_size: pixels of a side, where the stream is of images: `VIT` then sees them.
    tests: test rows a class, None for all;  tasks: None for as many as this data set is dealt into
    """

    source: str
    methods: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    max_length: int = 256
    hindsight: bool = False
    image_size: int | None = None
    tests: int | None = None
    tasks: int | None = None
    degraded: bool = False

    def run(self, data: Path) -> Run:
        """The same as `bench stream` takes it; data: the folder above all data sets."""
        named = self.source in NAMED
        return Run(
            data=(data if named else data / self.source,),
            named=(self.source,) if named else (),
            tasks=self.tasks or (INTENTS | IMAGES).get(self.source, 1),
            shots=IMAGE_SHOTS if self.source in IMAGES else INTENT_SHOTS,
            backbone="minilm" if self.image_size is None else str(data / VIT),
            max_length=self.max_length,
            prompted_layers=None,
            overrides=self.overrides,
            hindsight=self.hindsight,
            image_size=self.image_size,
            tests=self.tests,
            degraded=self.degraded,
        )

    def owns(self, row: Row) -> bool:
        """Whether a row is of this part, whatever its seed."""
        known = {**row.settings, "backbone": Path(row.settings.get("backbone", "")).name}
        same = known == self.run(Path()).settings()
        return row.stream == self.source and row.method in self.methods and same


@dataclass(frozen=True)
class Section:
    """One table of the page, between `<!-- begin NAME -->` and `<!-- end NAME -->`."""

    name: str
    parts: tuple[Part, ...]
    seeds: int = 3
    kinds: tuple[str, ...] = KINDS


def _ablation(method: str, *overrides: str) -> tuple[Part, ...]:
    """A method as it is, then with one option changed at a time."""
    return tuple(
        Part("nlp7-half", (method,), changed, max_length=SHORTEST)
        for changed in ((), *((override,) for override in overrides))
    )


def _compared(source: str, *others: str, max_length: int) -> tuple[Part, ...]:
    """The frozen backbone, `auto` with its gate in hindsight, then others."""
    return (
        Part(source, ("frozen", "frozen-layers"), max_length=max_length),
        Part(source, ("auto",), max_length=max_length, hindsight=True),
        Part(source, others, max_length=max_length),
    )


def _images(
    source: str,
    methods: tuple[str, ...],
    *overrides: str,
    tasks: int | None = None,
    degraded: bool = False,
) -> tuple[Part, ...]:
    """Methods on images as 160 pixels a side."""
    return (
        Part(source, methods, overrides, image_size=160, tests=20, tasks=tasks, degraded=degraded),
    )


Q_TUNING_PARTS = (
    *("q_tuning.reweighing=false", "q_tuning.shared_rows=0", "q_tuning.retention=0.1"),
    *("q_tuning.reparameterise=true", "q_tuning.eviction=merge", "q_tuning.capacity=2"),
)
LAYER_GROUP_PARTS = (
    *("layer_grouped.groups=1", "layer_grouped.groups=3"),
    *("layer_grouped.generator=false", "layer_grouped.position=0"),
)
BESIDE = ("frozen-layers", "sequential-open", "joint-open", "independent-open", "auto-open", "auto")
"""What an aggregate, which every input passes through, is compared with; the last three route."""
SECTIONS = (
    Section(
        "intents",
        _compared("clinc150", JOINT, max_length=256)
        + _compared("banking77", JOINT, max_length=256),
    ),
    Section("nlp7", _compared("nlp7", "auto-joined", JOINT, max_length=SHORT)),
    Section("mixed", (Part("mixed", ("frozen", "auto"), max_length=SHORT),)),
    Section(
        "images",
        _images(CIFAR, ("frozen", "frozen-layers", "auto"))
        + _images(CIFAR, ("auto",), "retain=none")
        + _images(CIFAR, ("layer-grouped-open",), "layer_grouped.groups=4")
        + _images(CIFAR, ("layer-grouped-open",), "layer_grouped.groups=1")
        + _images(CIFAR, ("independent-open",))
        + _images(CIFAR, ("sequential-open",), "sequential.epochs=20", tasks=1),
    ),
    Section(
        "two-domains",
        _images("images", ("frozen-layers", "auto"), degraded=True)
        + _images("images", ("auto",), "rough_rows=0", degraded=True)
        + _images("clothing_small", ("auto",)),
    ),
    Section(
        "ablations",
        _ablation("q-tuning-open", *Q_TUNING_PARTS)
        + _ablation("layer-grouped-open", *LAYER_GROUP_PARTS)
        + tuple(Part("nlp7-half", (method,), max_length=SHORTEST) for method in BESIDE),
        kinds=("final",),
    ),
)


def chosen(names: Sequence[str]) -> list[Section]:
    """The sections of these names, all where there are none. Raises BadParameter."""
    known = {section.name: section for section in SECTIONS}
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--only")
    return [known[name] for name in names] or list(SECTIONS)


def measure(section: Section, data: Path, path: Path, *, seeds: int | None, threads: int) -> None:
    """Run what `path` lacks of a section; rows are added to it one by one."""
    runs = [(part, part.run(data)) for part in section.parts]
    for part, run in runs:
        check(run, part.methods)
    done = Results(path)
    for seed in range(section.seeds if seeds is None else seeds):  # every row once, then again
        for part, run in runs:
            run_missing(run, done, seeds=(seed,), methods=part.methods, threads=threads)


def write(section: Section, path: Path, docs: Path) -> None:
    """Put the table of a section's rows into the page, and its pictures beside it."""
    stored = read_rows(path)
    rows = [
        row
        for part in section.parts
        for method in part.methods
        for row in stored
        if row.method == method and part.owns(row)
    ]
    page = docs / PAGE
    tables = [table for table in (markdown(rows), degraded_markdown(rows)) if table]
    page.write_text(between(page.read_text(), section.name, "\n\n".join(tables)))
    draw_all(rows, docs / "images", f"{section.name}-", section.kinds)


def between(text: str, name: str, content: str) -> str:
    """`text` with what its markers of `name` enclose replaced. Raises ClickException."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise click.ClickException(f"{PAGE} needs the lines {begin!r} and {end!r}, in this order")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"
