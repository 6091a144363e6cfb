from __future__ import annotations

import pytest

import perennial
import perennial.client
from perennial.client import errors


def test_the_clients_are_at_the_top() -> None:
    assert perennial.Client is perennial.client.Client
    assert perennial.AsyncClient is perennial.client.AsyncClient
    with pytest.raises(AttributeError, match="Server"):
        perennial.Server  # noqa: B018


def test_every_error_and_every_exported_name_is_there_and_sorted() -> None:
    assert perennial.client.__all__ == sorted(perennial.client.__all__)
    exported = {getattr(perennial.client, name) for name in perennial.client.__all__}
    ours = {one for one in vars(errors).values() if isinstance(one, type) and _is_ours(one)}
    assert ours <= exported


def test_the_tree_at_the_head_of_the_errors_names_every_error() -> None:
    drawn = {word for word in (errors.__doc__ or "").replace("─", " ").split() if word.isalpha()}
    assert {
        name for name, one in vars(errors).items() if isinstance(one, type) and _is_ours(one)
    } <= drawn


def _is_ours(one: type) -> bool:
    return issubclass(one, errors.PerennialError)
