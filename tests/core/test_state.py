"""The state: how writes change it, and what a commit is to save of that."""

from __future__ import annotations

from kvnode.core.batch import Batch, Change, Write
from kvnode.core.chain import NO_CHAIN, chained
from kvnode.core.members import member_key
from kvnode.core.messages import Due, OriginState
from kvnode.core.once import Done
from kvnode.core.state import State
from kvnode.core.truncation import Logged
from kvnode.core.vector import new_origin
from kvnode.core.versions import DIGEST_MODULUS, Version, Versions, fingerprint
from kvnode.storage.memory import MemoryDisk, MemoryStore

X, Y, Y2 = (new_origin(name, 1, at) for at, name in enumerate(["X", "Y", "Y"]))
#: Of batches without any bytes.
CHAIN = chained(b"")
STORE = MemoryStore(MemoryDisk())


class Story(State):
    """A state over an empty table; it notes which member records change."""

    def __init__(self, store: MemoryStore = STORE) -> None:
        self.records: list[tuple[bytes, Versions, str]] = []
        self.store = store
        super().__init__(store.load(), store, lambda *it: self.records.append(it))

    def commit_turn(self) -> None:
        """Save what the turn has changed; another begins."""
        commit = self.commit(Done(self.store, 9), 9)
        assert commit is not None
        self.store.commit(commit, sync=True)
        self.begin()


def batch(origin: str, first: int, *writes: Write, **deps: int) -> Batch:
    named = {{"X": X, "Y": Y}[name]: seq for name, seq in deps.items()}
    return Batch(origin, first, named, 10 * first, writes, b"")


def put(key: str, value: str = "v", expires_us: int | None = None) -> Write:
    return (Change(key.encode(), value.encode(), expires_us),)


def test_what_a_turn_changes_is_shown_at_once_and_is_what_its_commit_saves() -> None:
    state = Story()
    state.deliver(batch(X, 1, put("a"), put("b")))
    one, other = Version(10, X, 1, b"v"), Version(10, X, 2, b"v")
    assert (state.versions(b"a"), state.versions(b"b")) == ((one,), (other,))
    commit = state.commit(Done(STORE, 9), 9)
    assert commit is not None
    assert commit.table == {b"a": (one,), b"b": (other,)}
    assert commit.origins == {X: OriginState(2, 10, {}, {}, CHAIN)}
    prints = (fingerprint(key, it) for key, (it,) in commit.table.items())
    assert commit.digest == sum(prints) % DIGEST_MODULUS
    state.begin()
    assert state.commit(Done(STORE, 9), 9) is None, "nothing came since"


def test_a_row_grows_by_what_each_batch_of_its_origin_brings() -> None:
    state = Story()
    for it in (batch(X, 1, put("a")), batch(Y, 1, put("a"), X=1), batch(X, 2, put("a"))):
        state.deliver(it)
    state.deliver(batch(Y, 2, put("b"), X=2))
    state.deliver(batch(Y, 3, put("b")))
    assert state.origins[Y].row == {X: 2, Y: 2}


def test_the_first_batch_of_an_incarnation_ends_those_before() -> None:
    state = Story()
    state.deliver(batch(Y, 1, put("a")))
    state.deliver(batch(Y2, 1, put("a"), Y=1))
    state.deliver(batch(Y2, 2, put("a")))
    assert state.origins[Y2].ends == {Y: 1}
    assert state.cut.heads == {Y2: 2}


def test_what_expires_is_due_until_it_is_replaced() -> None:
    state = Story()
    state.deliver(batch(X, 1, put("a", expires_us=5), put("b", expires_us=6)))
    state.deliver(batch(X, 3, put("a"), put("c")))
    assert state.due == {Due(5, b"a"): False, Due(6, b"b"): True}
    prints = (fingerprint(key, state.versions(key)[0]) for key in (b"a", b"c"))
    assert state.digest == sum(prints) % DIGEST_MODULUS, "what expires counts nothing"


def test_a_change_of_a_member_record_is_told_with_who_made_it() -> None:
    state, key = Story(), member_key(Y)
    state.deliver(batch(Y, 1, (Change(key, b"there"),), put("a")))
    state.deliver(batch(X, 1, (Change(key, None),), Y=1))
    assert state.records == [(key, (Version(10, Y, 1, b"there"),), Y), (key, (), X)]


