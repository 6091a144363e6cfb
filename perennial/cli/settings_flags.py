"""Flags generated from the fields of the settings, so that there is one list of settings only.

A nested field `limits.inputs` becomes `--limits-inputs`. A flag that is not given stays out of the
arguments, so that environment, file and default keep their turn.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, SettingsError

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=BaseSettings)

_SIMPLE: dict[Any, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    bool: click.BOOL,
    Path: click.Path(path_type=Path),
}


@dataclass(frozen=True)
class Setting:
    """One leaf of the settings. path: the names that lead to it; default: what it is unsaid."""

    path: tuple[str, ...]
    field: FieldInfo
    default: Any

    @property
    def flag(self) -> str:
        return "--" + "-".join(self.path).replace("_", "-")

    @property
    def parameter(self) -> str:
        return "__".join(self.path)

    def variable(self, config: Mapping[str, Any]) -> str:
        """The environment variable that sets it."""
        delimiter = config.get("env_nested_delimiter") or "__"
        return f"{config.get('env_prefix') or ''}{delimiter.join(self.path)}".upper()


def settings_of(model: type[BaseModel], default: BaseModel | None = None) -> Iterator[Setting]:
    """All leaves, in the order of the fields."""
    for name, field in model.model_fields.items():
        value = getattr(default, name) if default is not None else _default(field)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = value if isinstance(value, BaseModel) else None
            for leaf in settings_of(field.annotation, inner):
                yield Setting((name, *leaf.path), leaf.field, leaf.default)
        else:
            yield Setting((name,), field, value)


def flags_of(model: type[BaseSettings]) -> Callable[[F], F]:
    """A decorator: a flag for every setting, with its description, $VARIABLE and default."""

    def decorate(command: F) -> F:
        for setting in reversed(list(settings_of(model))):
            command = _option(setting, model)(command)
        return command

    return decorate


def settings_from(model: type[S], given: Mapping[str, Any]) -> S:
    """The settings from flags (None: not given), environment, file and defaults.

    Raises UsageError with one line for everything that is wrong, wherever it came from.
    """
    arguments: dict[str, Any] = {}
    for setting in settings_of(model):
        if given.get(setting.parameter) is not None:
            _put(arguments, setting.path, given[setting.parameter])
    try:
        return model(**arguments)
    except ValidationError as error:
        raise click.UsageError("\n".join(_complaints(model, error))) from error
    except (SettingsError, TOMLDecodeError, OSError) as error:
        raise click.UsageError(f"the settings cannot be read: {error}") from error


def _option(setting: Setting, model: type[BaseSettings]) -> Callable[[F], F]:
    kind = _type_of(setting.field.annotation)
    names = f"{setting.flag}/--no-{setting.flag[2:]}" if kind is click.BOOL else setting.flag
    return click.option(
        names,
        setting.parameter,
        type=kind,
        metavar="JSON" if kind is _json else None,
        default=None,
        help=_help(setting, setting.variable(model.model_config)),
    )


def _help(setting: Setting, variable: str) -> str:
    described = (setting.field.description or "").strip().rstrip(".")
    return f"{described}  [${variable}; default {_shown(setting.default)}]".strip()


def _shown(default: Any) -> str:
    if default is PydanticUndefined:
        return "none, must be given"
    if default is None or default in ((), [], {}, frozenset()):
        return "none"
    if is_dataclass(default) and not isinstance(default, type):
        said = {name: value for name, value in asdict(default).items() if value is not None}
        return json.dumps(said, default=str)
    return str(default.value) if isinstance(default, Enum) else str(default)


def _type_of(annotation: Any) -> click.ParamType[Any] | Callable[[str], Any]:
    """The flag's type: exact for plain types, JSON for everything with structure."""
    inner = _without_none(annotation)
    if get_origin(inner) is Literal:
        return click.Choice([str(value) for value in get_args(inner)])
    if isinstance(inner, type) and issubclass(inner, Enum):
        return click.Choice([str(member.value) for member in inner])
    return _SIMPLE.get(inner, _json)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON ({error})") from error


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _put(arguments: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        arguments = arguments.setdefault(name, {})
    arguments[path[-1]] = value


def _complaints(model: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    leaves = {setting.path: setting for setting in settings_of(model)}
    for one in error.errors():
        message = str(one["msg"]).removeprefix("Value error, ")
        path = tuple(str(step) for step in one["loc"])
        setting = next(
            (leaves[path[:n]] for n in range(len(path), 0, -1) if path[:n] in leaves), None
        )
        where = ".".join(path)
        if setting is None:
            yield f"{where}: {message}" if where else message
        else:
            how = f"set {setting.flag} or {setting.variable(model.model_config)}"
            yield f"{where}: {message}, not {one['input']!r}; {how}"
