"""What was seen, and the part of it a head looks at."""

import numpy as np
import pytest

from learner.sight import Seen
from learner.view import LAST, View, last_view, wide_view


def seen(rows: int, *, pairs: bool = False, seed: int = 0) -> Seen:
    draw = np.random.default_rng(seed)
    apart = draw.normal(size=(rows, 2, 4)).astype(np.float32) if pairs else None
    return Seen(draw.normal(size=(rows, 7, 4)).astype(np.float32), apart)


def test_joining_fills_zeros_where_no_example_is_a_pair() -> None:
    whole = Seen.concat([seen(2), seen(3, pairs=True)])
    assert whole.apart is not None
    assert len(whole) == 5
    assert not whole.apart[:2].any()
    assert whole.apart[2:].any(axis=(1, 2)).all()
    back = whole.take([4, 0])
    assert back.apart is not None
    assert np.array_equal(back.states, whole.states[[4, 0]])
    assert np.array_equal(back.apart, whole.apart[[4, 0]])
    assert Seen.concat([seen(2), seen(1)]).apart is None


def test_lower_states_and_features() -> None:
    one = seen(2)
    assert np.array_equal(one.features, one.states[:, 6])
    assert one.lower(3).shape == (2, 4, 4)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs apart as"):
        Seen(np.zeros((2, 7, 4), np.float32), np.zeros((1, 2, 4), np.float32))
    with pytest.raises(ValueError, match="no shape"):
        Seen.concat([])


def test_a_view_keeps_the_length_of_its_layers() -> None:
    one = seen(3, pairs=True)
    assert one.apart is not None
    unit = Seen(one.states / np.linalg.norm(one.states, axis=2, keepdims=True), one.apart)
    found = View((4, 5, 6))(unit)
    assert found.shape == (3, 12)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    first, second = one.apart[:, 0], one.apart[:, 1]
    wanted = np.concatenate([unit.features, 3 * np.abs(first - second), 10 * first * second], 1)
    assert np.allclose(View((6,), apart=True)(unit), wanted)
    assert np.array_equal(LAST(unit), unit.features)
    assert not View((), apart=True)(seen(2)).any()


def test_a_view_survives_its_name_and_odd_ones_are_refused() -> None:
    for view in (LAST, View((2, 4, 6)), View((6,), apart=True), View((), apart=True)):
        assert View.parse(str(view)) == view
    with pytest.raises(ValueError, match="needs a layer"):
        View(())
    with pytest.raises(ValueError, match="not all among the 7"):
        View((7,))(seen(1))


def test_wide_views_spread_over_the_depth_and_take_pairs_apart_where_there_are_any() -> None:
    texts = Seen(seen(3).states)
    pairs = Seen(texts.states, np.ones((3, 2, texts.states.shape[2]), np.float32))
    assert wide_view(texts) == View((2, 4, 6))
    assert wide_view(pairs) == View((2, 4, 6), apart=True)
    assert wide_view(pairs, pairs="joined") == View((2, 4, 6))
    assert wide_view(pairs, pairs="apart") == View((), apart=True)
    assert wide_view(texts, "upper") == View((4, 5, 6))
    assert (
        wide_view(Seen(texts.states[:, :1])) == last_view(Seen(texts.states[:, :1])) == View((0,))
    )
    assert wide_view(pairs).width(pairs) == wide_view(pairs)(pairs).shape[1]
