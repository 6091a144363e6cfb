"""`perennial serve`"""

from __future__ import annotations

import signal
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from perennial.cli.settings_flags import flags_of, settings_from
from perennial.cli.settings_help import SettingsCommand
from serving.settings import Settings

ENGINES = {"local": "serving.local", "ray": "serving.application"}
"""Where `run(settings, announce)` lies for each engine; imported when chosen: Ray is slow."""


@click.command(cls=SettingsCommand)
@click.option("--check", is_flag=True, help="Check the settings, print them as JSON, and end.")
@flags_of(Settings)
def serve(check: bool, **given: Any) -> None:
    """Start a server.

    A setting's value comes from the first of these that names it: flag, environment variable, the
    TOML file of --config, default.
    """
    settings = settings_from(Settings, given)
    if check:
        click.echo(settings.model_dump_json(indent=2))
        return
    _run(settings)


def _run(settings: Settings) -> None:
    """Serve until a signal ends it; what keeps it from starting becomes one clear line.

    Ctrl-C is the usual end, not a failure.
    """
    from backbones.errors import BackboneError
    from learner import spans
    from learner.errors import LearnerError
    from prompt_store.errors import StoreError

    settings.logging().begin()
    try:
        spans.begin("perennial")
        _serve_until_interrupted(settings)
    except (BackboneError, LearnerError, StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _serve_until_interrupted(settings: Settings) -> None:
    """SIGTERM ends it like Ctrl-C: uvicorn raises the signal again once it has drained."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        engine = import_module(ENGINES[settings.engine])
        engine.run(settings, announce=lambda url: click.echo(f"serving at {url}"))
