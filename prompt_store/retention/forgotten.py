"""What was erased because of a `forget`, and when: told for ever, by numbers only.

forgotten/<n>/<top>.plan.json    before versions up to <top> are dropped for forget <n>, until
                                 all that only they named is erased
forgotten/<n>/<top>.json         the report, once it is
"""

from contextlib import suppress
from datetime import datetime

from prompt_store.backends.base import Backend, contents
from prompt_store.errors import AlreadyExists, NotFound
from prompt_store.fields import Count, Digest, Moment, Number
from prompt_store.records import Record, decode, encode
from prompt_store.store import FORGOTTEN

_PLAN = ".plan.json"
_REPORT = ".json"


class Forgotten(Record):
    """forget: number of the `forget`; versions: those dropped for it; erased_at: None until then.

    blobs, bytes: what only these versions named, examples and statistics among it; named_again:
    those of the blobs that somebody has put and named again since; planned_at: when the versions
    were dropped, so that the blobs go a grace period later
    """

    forget: Number
    planned_at: Moment
    versions: tuple[Number, ...]
    blobs: Count
    bytes: Count
    named_again: Count = 0
    erased_at: Moment | None = None

    @property
    def top(self) -> int:
        """The newest version that was dropped for it, 0 where none was there any more."""
        return max(self.versions, default=0)


class Plan(Forgotten):
    """The same while it is under way. digests: the blobs."""

    digests: tuple[Digest, ...]

    def done(self, at: datetime, named_again: int) -> Forgotten:
        """The report that stays: it names nothing of what was forgotten."""
        told = {name: getattr(self, name) for name in Forgotten.model_fields}
        return Forgotten(**{**told, "erased_at": at, "named_again": named_again})


class Plans:
    """The folder `forgotten/`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def forgets(self) -> set[int]:
        """Return the number of every `forget` that something was planned or reported for."""
        folders = {key.split("/")[1] for key in self._backend.list_after(FORGOTTEN)}
        return {int(name) for name in folders if name.isdigit()}

    def is_known(self, forget: int) -> bool:
        """Whether anything was planned or reported for a `forget`."""
        return any(True for _ in self._backend.list_after(_folder(forget)))

    def add(self, plan: Plan) -> None:
        """Before its versions are dropped."""
        with suppress(AlreadyExists):
            self._backend.create(_key(plan, _PLAN), encode(plan))

    def open(self) -> list[Plan]:
        """Those under way, the oldest first."""
        keys = (key for key in self._backend.list_after(FORGOTTEN) if key.endswith(_PLAN))
        found = []
        for key in keys:
            with suppress(NotFound):
                found.append(decode(Plan, self._backend.read(key), key))
        return found

    def close(self, plan: Plan, at: datetime, named_again: int) -> None:
        """Report it; the plan, which knows digests, goes."""
        with suppress(AlreadyExists):
            self._backend.create(_key(plan, _REPORT), encode(plan.done(at, named_again)))
        self._backend.delete(_key(plan, _PLAN))


def forgotten_reports(backend: Backend) -> list[Forgotten]:
    """What was and what will be erased, by `forget`, the oldest first."""
    found: dict[tuple[int, int], Forgotten] = {}
    for key, data in contents(backend, FORGOTTEN):
        report = decode(Forgotten, data, key)
        known = found.get((report.forget, report.top))
        if known is None or known.erased_at is None:
            found[report.forget, report.top] = report
    return [found[key] for key in sorted(found)]


def _folder(forget: int) -> str:
    return f"{FORGOTTEN}{forget:020d}/"


def _key(plan: Plan, kind: str) -> str:
    return f"{_folder(plan.forget)}{plan.top:020d}{kind}"
