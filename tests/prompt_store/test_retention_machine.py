"""Retention against a model: what is needed is always there, and what is not goes in the end."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prompt_store import Kind, MemoryBackend, Retention, RetentionConfig, Store, audit_store
from prompt_store.intake import pending_key
from prompt_store.log import GRACE
from tests.prompt_store.drafts import Clock
from tests.prompt_store.keeping import EXAMPLES, live, references, with_image

VERSIONS = 2
CONTENT = [f"content {number}" for number in range(6)]

some = st.sampled_from(CONTENT)


class RetentionMachine(RuleBasedStateMachine):
    """Writers put the same few contents again and again, while rounds drop, condemn and erase.

    The model: the blobs of each version, and of the batches that wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.backend = MemoryBackend()
        self.store = Store.on(self.backend, clock=self.clock)
        config = RetentionConfig(versions=VERSIONS, grace_seconds=GRACE)
        self.retention = Retention(self.store, references, "examples/", config)
        self.blobs: dict[int, set[str]] = {}
        self.made: dict[int, float] = {}
        self.base: dict[int, int | None] = {}
        self.forgets: list[int] = []
        self.lived: list[int] = []
        self.waiting: dict[str, str] = {}

    @rule(seconds=st.sampled_from([60.0, 0.6 * GRACE, 1.2 * GRACE]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(most=st.sampled_from([1, 100]))
    def round(self, most: int) -> None:
        self.retention.run(most)

    @rule()
    def restart(self) -> None:
        self.store = Store(self.backend, clock=self.clock)

    @rule(data=some)
    def put(self, data: str) -> None:
        self.store.blobs.put(data.encode())

    @rule(image=some, head=some, kind=st.sampled_from([Kind.REFRESH, Kind.CANDIDATE, Kind.FORGET]))
    def append(self, image: str, head: str, kind: Kind) -> None:
        inside = self.store.blobs.put(image.encode())
        content = {EXAMPLES: self.store.blobs.put(inside.encode())}
        content["head"] = self.store.blobs.put(head.encode())
        parent = self.store.timeline().live
        version = live(self.store, kind, blobs=content)
        self._note(version, {inside, *content.values()}, parent)
        if kind is Kind.FORGET:
            self.forgets.append(version)
        if kind is not Kind.CANDIDATE:
            self.lived.append(version)

    @precondition(lambda self: self.blobs)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        kept = [m.version for m in self.store.manifests(1000)]
        source = data.draw(st.sampled_from(kept))
        version = self.store.promote(source, "operator").version
        self._note(version, self.blobs[source], source)
        self.lived.append(version)

    @precondition(lambda self: self.blobs)
    @rule(data=st.data())
    def pin(self, data: st.DataObject) -> None:
        kept = [m.version for m in self.store.manifests(1000)]
        self.store.pin(data.draw(st.sampled_from(kept)))

    @rule(number=st.integers(0, 3), image=some)
    def accept_or_settle(self, number: int, image: str) -> None:
        identifier = f"{number:026d}"
        if identifier in self.waiting:
            self.backend.delete(pending_key(identifier))  # what `settle` does in the end
            del self.waiting[identifier]
        else:
            self.waiting[identifier] = self.store.blobs.put(image.encode())
            self.store.intake.accept(with_image(identifier, self.waiting[identifier]))

    @invariant()
    def what_is_named_is_there(self) -> None:
        kept = [m.version for m in self.store.manifests(1000)]
        named = set().union(self.waiting.values(), *(self.blobs[version] for version in kept))
        for digest in named:
            assert self.store.blobs.get(digest)

    @invariant()
    def what_must_stay_stays(self) -> None:
        kept = {m.version for m in self.store.manifests(1000)}
        assert set(self.lived[-1:]) <= kept
        young = {v for v, made in self.made.items() if self.clock.now - made < GRACE}
        newest = {v for v in self.lived[-VERSIONS:] if not any(map(self._ends(v), self.forgets))}
        pinned = {v for v in self.store.pins.all() if not any(map(self._ends(v), self.forgets))}
        assert young | newest | pinned <= kept

    def teardown(self) -> None:
        """All that is old goes once the log has moved on, and nothing else."""
        for _ in range(5):
            self.append(CONTENT[0], CONTENT[0], Kind.REFRESH)
            self.clock.now += 1.2 * GRACE
            while self.retention.run().more:
                pass
        kept = {m.version for m in self.store.manifests(1000)}
        audit = audit_store(self.backend, references)
        assert (audit.faults, audit.orphans) == ((), ())
        held = {self.store.timeline().lineage}
        for version in kept - held:
            assert not any(version < forget for forget in self.forgets)
            assert version >= self.lived[-VERSIONS] or version in self.store.pins.all()

    def _note(self, version: int, blobs: set[str], base: int | None) -> None:
        self.blobs[version], self.made[version] = blobs, self.clock.now
        self.base[version] = base

    def _ends(self, version: int) -> Callable[[int], bool]:
        """Whether a forget ends it: it, or what its content comes from, is older."""

        def ends(forget: int) -> bool:
            one: int | None = version
            while one is not None and one > forget:
                one = self.base[one]
            return one is not None and one < forget

        return ends


RetentionMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None
)
TestRetentionMachine = RetentionMachine.TestCase
