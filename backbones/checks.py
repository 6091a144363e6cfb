"""What every backbone must do: the conformance suite of this room.

`check_backbone` raises AssertionError with the promise that was broken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from backbones.arrays import FloatArray
from backbones.bank import NEVER, Bank
from backbones.description import Description
from backbones.errors import RoutingUnavailable
from backbones.inputs import Input, Preprocessed
from backbones.prefix import Prefix
from backbones.protocol import Backbone, TrainableBackbone
from backbones.router import Router

CLOSE: Final = 1e-5
"""Largest difference between two ways to compute the same feature in fp32."""

SAME: Final = 1e-6
"""Largest difference between a row that was routed to and the same row named."""


def random_prefix(description: Description, length: int, seed: int, scale: float = 0.3) -> Prefix:
    """A prefix of Gaussian rows and biases, for tests."""
    draw = np.random.default_rng(seed)
    shape = description.prefix_shape(length)
    return Prefix(
        scale * draw.standard_normal(shape, np.float32),
        0.1 * draw.standard_normal((shape[0], shape[2], length), np.float32),
    )


def random_bank(description: Description, seed: int) -> Bank:
    """A bank whose first row is empty, the others of several lengths."""
    lengths = (0, 1, 4, 2)
    return Bank.stack([random_prefix(description, n, seed + n) for n in lengths])


def check_backbone(
    backbone: Backbone,
    inputs: Sequence[Input],
    plain: Callable[[Preprocessed], FloatArray] | None = None,
) -> None:
    """All promises of `Backbone`, on `inputs` (at least four, of different lengths).

    plain: features of the untouched model; to be equalled bit by bit where it is given
    """
    batch = backbone.preprocess(inputs)
    check_plain(backbone, batch, plain)
    check_unit_length(backbone, batch)
    check_silent_prefix(backbone, batch)
    check_mixed_rows(backbone, batch)
    check_padding(backbone, batch)
    check_threads(backbone, batch)
    check_layers(backbone, batch)
    check_routing(backbone, batch)
    check_several_routers(backbone, batch)


def check_same(one: Backbone, other: Backbone, inputs: Sequence[Input]) -> None:
    """Two engines read the same of `inputs`, and see the same in every layer up to rounding."""
    assert replace(other.description, name=one.description.name) == one.description
    batch, again = one.preprocess(inputs), other.preprocess(inputs)
    assert batch.fields.keys() == again.fields.keys(), "different fields"
    for name, arrays in batch.fields.items():
        assert all(map(np.array_equal, arrays, again.fields[name])), f"different {name}"
    bank = random_bank(one.description, 3)
    rows = np.arange(len(batch)) % len(bank)
    seen, seen_again = (engine.encode_layers(batch, bank, rows) for engine in (one, other))
    _close(seen_again.pooled, seen.pooled, "layers of two engines")
    assert np.array_equal(seen_again.rows, rows), "rows of two engines"


def check_trainable(backbone: TrainableBackbone, inputs: Sequence[Input]) -> None:
    """The further promises of `TrainableBackbone` that need no gradient."""
    batch = backbone.preprocess(inputs)
    lower = backbone.lower(batch)
    prefix = random_prefix(backbone.description, 3, 5)
    for name, one in (("empty", Prefix.empty(backbone.description)), ("a random", prefix)):
        full = backbone.encode(batch, Bank.stack([one]))
        _close(backbone.encode_lower(lower, one), full, f"resumed under {name} prefix")
        upper = backbone.encode_lower_layers(lower, one)
        seen = backbone.encode_layers(batch, Bank.stack([one])).pooled
        assert lower.pooled is not None, "lower states carry what was pooled on the way"
        _close(np.concatenate([lower.pooled, upper], axis=1), seen, f"layers under {name} prefix")
        assert np.array_equal(upper[:, -1], backbone.encode_lower(lower, one)), "the last layer"
    sampled = backbone.queries(lower, prefix, per_example=2, seed=0)
    assert len(sampled) == backbone.description.prompted_layers, "one entry per prompted layer"


def check_plain(
    backbone: Backbone, batch: Preprocessed, plain: Callable[[Preprocessed], FloatArray] | None
) -> None:
    """Without a bank, and under the empty prefix, a backbone is the plain model exactly.

    Pass by pass: padding decides how a sum is rounded.
    """
    alone = backbone.encode(batch)
    empty = backbone.encode(batch, Bank.stack([Prefix.empty(backbone.description)]))
    assert np.array_equal(alone, empty), "the empty prefix changes the features"
    if plain is None:
        return
    for part in backbone.passes(batch.lengths):
        expected = plain(batch.select(part))
        assert np.array_equal(alone[part], expected), "features differ from the plain model's"


def check_unit_length(backbone: Backbone, batch: Preprocessed) -> None:
    """Features are fp32 (B, D) of length 1; no examples give no rows."""
    features = backbone.encode(batch)
    assert features.dtype == np.float32
    assert features.shape == (len(batch), backbone.description.width)
    _close(np.linalg.norm(features, axis=1), np.ones(len(batch), np.float32), "length 1")
    assert backbone.encode(batch[:0]).shape == (0, backbone.description.width)


def check_silent_prefix(backbone: Backbone, batch: Preprocessed) -> None:
    """Rows of bias NEVER are as good as absent, also beside examples whose rows are not."""
    description = backbone.description
    loud = random_prefix(description, 3, 1)
    silent = Prefix(loud.keys_values, np.full_like(loud.bias, NEVER))
    bank = Bank.stack([silent, loud])
    rows = np.arange(len(batch)) % 2
    quiet = np.flatnonzero(rows == 0)
    _close(backbone.encode(batch, bank, rows)[quiet], backbone.encode(batch)[quiet], "silent rows")


def check_mixed_rows(backbone: Backbone, batch: Preprocessed) -> None:
    """An example in a mixed batch gets what it gets alone, and prefixes do matter."""
    bank = random_bank(backbone.description, 11)
    rows = np.arange(len(batch)) % len(bank)
    mixed = backbone.encode(batch, bank, rows)
    for index, row in enumerate(rows):
        alone = backbone.encode(batch.select([index]), Bank.stack([bank.prefix(int(row))]))
        _close(mixed[index], alone[0], f"example {index} under row {row}, alone and in a batch")
    moved = np.abs(mixed - backbone.encode(batch))[rows != 0].max(axis=1)
    assert (moved > 10 * CLOSE).all(), "a prefix does not change the features"


def check_padding(backbone: Backbone, batch: Preprocessed) -> None:
    """What else is in a batch, and its order, does not matter."""
    bank = random_bank(backbone.description, 23)
    rows = np.arange(len(batch)) % len(bank)
    features = backbone.encode(batch, bank, rows)
    order = np.argsort(-batch.lengths)
    _close(backbone.encode(batch.select(order), bank, rows[order]), features[order], "reordered")
    twice = Preprocessed.concat([batch, batch])
    again = backbone.encode(twice, bank, np.concatenate([rows, rows]))
    _close(again, np.concatenate([features, features]), "repeated")


def check_threads(backbone: Backbone, batch: Preprocessed) -> None:
    """Passes under two banks at the same time do not mix."""
    banks = [random_bank(backbone.description, seed) for seed in (101, 202)]
    rows = np.full(len(batch), 2)
    expected = [backbone.encode(batch, bank, rows) for bank in banks]
    worst = [0.0, 0.0]
    together = threading.Barrier(2, timeout=120)

    def encode_often(one: int) -> None:
        for _ in range(8):
            together.wait()
            got = backbone.encode(batch, banks[one], rows)
            worst[one] = max(worst[one], float(np.abs(got - expected[one]).max()))

    threads = [threading.Thread(target=encode_often, args=(one,)) for one in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not np.allclose(expected[0], expected[1], atol=CLOSE), "the banks are too alike to tell"
    assert max(worst) <= CLOSE, f"concurrent passes mix: features differ by {max(worst):.2g}"


def random_router(states: FloatArray, rows: Sequence[int], seed: int) -> Router:
    """A router of Gaussian weights to `rows`, centred on states (B, K, D) so that it tells them."""
    shape = (*states.shape[1:], len(rows))
    weights = np.random.default_rng(seed).standard_normal(shape, np.float32)
    bias = -np.tensordot(states.mean(axis=0), weights, axes=2)
    return Router(weights, bias, np.array(rows))


def check_layers(backbone: Backbone, batch: Preprocessed) -> None:
    """Every layer's pooled state has length 1; no prefix touches the lower ones, or no row."""
    description = backbone.description
    plain = backbone.encode_layers(batch)
    bank = random_bank(description, 31)
    rows = np.arange(len(batch)) % len(bank)
    under = backbone.encode_layers(batch, bank, rows)
    for states, used in ((plain, np.zeros_like(rows)), (under, rows)):
        assert states.pooled.dtype == np.float32
        assert states.pooled.shape == (len(batch), description.layers + 1, description.width)
        norms = np.linalg.norm(states.pooled, axis=2)
        _close(norms, np.ones_like(norms), "length 1 in every layer")
        assert states.rows.tolist() == used.tolist(), "the rows named are not the rows told"
    first = description.first_prompted
    _close(under.lower(first), plain.lower(first), "below the prompts")
    assert np.array_equal(plain.features, backbone.encode(batch)), "features without a bank"
    assert np.array_equal(under.features, backbone.encode(batch, bank, rows)), "features"
    assert len(backbone.encode_layers(batch[:0])) == 0


