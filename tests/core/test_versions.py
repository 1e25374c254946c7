"""The merge rule and the digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from kvnode.core.succession import Cut, Succession
from kvnode.core.vector import Dot, Vector, new_origin
from kvnode.core.versions import (
    DIGEST_MODULUS,
    Version,
    Versions,
    digest_change,
    fingerprint,
    merged,
)
from tests.histories import History, Made, causal_order
from tests.strategies import histories, origins, seqs, stamps, values

X, X2, Y, Z = (new_origin(name, 1, at) for at, name in enumerate(["X", "X", "Y", "Z"]))
NOTHING = Succession()


def version(origin: str, seq: int, stamp_us: int = 1) -> Version:
    return Version(stamp_us, origin, seq, b"value")


def put(present: Versions, row: Vector, own: Version) -> Versions:
    return merged(present, NOTHING, row, own, deleted=False)


def delete(present: Versions, row: Vector, own: Version) -> Versions:
    return merged(present, NOTHING, row, own, deleted=True)


# --- by hand


def test_a_put_replaces_what_its_author_had_seen() -> None:
    assert put((version(X, 1),), {X: 1}, version(Y, 1)) == (version(Y, 1),)


def test_a_put_leaves_concurrent_versions_as_siblings() -> None:
    assert set(put((version(X, 2),), {X: 1}, version(Y, 1))) == {version(X, 2), version(Y, 1)}


def test_a_put_settles_all_the_siblings_that_it_saw() -> None:
    siblings = (version(X, 1), version(Y, 1))
    assert put(siblings, {X: 1, Y: 1}, version(Z, 1)) == (version(Z, 1),)


def test_a_delete_of_all_that_was_seen_leaves_nothing() -> None:
    assert delete((version(X, 1),), {X: 1}, version(Y, 1)) == ()


def test_a_delete_leaves_concurrent_versions() -> None:
    present = (version(X, 2), version(X2, 1))
    assert delete(present, {X2: 1}, version(Y, 1)) == (version(X, 2),)


def test_a_delete_of_a_key_that_is_not_there_does_nothing() -> None:
    assert delete((), {}, version(X, 1)) == ()


def test_a_later_write_of_a_batch_replaces_an_earlier_one() -> None:
    assert put((version(X, 7),), {X: 6}, version(X, 8)) == (version(X, 8),)
    assert delete((version(X, 7),), {}, version(X, 8)) == ()


def test_a_row_covers_what_a_successor_in_it_implies() -> None:
    succession = Succession()
    succession.add(X2, {X: 3})
    present = (version(X, 3), version(X, 4))
    after = merged(present, succession, {X2: 1}, version(Y, 1), deleted=True)
    assert after == (version(X, 4),)


def test_the_winner_has_the_greatest_stamp_then_origin_then_seq() -> None:
    low, middle, high = version(Z, 9, 1), version(X, 1, 2), version(Y, 1, 2)
    assert put((middle, low), {}, high) == (high, middle, low)
    assert put((high, middle), {}, low) == (high, middle, low)


# --- against an oracle that knows the true past of every write


class Told(NamedTuple):
    """One change and its causal past, earlier writes of its batch included."""

    dot: Dot
    key: bytes
    is_put: bool
    past: frozenset[Dot]


def told(history: History) -> list[Told]:
    found = []
    for batch, _, past in history.made:
        for seq, write in enumerate(batch.writes, batch.first):
            dot = Dot(batch.origin, seq)
            found += [Told(dot, key, value is not None, past) for key, value, _ in write]
            past |= {dot}
    return found


def survivors(history: History) -> dict[bytes, set[Dot]]:
    """A version survives iff no write to its key has it in its past."""
    changes = told(history)
    left: dict[bytes, set[Dot]] = {}
    for change in changes:
        replaced = any(change.key == other.key and change.dot in other.past for other in changes)
        if change.is_put and not replaced:
            left.setdefault(change.key, set()).add(change.dot)
    return left


class Table:
    """A table that delivers batches as the replica does."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Versions] = {}
        self.digest = 0
        self.cut = Cut(Succession())

    def deliver(self, made: Made) -> None:
        batch = made.batch
        for seq, write in enumerate(batch.writes, batch.first):
            for key, value, _ in write:
                before = self.entries.get(key, ())
                own = Version(batch.stamp_us, batch.origin, seq, value or b"")
                succession, deleted = self.cut.succession, value is None
                after = merged(before, succession, made.row, own, deleted=deleted)
                self.digest = (self.digest + digest_change(key, before, after)) % DIGEST_MODULUS
                self.entries[key] = after
                if not after:
                    del self.entries[key]
        self.cut.advance(batch.origin, batch.last, made.ends)

    def recomputed(self) -> int:
        live = [(key, version) for key, versions in self.entries.items() for version in versions]
        return sum(fingerprint(key, version) for key, version in live) % DIGEST_MODULUS


