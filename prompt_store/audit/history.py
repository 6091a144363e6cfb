"""Whether the log is one history: no number missing, each manifest following from those before."""

from prompt_store.audit.faults import RESTORE, UNREADABLE, Faults
from prompt_store.backends.base import Backend
from prompt_store.errors import InvalidDraft, NotFound
from prompt_store.floor import Floor
from prompt_store.log import CHECKPOINTS, FLOORS, LOG, check_draft, log_key, log_number
from prompt_store.manifest import Manifest
from prompt_store.milestones import Milestones, MilestoneType, milestone_key
from prompt_store.references import Mention, named_by_manifest
from prompt_store.timeline import Timeline, fold

DERIVED = "delete it, for it is derived from the log"
BLOCKED = "restore it from a backup; nothing after it is read until then"


def read_history(backend: Backend) -> "History":
    """Read the log; again where retention has deleted from it meanwhile."""
    floors = Milestones(backend, FLOORS, Floor)
    while True:
        top = floors.newest_number()
        history = History(backend)
        if floors.newest_number() == top:
            return history


class History:
    """The log as it was read.

    head: the last number; learnt: the version that learnt each batch; named: every batch that is
    spoken of, and by which version; mentions: blobs by digest, of the newest that names them
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.faults = Faults(backend)
        self.manifests = 0
        self.learnt: dict[str, int] = {}
        self.named: dict[str, int] = {}
        self.mentions: dict[str, Mention] = {}
        # In this order: a floor lies below the checkpoints, a checkpoint at or below the head.
        floors = self._milestones(FLOORS, Floor, RESTORE)
        self._floor = floors[max(floors)] if floors else None
        self._checkpoints = self._milestones(CHECKPOINTS, Timeline, DERIVED)
        listed = self._listed()
        self.head = max(listed, default=0)
        for number in self._checkpoints:
            if number > self.head:
                self.faults.past_the_end(milestone_key(CHECKPOINTS, number), number, self.head)
        self._state = self._beginning()  # None: unknown
        for number in sorted(listed | self._filled(listed)):
            self._look_at(number)

    @property
    def readable(self) -> bool:
        """Whether no manifest is damaged or missing."""
        return not any(fault.where.startswith(LOG) for fault in self.faults)

    @property
    def whole(self) -> bool:
        """Whether all that ever was in the log was read."""
        return self.readable and self._floor is None

    def _milestones(
        self, folder: str, record_type: type[MilestoneType], remedy: str
    ) -> dict[int, MilestoneType]:
        """The readable ones by number."""
        milestones, found = Milestones(self._backend, folder, record_type), {}
        for number in milestones.numbers():
            try:
                found[number] = milestones.read(number)
            except NotFound:
                continue  # a newer one has taken its place
            except UNREADABLE as error:
                self.faults.unreadable(milestone_key(folder, number), error, remedy)
        return found

    def _listed(self) -> set[int]:
        """The numbers that are there and not past."""
        listed = set()
        for key in self._backend.list_after(LOG):
            number = _number_of(key)
            if number is None:
                self.faults.add(key, "is no manifest", "move it elsewhere")
            elif self._floor is None or not self._floor.has_retired(number):
                listed.add(number)
        return listed

    def _filled(self, listed: set[int]) -> set[int]:
        """Numbers that came while the listing was made; what is missing is noted."""
        before, kept = (self._floor.top, self._floor.kept) if self._floor else (0, ())
        for number in kept:
            if number not in listed and not self._exists(number):
                self.faults.add(log_key(number), "is missing, though retention has kept it")
        late: set[int] = set()
        for number in sorted(number for number in listed if number > before):
            while before + 1 < number and self._exists(before + 1):
                before += 1
                late.add(before)
            if before + 1 < number:
                others = f", and so are all up to {number - 1}" if before + 2 < number else ""
                self.faults.add(log_key(before + 1), f"is missing{others}", BLOCKED)
            before = number
        return late

    def _exists(self, number: int) -> bool:
        return self._backend.exists(log_key(number))

    def _beginning(self) -> Timeline | None:
        """From where on manifests can be folded."""
        if self._floor is None:
            return Timeline()
        top = self._floor.top
        above = [number for number in self._checkpoints if number >= top]
        if above:
            return self._checkpoints[min(above)]
        what = "has no checkpoint at or above it that can be read"
        self.faults.add(milestone_key(FLOORS, top), what, "restore checkpoints/ from a backup")
        return None

    def _look_at(self, number: int) -> None:
        manifest = self.faults.read(Manifest, log_key(number))
        if manifest is None:
            return
        if manifest.version != number:
            what = f"holds manifest {manifest.version}, so it was renamed or copied"
            self.faults.add(log_key(number), what, BLOCKED)
            return
        if (contradiction := self._contradiction(manifest)) is not None:
            self.faults.add(log_key(number), contradiction, "restore the store from a backup")
        self._take(manifest)
        self._advance(manifest)

    def _contradiction(self, manifest: Manifest) -> str | None:
        """What does not follow from the manifests before."""
        state = self._state
        for batch in manifest.batches:
            if batch in self.learnt:
                return f"learns batch {batch} again, after version {self.learnt[batch]}"
        if state is None or state.head != manifest.version - 1:
            return None
        if manifest.parent not in (None, state.live):
            live = f"while {state.live} was live, so two histories are mixed"
            return f"was made on top of version {manifest.parent} {live}"
        try:
            check_draft(manifest, state)
        except InvalidDraft as error:
            return f"does not follow from the log before it ({error})"
        return None

    def _take(self, manifest: Manifest) -> None:
        self.manifests += 1
        self.mentions |= named_by_manifest(manifest)
        self.learnt = dict.fromkeys(manifest.batches, manifest.version) | self.learnt
        named = (*manifest.batches, *manifest.decided, *manifest.settled)
        self.named |= dict.fromkeys(named, manifest.version)

    def _advance(self, manifest: Manifest) -> None:
        """Fold the manifest, or go on from a checkpoint where one before it could not be read."""
        number, state = manifest.version, self._state
        if state is not None and state.head < number:
            state = fold(state, manifest) if state.head == number - 1 else None
        checkpoint = self._checkpoints.get(number)
        if state is not None and state.head == number and checkpoint not in (None, state):
            key = milestone_key(CHECKPOINTS, number)
            self.faults.add(key, "says something else than the log up to there", DERIVED)
        self._state = checkpoint if state is None else state


def _number_of(key: str) -> int | None:
    try:
        number = log_number(key)
    except ValueError:
        return None
    return number if log_key(number) == key else None
