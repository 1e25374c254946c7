"""Mending: a machine that went back in time has what it would have, had it begun anew when it did.

A history is made twice, on two disks: once as it was, then mended, and once by a node that opened
the new incarnation where the two pasts part.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.core.chain import chained, check_in, check_of
from kvnode.core.mending import are_all
from kvnode.core.messages import Commit, OwnPast
from kvnode.core.renaming import Renamed, renamed_key
from kvnode.core.succession import ends_of
from kvnode.core.vector import Dot, new_origin
from kvnode.storage.soundness import examined
from tests.core.parted import (
    OPENS,
    WALL_US,
    Disk,
    H,
    J,
    K,
    L,
    Made,
    Y,
    as_it_was,
    compared,
    delete,
    put,
    random_made,
    settled,
    v,
    y,
)

# --- it is as if it had begun anew


@settings(max_examples=150)
@given(st.integers(0, 1 << 32), st.integers(1, 14))
def test_a_mended_disk_is_that_of_a_node_that_began_anew(seed: int, length: int) -> None:
    both = compared(random_made(seed, length, opens=0))
    if both is None:
        return
    was, would_be, _ = both
    assert settled(was) == settled(would_be)
    assert [it.deps for it in was.log()] == [it.deps for it in would_be.log()]
    assert examined(was.disk).problems == []


@settings(max_examples=150)
@given(st.integers(0, 1 << 32), st.integers(1, 14), st.integers(1, 2))
def test_so_it_is_where_later_incarnations_were_opened_but_for_what_batches_name_again(
    seed: int, length: int, opens: int
) -> None:
    """The first batch of each of these named all that it came after."""
    both = compared(random_made(seed, length, opens))
    if both is None:
        return
    was, would_be, _ = both
    assert settled(was) == settled(would_be)
    assert examined(was.disk).problems == []


@settings(max_examples=100)
@given(st.integers(0, 1 << 32), st.integers(1, 14), st.integers(0, 2))
def test_whoever_delivers_a_mended_log_has_the_same_state(
    seed: int, length: int, opens: int
) -> None:
    """Its chains are whole, too: no batch is of another branch."""
    both = compared(random_made(seed, length, opens))
    if both is None:
        return
    was, _, _ = both
    other = Disk()
    for batch in was.log():
        stands = other.state.chain_of(batch.origin)
        ends = ends_of(batch.origin, batch.deps)
        if batch.first == 1 and len(ends) == 1:
            stands = other.state.chain_of(*ends)
        if stands:
            assert batch.previous == stands
        other.delivers(batch)
    assert other.store.load().origins == was.store.load().origins
    assert other.store.load().digest == was.store.load().digest
    for family in ("table0", "due0", "log", "index"):
        assert other.disk.families[family] == was.disk.families[family], family


def test_where_nobody_else_wrote_since_it_is_so_to_the_byte() -> None:
    """Else a check is unknown: that of what stood there when the new incarnation began."""
    made = Made((y(put("a")), v(put("a"))), (v(put("b")), v(put("c"), delete("a"))), shared=1)
    both = compared(made)
    assert both is not None
    was, would_be, _ = both
    for family in ("table0", "due0", "log", "index"):
        assert was.disk.families[family] == would_be.disk.families[family], family
    mine, theirs = (dict(it.disk.families["meta"]) for it in (was, would_be))
    del mine[b"own"], theirs[b"own"]
    assert mine == theirs


# --- what becomes of it


def records(commit: Commit) -> dict[str, Renamed]:
    (batch,) = commit.batches
    (write,) = batch.writes
    found = {}
    for key, value, _ in write:
        record = Renamed.decode(value or b"")
        assert record is not None
        found[key.removeprefix(renamed_key("")).decode()] = record
    return found


def mended_of(made: Made) -> tuple[Disk, Commit]:
    disk, parting = as_it_was(made)
    return disk, disk.mends(parting)


def test_what_lies_before_the_parting_stays() -> None:
    made = Made((v(put("a")),), (v(put("b"), put("b")), v(put("c")), v(put("d"))), shared=1)
    disk, commit = mended_of(made)
    assert disk.store.load().origins[H].delivered == 3
    assert [(it.was.origin, it.was.first) for it in commit.moved] == [(H, 4), (H, 5)]
    assert [(it.now.origin, it.now.first) for it in commit.moved] == [(K, 1), (K, 2)]
    assert commit.gone == ()
    assert disk.store.load().origins[K].ends == {H: 3}


def test_a_record_tells_where_they_went() -> None:
    made = Made((v(put("a")),), (v(put("b")), v(put("c"), put("d")), v(put("e"))), shared=1)
    _, commit = mended_of(made)
    assert records(commit) == {H: Renamed(2, 5, K, 0, is_whole=False)}


def test_what_was_opened_since_goes_whole_and_each_has_its_record() -> None:
    made = Made(
        (v(put("a")),), (v(put("b")), OPENS, v(put("c")), v(put("d")), OPENS, v(put("e"))), 0
    )
    disk, commit = mended_of(made)
    assert records(commit) == {
        H: Renamed(1, 2, K, 0, is_whole=False),
        J: Renamed(0, 2, K, 1, is_whole=True),
        L: Renamed(0, 1, K, 3, is_whole=True),
    }
    assert commit.gone == (J, L)
    assert set(disk.store.load().origins) == {H, K}


def test_where_only_what_was_opened_since_is_to_move_the_one_before_is_whole() -> None:
    made = Made((v(put("a")),), (v(put("b")), OPENS, v(put("c")), v(put("d"))), 0)
    disk, _ = as_it_was(made)
    commit = disk.mends(Dot(J, 1))
    assert disk.store.load().origins[H].delivered == 2
    assert disk.store.load().origins[J].delivered == 1
    assert disk.store.load().origins[K].ends == {J: 1}
    assert records(commit) == {J: Renamed(1, 2, K, 0, is_whole=False)}
    assert examined(disk.disk).problems == []


def test_nothing_is_left_of_one_that_parts_at_its_beginning() -> None:
    made = Made((), (y(put("a")), v(put("b")), v(put("a"))), shared=0)
    disk, commit = mended_of(made)
    assert commit.gone == (H,)
    assert set(disk.store.load().origins) == {K, Y}
    assert disk.store.load().origins[K].ends == {}
    assert disk.store.load().origins[K].row[Y] == 1
    assert records(commit) == {H: Renamed(0, 2, K, 0, is_whole=False)}


def test_what_others_wrote_meanwhile_stays_where_it_is_in_the_log() -> None:
    made = Made((v(put("a")),), (v(put("b")), y(put("b")), v(put("c")), y(put("c"))), 0)
    disk, _ = mended_of(made)
    order = [(it.origin, it.first) for it in disk.log()]
    assert order == [(H, 1), (K, 1), (Y, 1), (K, 2), (Y, 2), (K, 3)]


def test_what_it_replaced_does_not_come_back_and_what_it_did_not_see_stays_beside_it() -> None:
    since = (v(put("a", value="new")), y(put("a", value="other")), v(delete("b")))
    disk, _ = mended_of(Made((v(put("a", "b", value="old")),), since, 0))
    versions = disk.store.versions(b"a")
    assert {(it.origin, it.value) for it in versions} == {(K, b"new"), (Y, b"other")}
    assert disk.store.versions(b"b") == ()


def test_what_was_to_expire_still_does_and_only_once() -> None:
    since = (v(put("a", expires_us=7)), v(put("b", expires_us=8)), v(put("b")))
    disk, _ = mended_of(Made((v(put("c")),), since, 0))
    assert [tuple(due) for due in disk.store.due(99, 9)] == [(7, b"a")]


def test_stamps_stay_as_they_were_and_the_record_comes_after_them() -> None:
    made = Made((v(put("a")),), (v(put("b")), v(put("c"))), 0)
    stamps = [it.stamp_us for it in as_it_was(made)[0].log()]
    disk, _ = mended_of(made)
    assert [it.stamp_us for it in disk.log()][:-1] == stamps
    assert disk.log()[-1].stamp_us > stamps[-1]
    assert disk.store.load().clock_us == disk.log()[-1].stamp_us


def test_what_a_batch_tells_of_the_pasts_of_others_it_tells_still() -> None:
    """And of a past that only the new incarnation's first batch names, what is known: nothing, if
    there is more of it by now."""
    since = (v(put("a")), y(put("b")), v(put("c")), y(put("d")))
    _, commit = mended_of(Made((y(put("a")), v(put("b"))), since, 0))
    first, second = commit.moved
    assert first.now.deps == {H: 1, Y: 1}
    assert check_in(first.now.deps, first.now.checks, H) == check_of(first.now.previous)
    assert check_in(first.now.deps, first.now.checks, Y) == b""
    assert (second.now.deps, second.now.checks) == (second.was.deps, second.was.checks)
    assert check_in(second.now.deps, second.now.checks, Y)


def test_what_is_confirmed_since_is_the_new_incarnation_to_its_end() -> None:
    disk, commit = mended_of(Made((v(put("a")),), (v(put("b")),), 0))
    assert commit.own == OwnPast(K, disk.store.load().origins[K])
    assert disk.store.load().own == commit.own


# --- whether it is all there


def test_all_writes_since_are_there_if_each_goes_on_where_the_last_one_ends() -> None:
    disk, _ = as_it_was(
        Made((), (v(put("a"), put("b")), y(put("a")), v(put("c")), OPENS, v(put("d"))), 0)
    )
    batches = [batch for batch in disk.log() if batch.origin != Y]
    one, two, three = batches
    firsts, delivered = {H: 1, J: 1}, disk.state.cut.entries
    assert are_all(batches, firsts, delivered)
    for lacking in ([one, two], [one, three], [two, three], [two, one, three], []):
        assert not are_all(lacking, firsts, delivered)
    assert are_all([two, three], {H: 3, J: 1}, delivered)


def test_it_goes_on_from_where_they_part_though_another_process_ended_that_earlier() -> None:
    disk, other = Disk(), new_origin("V", 9, 9)
    disk.opens(H)
    disk.writes([put("a")], WALL_US)
    disk.confirms()
    chain = disk.state.chain_of(H)
    told = (other, 1, {H: 1}, WALL_US, (put("b"),), chain, check_of(chain))
    disk.delivers(decode_batch(encode_batch(*told)))
    for key in "cd":
        disk.writes([put(key)], WALL_US)
    log = disk.log()
    commit = disk.mends(Dot(H, 2))
    first = commit.moved[0].now
    assert first.deps == {H: 2, other: 1}
    chains = [chained(batch.encoded) for batch in log if batch.first <= 2 and batch.last in (1, 2)]
    assert first.previous == chained(chains[2] + chains[1])
    assert examined(disk.disk).problems == []