# --- incarnations that were ended


def test_of_an_incarnation_that_was_ended_nothing_but_its_entry_stays_in_memory() -> None:
    state = Story(MemoryStore(MemoryDisk()))
    for it in (batch(Y, 1, put("a")), batch(X, 1, put("a"), Y=1), batch(Y, 2, put("a"), X=1)):
        state.deliver(it)
    state.commit_turn()
    assert state.origins.keys() == {X, Y}
    state.deliver(batch(Y2, 1, put("a"), Y=2, X=1))
    state.commit_turn()
    assert state.origins.keys() == {X, Y2}
    assert state.cut.entries == {X: 1, Y: 2, Y2: 1}
    assert state.store.load().origins[Y] == OriginState(2, 20, {X: 1, Y: 1}, {}, CHAIN)
    assert Story(state.store).origins == state.origins, "nor after a restart"


def test_if_a_copy_goes_on_beyond_the_end_what_it_had_seen_is_found_on_disk() -> None:
    """Y's second batch names only what came since its first. What that had seen, a key of X, it
    replaces; what nobody of its name had seen it does not."""
    disk = MemoryDisk()
    state = Story(MemoryStore(disk))
    for it in (batch(X, 1, put("a")), batch(Y, 1, put("b"), X=1)):
        state.deliver(it)
    state.deliver(batch(Y2, 1, put("c"), Y=1, X=1))
    state.deliver(batch(X, 2, put("d")))
    state.commit_turn()
    for going_on in (state, Story(MemoryStore(disk))):
        for key in "abcd":
            going_on.apply(put(key), Y, 2, 50, going_on._row_at(batch(Y, 2, put(key))))
        found = {key: [it.origin for it in going_on.versions(key.encode())] for key in "abcd"}
        assert found == {"a": [Y], "b": [Y], "c": [Y, Y2], "d": [Y, X]}


def test_two_batches_beyond_an_end_in_one_turn_follow_each_other() -> None:
    state = Story(MemoryStore(MemoryDisk()))
    for it in (batch(X, 1, put("a")), batch(Y, 1, put("b"), X=1), batch(Y2, 1, put("c"), Y=1)):
        state.deliver(it)
    state.commit_turn()
    state.deliver(batch(Y, 2, put("a")))
    state.deliver(batch(Y, 3, put("a")))
    state.commit_turn()
    assert state.store.load().origins[Y] == OriginState(3, 30, {X: 1, Y: 2}, {}, CHAIN)
    assert state.cut.heads == {X: 1, Y: 3, Y2: 1}


def test_the_floor_is_kept_in_normal_form_however_it_was_saved() -> None:
    state = Story(MemoryStore(MemoryDisk()))
    for it in (batch(Y, 1, put("a")), batch(Y2, 1, put("a"), Y=1), batch(Y2, 2, put("b"))):
        state.deliver(it)
    state.commit_turn()
    logged = [Logged(at, origin, seq, 1) for at, (origin, seq) in enumerate([(Y, 1), (Y2, 1)])]
    assert state.floor_without(logged[:1]) == {Y: 1}
    assert state.floor_without(logged) == {Y2: 1}
    state.store.drop_log(logged, {Y: 1, Y2: 1})
    again = Story(state.store)
    assert again.floor == {Y2: 1}
    assert again.reaches_log({Y2: 1}) and not again.reaches_log({Y: 1})


# --- chains


def test_the_chain_of_an_origin_is_that_of_its_last_batch_wherever_that_is_kept() -> None:
    state = Story(MemoryStore(MemoryDisk()))
    first, second = (batch(Y, seq, put("a"))._replace(encoded=b"%d" % seq) for seq in (1, 2))
    assert (state.chain_of(Y), state.known_chain_of(Y)) == (NO_CHAIN, NO_CHAIN)
    state.deliver(first)
    state.deliver(second)
    assert state.chain_of(Y) == state.known_chain_of(Y) == chained(b"2")
    state.deliver(batch(Y2, 1, put("a"), Y=2))
    state.commit_turn()
    for restored in (state, Story(state.store)):
        assert (restored.chain_of(Y), restored.chain_of(Y2)) == (chained(b"2"), CHAIN)
        assert restored.known_chain_of(Y) == NO_CHAIN, "that would be read from the disk"
