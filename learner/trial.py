"""A candidate's trial: the same held-out rows answered by candidate, live and frozen.

Each contender gets a head fitted on the fit rows as that contender sees them, calibrated alike, and
answers the held-out rows. In a large domain a *screening* comes first: a bounded sample, spread
evenly over classes, so that most candidates cost the same after the thirtieth task as after the
third. What passes is judged on all kept examples of the domain, which accepting must encode anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backbones import Prefix
from learner.arrays import FloatArray, IntArray
from learner.domains.rows import halves
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample, pick_spread
from learner.gate import Answered, Answers, GateConfig, Protocol, Verdict, judge
from learner.heads import HeadConfig
from learner.heads.calibration import fit_temperature
from learner.heads.head import log_softmax
from learner.heads.viewed import ViewedHead, fit_viewed
from learner.knowledge import Knowledge, under
from learner.sight import Seen

HELD_OUT_SHARE = 3
"""One in so many rows of a screening is a held-out one, where there are enough of both."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Field:
    """The rows contenders meet on: n of them, with their targets and owners.

    live, plain: what is live and the frozen backbone see in them; one object where it is the same.
    half: (n,) 0 or 1 by turns within each class, −1 for a class's only row. Some of the rows keep
    the halves they had, for prompts were trained on them.
    """

    rows: Sequence[KeptExample]
    targets: IntArray
    owners: Sequence[str]
    classes: Sequence[str]
    live: Seen
    plain: Seen
    half: IntArray

    @property
    def held_out(self) -> Mask:
        """(n,) which rows judge; heads are fitted on the others."""
        return np.array([row.held_out for row in self.rows], dtype=bool)

    def take(self, rows: Sequence[int]) -> Field:
        """Some of the rows; the classes stay."""
        chosen = list(rows)
        plain = self.plain.take(chosen)
        return Field(
            [self.rows[i] for i in chosen],
            self.targets[chosen],
            [self.owners[i] for i in chosen],
            self.classes,
            plain if self.live is self.plain else self.live.take(chosen),
            plain,
            self.half[chosen],
        )

    def across(self) -> Field:
        """The rows that can judge across halves: of classes with two at least, numbered anew."""
        chosen = np.flatnonzero(self.half >= 0)
        whole = self.take(chosen.tolist())
        known, targets = np.unique(whole.targets, return_inverse=True)
        names = [self.classes[c] for c in known.tolist()]
        return replace(whole, targets=targets.astype(np.int64), classes=names)

    def sample_across(self, budget: int) -> Field:
        """About `budget` rows, spread evenly over classes; two of each class at least."""
        columns = range(len(self.classes))
        by_class = [np.flatnonzero(self.targets == c).tolist() for c in columns]
        return self.take(pick_spread(by_class, max(budget, 2 * len(by_class))))

    def sample(self, budget: int) -> Field:
        """About `budget` rows, spread evenly over the classes, a third of them held out.

        With very many classes more: a head needs one fit row of each.
        """
        held = self.held_out
        judges = pick_spread(self._by_class(held), budget // HELD_OUT_SHARE)
        fit = pick_spread(self._by_class(~held), max(budget - len(judges), len(self.classes)))
        return self.take(sorted(fit + judges))

    def _by_class(self, wanted: Mask) -> list[list[int]]:
        columns = range(len(self.classes))
        return [np.flatnonzero((self.targets == c) & wanted).tolist() for c in columns]


@dataclass(frozen=True, eq=False)
class Trial:
    """The verdict, and the head a candidate gets if somebody promotes it by hand.

    The head is fitted on the trial's fit rows: the learner refits it on all kept examples once the
    candidate is live. temperature: what such a head needs on rows its prompt was not trained on.
    """

    verdict: Verdict
    head: ViewedHead
    temperature: float = 1.0


def field_of(knowledge: Knowledge, domain: str) -> Field:
    """All kept rows of a domain, for requests that name no task."""
    found = next(d for d in knowledge.domains if d.name == domain)
    tasks = [knowledge.tasks[name] for name in found.tasks]
    plain, targets = Seen.concat([task.plain for task in tasks]), knowledge.targets(found)
    return Field(
        [row for task in tasks for row in task.examples.rows],
        targets,
        [name for name in found.tasks for _ in knowledge.tasks[name].examples.rows],
        knowledge.labels_of(found.tasks),
        plain if found.prompt is None else knowledge.seen(found),
        plain,
        halves(targets),
    )


def field_of_task(knowledge: Knowledge, name: str) -> Field:
    """The kept rows of one task, for requests that name it."""
    task, labels = knowledge.tasks[name], knowledge.labels_of([name])
    rows = task.examples.rows
    live = task.plain if task.upper is None and task.own is None else task.seen_alone
    owners, targets = [name] * len(rows), task.targets
    return Field(rows, targets, owners, labels, live, task.plain, halves(targets))


def try_prompt(
    field: Field, candidate: Prefix, encoder: ExampleEncoder, head: HeadConfig, gate: GateConfig
) -> Trial:
    """A prompt's trial on the rows of a field, which are encoded under it."""
    return compare(
        field, under(field.plain, encoder.upper(field.rows, candidate)), head, gate, "task named"
    )


def screen(
    field: Field, candidate: Prefix, encoder: ExampleEncoder, head: HeadConfig, gate: GateConfig
) -> Trial:
    """A cheap trial on a sample, at the looser level and with simple heads."""
    sample = field.sample(gate.rows)
    seen = under(sample.plain, encoder.upper(sample.rows, candidate))
    return compare(sample, seen, screening_head(head), gate.for_screening, "no task named")


def screening_head(head: HeadConfig) -> HeadConfig:
    """Ridge on the last layer for every contender: choosing would cost more with every class."""
    return replace(head, kind="ridge", views="last")


def compare(
    field: Field, candidate: Seen, head: HeadConfig, gate: GateConfig, protocol: Protocol
) -> Trial:
    """Judge a candidate by what it sees in the rows of a field."""
    held = field.held_out
    fitted, answered = _answer(field, candidate, head)
    live = _answer(field, field.live, head)[1]
    frozen = live if field.live is field.plain else _answer(field, field.plain, head)[1]
    owners = [owner for owner, judges in zip(field.owners, held, strict=True) if judges]
    return Trial(judge(Answers(answered, live, frozen), owners, protocol, gate), fitted)


def compare_across(
    field: Field, candidates: tuple[Seen, Seen], head: HeadConfig, gate: GateConfig
) -> Trial:
    """Judge a candidate that was trained in halves, by every row: those of the other half.

    candidates: what the prompts of half 0 and of half 1 see in all rows of the field.
    """
    fitted, answered, temperature = _answer_across(field, candidates, head)
    _, live, _ = _answer_across(field, (field.live, field.live), head)
    frozen = live
    if field.live is not field.plain:
        _, frozen, _ = _answer_across(field, (field.plain, field.plain), head)
    answers = Answers(answered, live, frozen)
    verdict = judge(answers, field.owners, "no task named", gate)
    return Trial(verdict, fitted, temperature)


def _answer_across(
    field: Field, seen: tuple[Seen, Seen], head: HeadConfig
) -> tuple[ViewedHead, Answered, float]:
    """The rows of each half as the other half's prompt sees them, and what its head makes of them.

    Heads are fitted on rows of both halves, as they will serve, but never on the row they answer.
    All answers share one temperature, fitted on them, for every contender alike. The last of what
    is returned says how much higher it is than that of rows a prompt was trained on.
    """
    everything = replace(head, judged_rows=max(head.judged_rows, len(field.rows)))
    fits = [
        fit_viewed(one, field.targets, field.classes, everything)
        for one in (seen[:1] if seen[0] is seen[1] else seen)
    ]
    first, second = fits[0].held_out, fits[-1].held_out
    assert first is not None, "every class has two rows at least"
    assert second is not None, "every class has two rows at least"
    other = (field.half == 1)[:, None]
    answered, temperature = _cooled(np.where(other, first, second), field.targets)
    taught = fit_temperature(np.where(other, second, first), field.targets)
    return fits[0].head, answered, temperature / taught


def _answer(field: Field, seen: Seen, head: HeadConfig) -> tuple[ViewedHead, Answered]:
    """A head fitted on the fit rows, and its answers to the held-out ones.

    Its temperature is fitted on the held-out rows, for every contender alike: a prompt has seen the
    fit rows, so they would make it surer than it may be.
    """
    held = field.held_out
    fit = np.flatnonzero(~held)
    fitted = fit_viewed(seen.take(fit), field.targets[fit], field.classes, head).head
    if not held.any():
        return fitted, Answered(np.zeros(0), np.zeros(0, dtype=bool))
    scores, targets = fitted.log_posteriors(seen.take(np.flatnonzero(held))), field.targets[held]
    return fitted, _cooled(scores, targets)[0]


def _cooled(scores: FloatArray, targets: IntArray) -> tuple[Answered, float]:
    """Answers at the temperature that suits them, and that temperature."""
    temperature = fit_temperature(scores, targets)
    return Answered.of(log_softmax(scores / np.float32(temperature)), targets), temperature