def check_routing(backbone: Backbone, batch: Preprocessed) -> None:
    """A routed example goes where `Router.choose` says, and gets what that row gives it."""
    description = backbone.description
    states = backbone.encode_layers(batch).lower(description.first_prompted)
    router = random_router(states, (3, 1, 2), 41)
    bank = replace(random_bank(description, 43), routers=(router,))
    asked = np.full(len(batch), -1)
    chosen = router.choose(states)
    assert len(set(chosen.tolist())) > 1, "the inputs are too alike to tell routes apart"
    routed = backbone.encode_layers(batch, bank, asked)
    assert routed.rows.tolist() == chosen.tolist(), "the pass routes otherwise than numpy"
    _close(routed.features, backbone.encode(batch, bank, chosen), "routed and named", SAME)
    empty = Bank.stack([Prefix.empty(description)] * len(bank))
    nowhere = backbone.encode_layers(batch, replace(empty, routers=(router,)), asked)
    assert np.array_equal(nowhere.features, backbone.encode(batch)), "routed to empty prefixes"
    assert nowhere.rows.tolist() == chosen.tolist(), "a router of empty prefixes tells rows"
    for row in (-1, -2):
        known = bank if row == -2 else replace(bank, routers=())
        try:
            backbone.encode(batch, known, np.full(len(batch), row))
        except RoutingUnavailable:
            continue
        raise AssertionError(f"a row of {row} without its router is not refused")


