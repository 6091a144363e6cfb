"""The checks that depend on a server's limits, its backbone and what it knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from backbones import Description, Input
from serving.problems import Problem, invalid
from serving.settings import Limits

T = TypeVar("T")

_NAMED = 5  # wrong values named in one message


def check_inputs(
    inputs: Sequence[Input], limits: Limits, description: Description, place: str = "inputs/{}"
) -> None:
    """Whether the backbone sees this kind of input, and none is too large.

    place: JSON pointer of input number {} in the body.
    Raises Problem: invalid-content, unsupported-input.
    """
    for index, one in enumerate(inputs):
        pointer = "#/" + place.format(index)
        _check_modality(one, description, pointer)
        if one.image is not None:
            check_image_bytes(len(one.image), limits, pointer)
        for member, text in (("text", one.text), ("text_pair", one.text_pair)):
            if text is not None and len(text) > limits.text_characters:
                raise invalid(
                    pointer,
                    f"{member} has {len(text)} characters; at most {limits.text_characters} are "
                    "accepted, shorten it",
                )


def _check_modality(one: Input, description: Description, pointer: str) -> None:
    modality = "text" if one.image is None else "vision"
    if modality != description.modality:
        given, seen = ("an image", "texts") if modality == "vision" else ("a text", "images")
        raise Problem(
            "unsupported-input",
            f"{pointer} is {given}, and this server's backbone {description.name} sees {seen}",
            errors=[{"pointer": pointer, "detail": f"send {seen}"}],
        )


def check_image_bytes(size: int, limits: Limits, pointer: str) -> None:
    """Whether a file of this many bytes may be an image. Raises Problem invalid-content."""
    if not 1 <= size <= limits.image_bytes:
        raise invalid(
            pointer,
            f"an image file of {size} bytes; 1 to {limits.image_bytes} are accepted, send a "
            "smaller image or a stronger compression",
        )


def check_count(values: Sequence[T], most: int, member: str) -> None:
    """Whether the body's `member` holds 1 to `most` entries. Raises Problem invalid-content."""
    if not 1 <= len(values) <= most:
        raise invalid(
            f"#/{member}",
            f"{member} holds {len(values)} entries; 1 to {most} are accepted in one request",
        )


def check_name_length(name: str, limits: Limits, pointer: str) -> None:
    """Whether a task's name or a label is short enough here. Raises Problem invalid-content."""
    if len(name) > limits.name_characters:
        raise invalid(
            pointer,
            f"{name!r} has {len(name)} characters; at most {limits.name_characters} are accepted",
        )


def check_ids(ids: Sequence[str | None], member: str) -> None:
    """Whether no two examples of a batch have one name: what is known of each goes by it.

    Raises Problem invalid-content.
    """
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        if name is not None and first.setdefault(name, index) != index:
            raise invalid(
                f"#/{member}/{index}/id",
                f"the id {name!r} is that of example {first[name]} already; give each its own, or "
                "leave it out",
            )


def check_labels(
    labels: Iterable[str],
    known: Collection[str],
    declared: Collection[str],
    limits: Limits,
    pointer: str,
) -> None:
    """Whether these labels may join those a task has. declared: all it may have; empty means any.

    Raises Problem invalid-content.
    """
    given = set(labels)
    foreign = sorted(given - set(declared)) if declared else []
    if foreign:
        raise invalid(
            pointer,
            f"not among the task's declared labels: {_some(foreign)}; declare them first with "
            "PUT /v1/tasks/{task}, or correct them",
        )
    _check_label_count(given.union(known), limits, pointer)


def check_declaration(labels: Collection[str], taught: Collection[str], limits: Limits) -> None:
    """Whether a task that was taught some labels may be declared to have these; none means any.

    Raises Problem invalid-content.
    """
    missing = sorted(set(taught) - set(labels)) if labels else []
    if missing:
        raise invalid(
            "#/labels",
            f"the task was taught {_some(missing)} already; include what it was taught, or forget "
            "the task with DELETE /v1/tasks/{task}",
        )
    _check_label_count(labels, limits, "#/labels")


def _check_label_count(labels: Collection[str], limits: Limits, pointer: str) -> None:
    if len(labels) > limits.labels_per_task:
        raise invalid(
            pointer,
            f"the task would have {len(labels)} labels; at most {limits.labels_per_task} are "
            "accepted",
        )


def _some(values: Sequence[str]) -> str:
    rest = len(values) - _NAMED
    return ", ".join(map(repr, values[:_NAMED])) + (f" and {rest} more" if rest > 0 else "")
