"""May what is live be served in int8? Its kept examples say.

What fp32 sees in them is known. The int8 engine looks at them too, under the prompts of their
domains, some at a time; what it saw is good for later versions under the same prompts. The head
that serves was fitted on these very rows, and would say too little. So heads are fitted on what
fp32 sees in some folds of a domain's rows, and answer the others as either engine sees them. They
are LDA on the last layer: cheap, and it is there that all rounding has added up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backbones import Backbone, Bank, Prefix
from learner.arrays import FloatArray, IntArray
from learner.content import DOMAIN_PREFIX
from learner.domains.router import DomainRouter
from learner.encoding import ExampleEncoder
from learner.examples import pick_spread
from learner.heads.folds import Folds
from learner.heads.lda import fit_lda
from learner.knowledge import Knowledge
from learner.statistics import ClassStatistics
from learner.trial import Field, field_of
from prompt_store import Int8Verdict, Manifest, StoreError

log = logging.getLogger(__name__)

LOSS: Final = 0.005
"""Accuracy that int8 may cost."""
FEWEST: Final = 200
"""Below so many rows nobody can tell half a point."""
JUDGES: Final = 2048
"""Rows that judge, at most. Of 512 chance alone moves the difference by half a point."""
FOLDS: Final = 5
LOOK: Final = 256
"""Rows that int8 looks at before the learner turns to what else waits."""
ELSEWHERE: Final = -1
"""The answer to a row that is routed to another domain."""

Key = tuple[str, str, str]
"""Digest of the prompt, batch and id: they decide what int8 sees."""


@dataclass(frozen=True, eq=False)
class Exam:
    """One domain. folds: of its rows; keys: of the n that judge."""

    place: int
    prompt: Prefix | None
    field: Field
    folds: Folds
    keys: Sequence[Key]


class Int8Judge:
    """Compares an int8 engine with fp32 on what versions keep."""

    def __init__(self, int8: Backbone, encoder: ExampleEncoder) -> None:
        """int8: that replicas serve with;  encoder: of the same backbone, to read the examples."""
        self._int8: Final = int8
        self._encoder: Final = encoder
        self._first: Final = int8.description.first_prompted
        self._seen: dict[Key, FloatArray] = {}  # (first_prompted + 2, D): lower states, the last

    def has_judged(self, version: Manifest) -> bool:
        """Whether a version says how it does with this engine."""
        engine = self._int8.description.fingerprint
        return version.int8 is not None and version.int8.engine == engine

    def judge(self, version: Manifest, knowledge: Knowledge) -> Int8Verdict | None:
        """The verdict on a version whose knowledge this is; None: call again, it takes more looks.

        What goes wrong is a refusal. Raises StoreError, OSError, MemoryError.
        """
        try:
            return self._judge(version, knowledge)
        except (StoreError, OSError, MemoryError):
            raise
        except Exception as error:
            log.exception("version %d cannot be judged in int8", version.version)
            return self._verdict(f"it could not be tried: {type(error).__name__}: {error}", 0)

    def _judge(self, version: Manifest, knowledge: Knowledge) -> Int8Verdict | None:
        exams = _exams(version, knowledge)
        rows = sum(len(exam.keys) for exam in exams)
        if rows < FEWEST:
            return self._verdict(f"{rows} examples to judge it by, {FEWEST} are needed", rows)
        if not self._looked(exams):
            return None
        outcomes = [self._compared(exam, knowledge.router) for exam in exams if exam.keys]
        fp32, int8, alike = np.concatenate(outcomes, axis=1).sum(axis=1).tolist()
        accepted = fp32 - int8 <= LOSS * rows
        return self._verdict(
            f"right on {int8} of {rows} held-out examples, fp32 on {fp32}; "
            f"{'no' if accepted else 'that is'} more than {100 * LOSS:g} points less",
            rows,
            accepted=accepted,
            accuracy={"fp32": round(fp32 / rows, 6), "int8": round(int8 / rows, 6)},
            agreement=round(alike / rows, 6),
        )

    def _looked(self, exams: Sequence[Exam]) -> bool:
        """Whether int8 has seen all that is asked; if not, it looks at some more."""
        wanted = [key for exam in exams for key in exam.keys]
        self._seen = {key: self._seen[key] for key in wanted if key in self._seen}
        for exam in exams:
            missing = [i for i, key in enumerate(exam.keys) if key not in self._seen][:LOOK]
            if missing:
                looked = self._look(exam, missing)
                self._seen |= {exam.keys[i]: one for i, one in zip(missing, looked, strict=True)}
                return False
        return True

    def _look(self, exam: Exam, judges: Sequence[int]) -> FloatArray:
        """(m, first_prompted + 2, D) as int8 sees m of the rows that judge."""
        rows = [exam.field.rows[i] for i in exam.folds.judged[judges]]
        bank = None if exam.prompt is None else Bank.stack([exam.prompt])
        states = self._int8.encode_layers(self._encoder.preprocess(rows), bank)
        return np.concatenate([states.lower(self._first), states.pooled[:, -1:]], axis=1)

    def _compared(self, exam: Exam, router: DomainRouter | None) -> NDArray[np.bool_]:
        """(3, n) of the rows that judge: fp32 is right, int8 is right, they agree."""
        live, judged = exam.field.live, exam.folds.judged
        int8 = np.stack([self._seen[key] for key in exam.keys])
        features = np.stack([live.features[judged], int8[:, -1]])
        answers = _answers(exam, features)
        if router is not None:
            lower = live.lower(self._first)[judged], int8[:, :-1]
            found = np.stack([router.scores(one).argmax(axis=1) for one in lower])
            answers = np.where(found == exam.place, answers, ELSEWHERE)
        truth = exam.field.targets[judged]
        return np.stack([answers[0] == truth, answers[1] == truth, answers[0] == answers[1]])

    def _verdict(
        self, reason: str, rows: int, *, accepted: bool = False, **found: Any
    ) -> Int8Verdict:
        engine = self._int8.description.fingerprint
        return Int8Verdict(accepted=accepted, reason=reason, engine=engine, rows=rows, **found)


def _exams(version: Manifest, knowledge: Knowledge) -> list[Exam]:
    """One for each domain, with its share of the judges."""
    classes = max(1, len(knowledge.labels))
    exams = []
    for place, domain in enumerate(knowledge.domains):
        field = field_of(knowledge, domain.name).across()
        folds = _folds(field, JUDGES * len(field.classes) // classes)
        digest = version.blobs.get(DOMAIN_PREFIX + domain.name, "")
        rows = [field.rows[i] for i in folds.judged]
        keys = [(digest, row.batch, row.id) for row in rows]
        exams.append(Exam(place, domain.prompt, field, folds, keys))
    return exams


def _folds(field: Field, judges: int) -> Folds:
    """Of all rows; at most so many of them judge, spread evenly over the classes."""
    by_class = [np.flatnonzero(field.targets == c).tolist() for c in range(len(field.classes))]
    chosen = np.zeros(len(field.rows), dtype=bool)
    chosen[pick_spread(by_class, judges)] = True
    return Folds.stratified(field.targets, FOLDS, seed=0, most=judges, judges=chosen)


def _answers(exam: Exam, features: FloatArray) -> IntArray:
    """(E, n) classes of the rows that judge, as E engines see them: features (E, n, D)."""
    seen, targets = exam.field.live.features, exam.field.targets
    whole = ClassStatistics.of(seen, targets, exam.field.classes)
    answers = np.empty(features.shape[:2], np.int64)
    for fold in exam.folds:
        out = fold.left_out
        head = fit_lda(whole - ClassStatistics.of(seen[out], targets[out], whole.classes))
        for own, one in zip(answers, features, strict=True):
            own[fold.places] = head.log_posteriors(one[fold.places]).argmax(axis=1)
    return answers