def check_several_routers(backbone: Backbone, batch: Preprocessed) -> None:
    """Named and routed examples of two versions share a pass as if each were alone."""
    states = backbone.encode_layers(batch).lower(backbone.description.first_prompted)
    banks = [
        replace(random_bank(backbone.description, seed), routers=(random_router(states, r, seed),))
        for seed, r in ((51, (1, 2)), (52, (0, 3, 1)))
    ]
    both = Bank.concat(banks)
    rows = np.array([-1, -2, 5])[np.arange(len(batch)) % 3]
    mixed = backbone.encode_layers(batch, both, rows)
    for index, row in enumerate(rows.tolist()):
        own, asked, shift = (banks[0], row, 0) if row == -1 else (banks[1], -1, len(banks[0]))
        asked = asked if row < 0 else row - shift
        alone = backbone.encode_layers(batch.select([index]), own, np.array([asked]))
        assert mixed.rows[index] == alone.rows[0] + shift, f"example {index}, row {row}"
        _close(mixed.features[index], alone.features[0], f"example {index} of several versions")


def _close(got: FloatArray, expected: FloatArray, what: str, most: float = CLOSE) -> None:
    worst = float(np.abs(got - expected).max(initial=0.0))
    assert worst <= most, f"{what}: features differ by {worst:.2g}, more than {most}"
