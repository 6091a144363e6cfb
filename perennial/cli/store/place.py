"""Which store a command works on, and one clear line where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from prompt_store import Backend, StoreError, local_folder, open_backend
from prompt_store.store import FOLDERS, FORMAT_KEY
from serving import declarations
from serving.settings import Settings

BESIDE = (declarations.FOLDER,)
"""Folders of a store that other rooms keep."""

store_option = click.option(
    "--store", "url", envvar="PERENNIAL_STORE", default=Settings.model_fields["store"].default,
    show_default=True, show_envvar=True, help="The store: a folder or a URL.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs to read."
)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the store's errors into click's: one line with a remedy, exit code 1."""
    try:
        yield
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


def new_place(url: str) -> Backend:
    """The place at `url`, made where it is none. A URL that cannot be used: exit code 2."""
    try:
        return open_backend(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def existing_place(url: str) -> Backend:
    """The place of the store at `url`. Raises ClickException where there is none; makes none."""
    folder = local_folder(url)
    if folder is None or folder.is_dir():
        place = new_place(url)
        if place.exists(FORMAT_KEY) or any(
            True for name in FOLDERS for _ in place.list_after(name)
        ):
            return place
    raise click.ClickException(f"There is no store at {url}: name one with --store.")
