"""`--set q_tuning.reweighing=false`: options of the learner by their dotted name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, get_args

import orjson
from pydantic import ValidationError

from learner.config import LearnerConfig, MethodName

METHODS: tuple[str, ...] = get_args(MethodName)
OPEN = "-open"
"""Ending of a variant where every candidate goes live."""
SETTINGS: dict[str, dict[str, Any]] = {
    "frozen": {"method": "frozen", "head": {"views": "last", "pairs": "joined"}},
    "frozen-layers": {"method": "frozen"},
    "auto-joined": {"method": "auto", "head": {"pairs": "joined"}},
    "auto-closed": {"method": "auto", "gate": {"mode": "closed"}},
}
"""Variants with options of their own. frozen: the plain flat head on the last layer's features,
frozen-layers: the head that learners have by default; auto-joined: pairs never seen apart;
auto-closed: domains and their router without a prompt."""
JOINT = "joint-finetune"
"""No learner of the product: the whole backbone fine-tuned on all tasks at once."""
_OPENED = (f"{name}{OPEN}" for name in METHODS if name != "frozen")
VARIANTS = tuple(dict.fromkeys((*METHODS, *_OPENED, *SETTINGS, JOINT)))
"""What `--method` may name."""


class BadOverride(ValueError):
    """An option that the learner does not have, or a value that it does not take."""


def learner_config(variant: str, seed: int, overrides: Sequence[str]) -> LearnerConfig:
    """The learner of a variant with `name=value` overrides. Raises BadOverride."""
    options: dict[str, Any] = {"method": variant.removesuffix(OPEN), "seed": seed}
    options |= deepcopy(SETTINGS.get(variant, {}))
    if variant.endswith(OPEN):
        options["gate"] = {"mode": "open"}
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise BadOverride(f"{override!r}: expected name=value, e.g. q_tuning.reweighing=false")
        _put(options, name.strip().removeprefix("learner.").split("."), _parsed(value))
    try:
        return LearnerConfig.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadOverride(f"{where}: {first['msg']}, got {first['input']!r}") from error


def _put(options: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *folders, name = path
    for folder in folders:
        options = options.setdefault(folder, {})
        if not isinstance(options, Mapping):
            raise BadOverride(f"{'.'.join(path)}: {folder} is a value, not a group of options")
    options[name] = value


def _parsed(value: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