def delivered(order: Sequence[Made]) -> Table:
    table = Table()
    for made in order:
        table.deliver(made)
    return table


@given(histories(), st.integers())
def test_what_no_write_had_seen_survives_and_nothing_else(history: History, seed: int) -> None:
    table = delivered(causal_order(history.made, seed))
    dots = {key: {Dot(v.origin, v.seq) for v in table.entries[key]} for key in table.entries}
    assert dots == survivors(history)


@given(histories(), st.integers(), st.integers())
def test_any_two_causal_orders_end_in_the_same_state(history, seed, other_seed) -> None:
    one = delivered(causal_order(history.made, seed))
    other = delivered(causal_order(history.made, other_seed))
    assert one.entries == other.entries
    assert one.digest == other.digest


@given(histories(), st.integers())
def test_the_winner_comes_first(history: History, seed: int) -> None:
    for versions in delivered(causal_order(history.made, seed)).entries.values():
        assert list(versions) == sorted(versions, key=lambda v: v[:3], reverse=True)


@given(histories(), st.integers())
def test_the_running_digest_is_that_of_the_live_versions(history: History, seed: int) -> None:
    table = Table()
    for made in causal_order(history.made, seed):
        table.deliver(made)
        assert table.digest == table.recomputed()


# --- fingerprints


@given(
    st.sampled_from([b"k", b"key"]), st.builds(Version, stamps, origins, seqs, values, st.none())
)
def test_every_part_of_a_version_counts_in_its_fingerprint(key: bytes, one: Version) -> None:
    shifted = key[-1:].decode() + one.origin[:-1]
    others = [
        (key + b"x", one),
        (key, one._replace(stamp_us=one.stamp_us + 1)),
        (key, one._replace(origin="x" + one.origin)),
        (key, one._replace(seq=one.seq + 1)),
        (key, one._replace(value=one.value + b"x")),
        (key + one.origin[:1].encode(), one._replace(origin=one.origin[1:])),
        (key, one._replace(origin=one.origin[:-1], value=one.origin[-1:].encode() + one.value)),
        (key[:-1], one._replace(origin=shifted, value=one.origin[-1:].encode() + one.value)),
    ]
    prints = {fingerprint(*other) for other in [(key, one), *others]}
    assert len(prints) == 1 + len(others)
    assert all(0 <= each < DIGEST_MODULUS for each in prints)


def test_what_will_expire_counts_nothing() -> None:
    expiring, lasts = version(X, 2)._replace(expires_us=9), version(X, 1)
    assert fingerprint(b"key", expiring) == 0
    assert digest_change(b"key", (), (expiring,)) == 0
    assert digest_change(b"key", (lasts,), (expiring,)) == -fingerprint(b"key", lasts)


def test_an_unchanged_version_changes_no_digest() -> None:
    kept, gone = version(X, 1), version(Y, 1)
    assert digest_change(b"key", (kept, gone), (kept,)) == -fingerprint(b"key", gone)
    assert digest_change(b"key", (kept,), (kept,)) == 0


def test_a_fingerprint_stays_as_it_is() -> None:
    """Nodes of different releases compare their digests."""
    expected = 0x13071B40A4D14FBCA3FEB444C22C8CB1
    assert fingerprint(b"key", Version(7, "X~0000001000000001", 3, b"value")) == expected
