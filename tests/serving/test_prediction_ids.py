"""A prediction's id says which version said which class, and nobody else can make one."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from learner.content import class_id
from prompt_store import Manifest, Store, UnknownVersion
from serving.prediction_ids import ForeignId, predicted, prediction_id
from tests.serving.bag_of_words import BagOfWords
from tests.serving.publishing import BOTH, publish

CLASSES = [(task, label) for task, labels in BOTH.items() for label in labels]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@cache
def stored(name: str) -> Store:
    """A store with two versions of the same content."""
    store = Store.open(f"memory://prediction-ids-{name}")
    for _ in range(2):
        publish(store, BagOfWords(), BOTH)
    return store


@given(st.integers(1, 2), st.integers(0, len(CLASSES) - 1))
def test_an_id_is_read_back_and_never_the_same_twice(version: int, place: int) -> None:
    manifest = stored("a").manifest(version)
    name, again = prediction_id(manifest, place), prediction_id(manifest, place)
    assert name != again
    assert predicted(name, stored("a").manifest) == (manifest, *CLASSES[place])
    assert class_id(*CLASSES[place]) == manifest.labels[place]


@given(st.integers(0, 31), st.sampled_from(ALPHABET))
def test_an_id_of_which_a_letter_was_changed_is_refused(place: int, letter: str) -> None:
    name = prediction_id(stored("a").manifest(1), 0)
    assume(name[place] != letter)
    with pytest.raises((ForeignId, UnknownVersion)):
        predicted(f"{name[:place]}{letter}{name[place + 1 :]}", stored("a").manifest)


@given(st.text() | st.text(ALPHABET, min_size=32, max_size=32))
def test_any_other_text_is_refused(name: str) -> None:
    def any_version(_: int) -> Manifest:
        return stored("a").manifest(1)

    with pytest.raises(ForeignId):
        predicted(name, any_version)


def test_ids_of_another_store_are_refused_though_it_has_the_same_content() -> None:
    name = prediction_id(stored("b").manifest(2), 3)
    with pytest.raises(ForeignId):
        predicted(name, stored("a").manifest)
