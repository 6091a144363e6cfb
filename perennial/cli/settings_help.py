"""Help for a command with a flag for every setting: in sections, the finest settings on demand."""

from __future__ import annotations

from collections.abc import Sequence

import click

_INDENT = 4  # columns: each description under its flag, for which side by side there is no room
_SHALLOW = 2  # names that lead to a setting which `--help` shows


class SettingsCommand(click.Command):
    """`--help` shows the settings and those of each group; `--help-all` what lies deeper, too."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), _HELP_ALL]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record and (_everything(ctx) or len(_path(option)) <= _SHALLOW):
                sections.setdefault(_section(option), []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records, col_max=_INDENT)


def _show_all(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        ctx.meta[_show_all.__name__] = True
        click.echo(ctx.get_help())
        ctx.exit()


def _everything(ctx: click.Context) -> bool:
    return _show_all.__name__ in ctx.meta


_HELP_ALL = click.Option(
    ["--help-all"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_all,
    help="Show the settings inside groups as well, such as those of each method, and exit.",
)


def _path(option: click.Parameter) -> Sequence[str]:
    return (option.name or "").split("__")


def _section(option: click.Parameter) -> str:
    """For instance `Options`, `limits` or `learner, gate`."""
    return ", ".join(name.replace("_", "-") for name in _path(option)[:-1]) or "Options"
