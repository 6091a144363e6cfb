"""A command group that knows its commands by address and imports only the one that is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click


class LazyGroup(click.Group):
    """A group over addresses.

    commands_at: name -> ("module:attribute", short help), in the order shown; plugins: the entry
    point group from which other distributions and rooms add commands. Their help is their address,
    so that listing them imports nothing.
    """

    def __init__(
        self,
        *args: Any,
        commands_at: Mapping[str, tuple[str, str]],
        plugins: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = dict(commands_at)
        self._plugins = plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._addresses())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self._addresses().get(cmd_name)
        return _load(cmd_name, known[0]) if known else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._addresses().items()])

    def _addresses(self) -> dict[str, tuple[str, str]]:
        added = {
            point.name: (point.value, f"Added by {point.value.split(':')[0]}.")
            for point in entry_points(group=self._plugins)
            if point.name not in self._commands_at  # our own names cannot be taken
        }
        return self._commands_at | added


def _load(name: str, address: str) -> click.Command:
    """Raises ClickException where the address leads nowhere, naming what is missing."""
    module, _, attribute = address.partition(":")
    try:
        command = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise click.ClickException(
            f"the command {name!r} cannot be loaded from {address} ({error}); "
            "install what is missing, or remove the package that adds it"
        ) from error
    if not isinstance(command, click.Command):
        raise click.ClickException(f"{address} is no command but a {type(command).__name__}")
    return command
