"""The state: how writes change it, and what a commit is to save of that."""

from __future__ import annotations

from kvnode.core.batch import Batch, Change, Write
from kvnode.core.members import member_key
from kvnode.core.messages import Due, OriginState, Saved
from kvnode.core.once import Done
from kvnode.core.state import State
from kvnode.core.vector import new_origin
from kvnode.core.versions import DIGEST_MODULUS, Version, Versions, fingerprint
from kvnode.storage.memory import MemoryDisk, MemoryStore

X, Y, Y2 = (new_origin(name, 1, at) for at, name in enumerate(["X", "Y", "Y"]))
STORE = MemoryStore(MemoryDisk())


class Story(State):
    """A state over an empty table; it notes which member records change."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, Versions, str]] = []
        super().__init__(Saved({}, 0, 0), STORE, lambda *it: self.records.append(it))


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
    assert commit.origins == {X: OriginState(2, 10, {}, {})}
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
