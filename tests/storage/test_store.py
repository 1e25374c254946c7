"""Stores: one suite for RocksDB and for its in-memory twin."""

from __future__ import annotations

import pytest

from kvnode.codec.answers import encode_answer
from kvnode.codec.client import decode_answer
from kvnode.codec.packing import pack
from kvnode.core.batch import Batch
from kvnode.core.messages import Due, OriginState, Saved
from kvnode.core.truncation import Logged
from kvnode.core.versions import DIGEST_MODULUS, Versions
from kvnode.errors import StorageError
from kvnode.storage.rocks import RocksStore
from kvnode.storage.store import Store
from tests.storage.commits import X0, X1, X, Y, Z, batch, commit, version
from tests.storage.conftest import Disk

MIB = 1 << 20


# --- tables and states


def test_a_fresh_store_has_nothing(disk: Disk) -> None:
    assert disk.store.load() == Saved({}, 0, 0)
    assert disk.store.versions(b"key") == ()
    assert disk.store.since({X: 1}, MIB) == []


def test_what_is_committed_is_read_back_siblings_and_their_order_included(disk: Disk) -> None:
    table = {b"a": (version(X, 2), version(Y, 1)), b"b": (version(X, 1, b""),)}
    disk.store.commit(commit(table=table), sync=True)
    assert {key: disk.store.versions(key) for key in table} == table


def test_keys_are_any_bytes_and_no_key_is_anothers_prefix(disk: Disk) -> None:
    keys = [b"\0", b"\0\0", b"a", b"ab", b"\xff" * 4096]
    table = {key: (version(X, at),) for at, key in enumerate(keys, 1)}
    disk.store.commit(commit(table=table), sync=True)
    assert {key: disk.store.versions(key) for key in keys} == table


def test_a_later_commit_replaces_the_versions_of_its_keys_and_no_others(disk: Disk) -> None:
    disk.store.commit(commit(table={b"a": (version(X, 1),), b"b": (version(X, 2),)}), sync=True)
    disk.store.commit(commit(table={b"a": (version(Y, 1),)}), sync=True)
    assert disk.store.versions(b"a") == (version(Y, 1),)
    assert disk.store.versions(b"b") == (version(X, 2),)


def test_a_key_without_versions_is_gone(disk: Disk) -> None:
    disk.store.commit(commit(table={b"a": (version(X, 1),)}), sync=True)
    disk.store.commit(commit(table={b"a": (), b"never there": ()}), sync=True)
    assert disk.store.versions(b"a") == disk.store.versions(b"never there") == ()
    assert disk.reopen().versions(b"a") == ()


def test_what_expires_is_due_in_its_order_and_up_to_a_time(disk: Disk) -> None:
    table = {b"late": (version(X, 1, expires_us=30),), b"a": (version(X, 2, expires_us=20),)}
    table[b"both"] = (version(X, 3, expires_us=20), version(Y, 1), version(Z, 1, expires_us=10))
    disk.store.commit(commit(table=table | {b"never": (version(X, 4),)}), sync=True)
    disk.reopen()
    assert disk.store.due(9, 9) == []
    assert disk.store.due(29, 9) == [Due(10, b"both"), Due(20, b"a"), Due(20, b"both")]
    assert disk.store.due(29, 2) == [Due(10, b"both"), Due(20, b"a")]


def test_what_is_replaced_is_not_due_but_what_takes_its_place_at_that_time_is(disk: Disk) -> None:
    one, other = version(X, 1, expires_us=10), version(Y, 1, expires_us=10)
    table = {b"a": (one,), b"b": (one,)}
    disk.store.commit(commit(table=table), sync=True)
    table = {b"a": (other,), b"b": ()}
    settled = (Due(10, b"a"), Due(10, b"b"))
    disk.store.commit(commit(table=table, settled=settled), sync=True)
    assert disk.store.due(99, 9) == [Due(10, b"a")]


def test_a_sweep_removes_what_is_due_and_keeps_what_is_left(disk: Disk) -> None:
    over, lasts = version(X, 1, expires_us=10), version(Y, 1)
    disk.store.commit(commit(table={b"a": (over,), b"b": (over, lasts)}), sync=True)
    disk.store.sweep(disk.store.due(10, 9), {b"a": (), b"b": (lasts,)})
    disk.reopen()
    assert disk.store.due(99, 9) == []
    assert (disk.store.versions(b"a"), disk.store.versions(b"b")) == ((), (lasts,))


def test_what_is_staged_is_due_once_it_is_the_table(disk: Disk) -> None:
    one, other = version(X, 1, expires_us=10), version(Y, 1, expires_us=20)
    disk.store.commit(commit(table={b"mine": (one,)}), sync=True)
    disk.store.stage({b"theirs": (one,), b"both": (one,)})
    disk.store.stage({b"both": (other,)}, [Due(10, b"both")])
    assert disk.store.due(99, 9) == [Due(10, b"mine")]
    disk.store.switch(Saved({X: OriginState(1, 7, {}, {})}, 7, 0))
    assert disk.store.due(99, 9) == [Due(10, b"theirs"), Due(20, b"both")]
    assert disk.reopen().due(99, 9) == [Due(10, b"theirs"), Due(20, b"both")]


def test_a_replica_loads_exactly_what_was_committed(disk: Disk) -> None:
    origins = {
        X: OriginState(5, 70, {Y: 2, X0: 3}, {X0: 3}),
        X0: OriginState(3, 60, {}, {}),
        Y: OriginState(1 << 62, 1, {}, {}),
    }
    digest = DIGEST_MODULUS - 1
    disk.store.commit(commit(origins=origins, clock_us=90, digest=digest), sync=True)
    assert disk.store.load() == Saved(origins, 90, digest)
    assert disk.reopen().load() == Saved(origins, 90, digest)
    assert all(disk.store.origin_state(origin) == state for origin, state in origins.items())


def test_a_state_of_an_origin_that_is_lost_is_an_error(disk: Disk) -> None:
    with pytest.raises(StorageError, match="lost its record of X"):
        disk.store.origin_state(X)


def test_later_states_replace_earlier_ones_of_the_same_origin(disk: Disk) -> None:
    one, other, later = (OriginState(seq, seq, {}, {}) for seq in (1, 2, 3))
    disk.store.commit(commit(origins={X: one, Y: other}, clock_us=1, digest=1), sync=True)
    disk.store.commit(commit(origins={X: later}, clock_us=2, digest=2), sync=True)
    assert disk.store.load() == Saved({X: later, Y: other}, 2, 2)


def test_everything_is_there_after_a_reopening_synced_or_not(disk: Disk) -> None:
    for sync in (True, False):
        seq = 1 if sync else 2
        disk.store.commit(commit(batch(X, seq), table={b"a": (version(X, seq),)}), sync=sync)
    store = disk.reopen()
    assert store.versions(b"a") == (version(X, 2),)
    assert store.since({X: 1}, MIB) == [batch(X, 1).encoded, batch(X, 2).encoded]
    assert store.load().origins == {X: OriginState(2, 7, {}, {})}


def test_a_deleted_key_leaves_no_record(disk: Disk) -> None:
    disk.store.commit(commit(table={b"a": (version(X, 1),)}), sync=True)
    disk.store.commit(commit(table={b"a": ()}), sync=True)
    if isinstance(disk.store, RocksStore):
        assert list(disk.store._table.keys()) == []
    else:
        assert disk.medium.table == {}


# --- the log


def test_batches_come_in_the_order_of_their_delivery(disk: Disk) -> None:
    delivered = [batch(Y, 1), batch(X, 1), batch(X, 2), batch(Z, 1), batch(Y, 2)]
    disk.store.commit(commit(*delivered[:2]), sync=True)
    disk.store.commit(commit(*delivered[2:]), sync=True)
    encoded = [each.encoded for each in delivered]
    assert disk.store.since({X: 1, Y: 1, Z: 1}, MIB) == encoded
    assert disk.store.since({X: 1}, MIB) == [encoded[1], encoded[2]]
    assert disk.store.since({Z: 1, Y: 2}, MIB) == [encoded[3], encoded[4]]


def test_the_batch_that_holds_the_first_seq_comes_whole(disk: Disk) -> None:
    delivered = [batch(X, 1, writes=3), batch(X, 4, writes=2), batch(X, 6)]
    disk.store.commit(commit(*delivered), sync=True)
    lengths = {seq: len(disk.store.since({X: seq}, MIB)) for seq in range(1, 8)}
    assert lengths == {1: 3, 2: 3, 3: 3, 4: 2, 5: 2, 6: 1, 7: 0}


def test_origins_whose_names_start_alike_are_kept_apart(disk: Disk) -> None:
    disk.store.commit(commit(batch(X, 1), batch(X1, 1)), sync=True)
    assert disk.store.since({X: 1}, MIB) == [batch(X, 1).encoded]
    assert disk.store.since({X1: 1}, MIB) == [batch(X1, 1).encoded]
    assert disk.store.since({X[:-1]: 1, Z: 1}, MIB) == []
    assert disk.store.since({}, MIB) == []


def test_numbers_of_more_than_a_byte_are_in_order(disk: Disk) -> None:
    delivered = [batch(origin, seq) for seq in range(1, 301) for origin in (X, Y)]
    disk.store.commit(commit(*delivered), sync=True)
    encoded = [each.encoded for each in delivered]
    assert disk.store.since({X: 1, Y: 1}, MIB) == encoded
    assert disk.store.since({X: 255, Y: 258}, MIB) == [
        each.encoded for each in delivered if each.first >= (255 if each.origin == X else 258)
    ]


def test_an_answer_ends_before_the_batch_that_would_exceed_its_size(disk: Disk) -> None:
    delivered = [batch(X, seq) for seq in range(1, 6)]
    disk.store.commit(commit(*delivered), sync=True)
    size = len(delivered[0].encoded)
    lengths = [len(disk.store.since({X: 1}, limit)) for limit in (2 * size, 3 * size - 1, 3 * size)]
    assert lengths == [2, 2, 3]


def test_an_answer_has_one_batch_at_least_however_large(disk: Disk) -> None:
    disk.store.commit(commit(batch(X, 1, value=bytes(MIB)), batch(X, 2)), sync=True)
    assert disk.store.since({X: 1}, 1) == [batch(X, 1, value=bytes(MIB)).encoded]


def test_the_log_goes_on_after_a_reopening(disk: Disk) -> None:
    for seq in range(1, 4):
        disk.store.commit(commit(batch(X, seq), batch(Y, seq)), sync=True)
        disk.reopen()
    expected = [batch(origin, seq).encoded for seq in range(1, 4) for origin in (X, Y)]
    assert disk.store.since({X: 1, Y: 1}, MIB) == expected


def test_a_peer_can_read_the_answer_to_a_pull_however_small_its_batches(disk: Disk) -> None:
    disk.store.commit(commit(*[batch(X, seq) for seq in range(1, 6001)]), sync=True)
    found = disk.store.since({X: 1}, MIB)
    assert decode_answer(encode_answer(1, None, [("ok", found)])).results == [["ok", found]]


# --- pages of the table

TABLE = {key: (version(X, at),) for at, key in enumerate((b"a", b"a\0", b"ab", b"b", b"c"), 1)}
PAGES = [
    (b"", b"", 9, [b"a", b"a\0", b"ab", b"b", b"c"]),
    (b"", b"", 2, [b"a", b"a\0"]),
    (b"", b"a", 2, [b"a\0", b"ab"]),
    (b"", b"aa", 1, [b"ab"]),
    (b"", b"c", 9, []),
    (b"a", b"", 9, [b"a", b"a\0", b"ab"]),
    (b"a", b"", 1, [b"a"]),
    (b"a", b"a", 9, [b"a\0", b"ab"]),
    (b"a", b"a\0", 9, [b"ab"]),
    (b"a", b"ab", 9, []),
    (b"a", b"b", 9, []),
    (b"b", b"a", 9, [b"b"]),
    (b"bb", b"", 9, []),
    (b"d", b"", 9, []),
]


@pytest.mark.parametrize(("prefix", "after", "records_max", "keys"), PAGES)
def test_a_page_has_the_first_keys_after_one_that_start_so(
    disk: Disk, prefix: bytes, after: bytes, records_max: int, keys: list[bytes]
) -> None:
    disk.store.commit(commit(table=TABLE), sync=True)
    page = disk.store.page(prefix, after, records_max)
    assert list(page.items()) == [(key, TABLE[key]) for key in keys]


def test_pages_of_any_size_have_every_key_once_and_in_order(disk: Disk) -> None:
    table = {b"%03d" % at: (version(X, at),) for at in range(1, 101)}
    disk.store.commit(commit(table=table), sync=True)
    for records_max in (1, 7, 100):
        after, keys = b"", []
        while page := disk.store.page(b"", after, records_max):
            assert len(page) <= records_max
            keys += page
            after = keys[-1]
        assert keys == sorted(table)


def test_a_page_has_no_deleted_keys(disk: Disk) -> None:
    disk.store.commit(commit(table=TABLE), sync=True)
    disk.store.commit(commit(table={b"a": (), b"b": ()}), sync=True)
    assert list(disk.store.page(b"", b"", 9)) == [b"a\0", b"ab", b"c"]


# --- the size of the log, and its truncation

DELIVERED = [batch(X, 1, writes=3), batch(Y, 1), batch(X, 4), batch(Y, 2, value=bytes(100))]
SIZES = [len(each.encoded) for each in DELIVERED]


def with_a_log(disk: Disk) -> Store:
    """The store with these delivered in two commits."""
    disk.store.commit(commit(*DELIVERED[:2], clock_us=8, digest=1), sync=True)
    disk.store.commit(commit(*DELIVERED[2:], clock_us=9, digest=2), sync=True)
    return disk.store


def encoded(batches: list[Batch]) -> list[bytes]:
    return [each.encoded for each in batches]


def test_the_log_counts_its_bytes_and_positions_also_after_a_reopening(disk: Disk) -> None:
    assert (disk.store.log_bytes, disk.store.log_end) == (0, 0)
    store = with_a_log(disk)
    assert (store.log_bytes, store.log_end) == (sum(SIZES), 4)
    store = disk.reopen()
    assert (store.log_bytes, store.log_end) == (sum(SIZES), 4)


def test_the_head_of_the_log_tells_its_oldest_batches(disk: Disk) -> None:
    head = with_a_log(disk).log_head(9, MIB)
    assert head == [
        Logged(at, each.origin, each.last, len(each.encoded)) for at, each in enumerate(DELIVERED)
    ]
    assert disk.store.log_head(2, MIB) == head[:2]


def test_the_head_ends_at_a_size_but_has_one_batch_at_least(disk: Disk) -> None:
    head = with_a_log(disk).log_head(9, MIB)
    assert disk.store.log_head(9, 1) == head[:1]
    assert 1 <= len(disk.store.log_head(9, sum(SIZES) - 1)) < 4
    assert disk.store.log_head(9, 2 * sum(SIZES) + 400) == head


def test_an_empty_log_has_no_head(disk: Disk) -> None:
    assert disk.store.log_head(9, MIB) == []


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a reopening"])
def test_what_is_dropped_is_gone_and_the_floor_says_so(disk: Disk, *, again: bool) -> None:
    store = with_a_log(disk)
    head = store.log_head(9, MIB)
    store.drop_log(head[:2], {X: 3, Y: 1})
    if again:
        store = disk.reopen()
    assert store.load() == Saved(store.load().origins, 9, 2, {X: 3, Y: 1})
    assert (store.log_bytes, store.log_end) == (sum(SIZES[2:]), 4)
    assert store.log_head(9, MIB) == head[2:]
    assert store.since({X: 4, Y: 2}, MIB) == encoded(DELIVERED[2:])
    assert store.since({X: 1}, MIB) == encoded(DELIVERED[2:3])


def test_a_log_is_dropped_piece_by_piece_while_it_grows(disk: Disk) -> None:
    floor: dict[str, int] = {}
    for seq in range(1, 41):
        disk.store.commit(commit(batch(X, seq), batch(Y, seq)), sync=False)
        if seq % 4 == 0:
            head = disk.store.log_head(5, MIB)
            assert [each.position for each in head] == list(range(head[0].position, seq * 2))[:5]
            floor |= {each.origin: each.last for each in head}
            disk.store.drop_log(head, floor)
        if seq % 12 == 0:
            disk.reopen()
    left = [each.last for each in disk.store.log_head(99, MIB)]
    assert left == [seq for seq in range(1, 41) for _ in "XY"][50:]
    assert disk.store.load().floor == floor == {X: 25, Y: 25}
    assert len(disk.store.since({X: 1, Y: 1}, MIB)) == 30
    assert disk.store.log_bytes == sum(map(len, disk.store.since({X: 1, Y: 1}, MIB)))


def test_a_log_that_was_dropped_whole_goes_on(disk: Disk) -> None:
    store = with_a_log(disk)
    store.drop_log(store.log_head(9, MIB), {X: 4, Y: 2})
    assert (store.log_bytes, store.log_head(9, MIB), store.since({X: 1, Y: 1}, MIB)) == (0, [], [])
    store = disk.reopen()
    assert store.log_bytes == 0 and store.load().floor == {X: 4, Y: 2}
    store.commit(commit(batch(X, 5)), sync=True)
    assert store.since({X: 5}, MIB) == [batch(X, 5).encoded]
    assert [(each.origin, each.last) for each in store.log_head(9, MIB)] == [(X, 5)]


# --- open for reading


def test_a_store_that_only_reads_shows_all_commits_synced_or_not(disk: Disk) -> None:
    for seq in (1, 2):
        disk.store.commit(commit(batch(X, seq), table={b"a": (version(X, seq),)}), sync=seq == 1)
    disk.close()
    store = disk.opened_for_reading()
    assert store.load().origins == {X: OriginState(2, 7, {}, {})}
    assert store.versions(b"a") == (version(X, 2),)
    assert store.since({X: 1}, MIB) == [batch(X, 1).encoded, batch(X, 2).encoded]
    store.close()


def test_a_store_that_only_reads_refuses_to_commit_and_to_sync(disk: Disk) -> None:
    disk.store.commit(commit(batch(X, 1)), sync=True)
    disk.close()
    store = disk.opened_for_reading()
    with pytest.raises(StorageError):
        store.commit(commit(batch(X, 2)), sync=True)
    with pytest.raises(StorageError):
        store.sync()
    assert store.since({X: 1}, MIB) == [batch(X, 1).encoded]
    store.close()
    assert disk.reopen().since({X: 1}, MIB) == [batch(X, 1).encoded]


def test_a_store_can_be_opened_for_writing_while_another_reads(disk: Disk) -> None:
    disk.store.commit(commit(batch(X, 1), table={b"a": (version(X, 1),)}), sync=True)
    disk.close()
    reading = disk.opened_for_reading()
    store = disk.reopen()
    assert reading.versions(b"a") == (version(X, 1),)
    assert reading.since({X: 1}, MIB) == [batch(X, 1).encoded]
    store.commit(commit(batch(X, 2), table={b"a": (version(X, 2),)}), sync=True)
    reading.close()
    assert disk.reopen().versions(b"a") == (version(X, 2),)


# --- what is no store of ours


@pytest.mark.parametrize(
    "state", [[9, 7, bytes(16)], [2, 7, bytes(16), 0], [9, "of", "another", "shape"]]
)
@pytest.mark.parametrize("origin", [None, [1, 2, 3, 4, "another shape"]])
def test_a_store_of_another_format_is_refused(disk: Disk, state: object, origin: object) -> None:
    records = {b"state": pack(state)}
    if origin is not None:
        records[b"origin/" + X.encode()] = pack(origin)
    for key, record in records.items():
        disk.set_meta(key, record)
    with pytest.raises(StorageError, match="format"):
        disk.reopen().load()


@pytest.mark.parametrize("live", [b"", b"\2", b"\xff", b"\0\1"])
def test_a_store_that_does_not_know_its_table_is_refused(disk: Disk, live: bytes) -> None:
    disk.set_meta(b"live", live)
    with pytest.raises(StorageError, match="unreadable"):
        disk.reopen()


# --- views of the table, for scans


def table_of(store: Store, *keys: bytes) -> dict[bytes, Versions]:
    table = {key: (version(X, at), version(Y, at)) for at, key in enumerate(keys, 1)}
    store.commit(commit(table=table), sync=True)
    return table


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (b"", None),
        (b"b", None),
        (b"", b"b"),
        (b"b", b"c"),
        (b"aa", b"bb"),
        (b"c", b"b"),
        (b"b", b"b"),
        (b"\xff" * 4096, None),
        (b"", b"\0"),
        (b"x", None),
    ],
)
def test_a_view_of_the_table_has_ranges_in_both_directions(
    disk: Disk, start: bytes, end: bytes | None, *, reverse: bool
) -> None:
    table = table_of(disk.store, b"\0", b"a", b"a\0", b"b", b"b\xff", b"c", b"\xff" * 4096)
    keys = [key for key in table if start <= key and (end is None or key < end)]
    found = list(disk.store.table_view().records(start, end, reverse=reverse))
    assert found == [(key, table[key]) for key in sorted(keys, reverse=reverse)]


def test_a_view_of_the_table_does_not_move_and_is_read_again_and_again(disk: Disk) -> None:
    table = table_of(disk.store, b"a", b"b", b"c")
    view = disk.store.table_view()
    later = {b"a": (version(Z, 9),), b"b": (), b"d": (version(Z, 9),)}
    disk.store.commit(commit(table=later), sync=True)
    assert next(view.records(b"", None, reverse=False)) == (b"a", table[b"a"])
    for reverse in (True, False):
        assert dict(view.records(b"", None, reverse=reverse)) == table
    now = dict(disk.store.table_view().records(b"", None, reverse=False))
    assert now == {b"a": later[b"a"], b"c": table[b"c"], b"d": later[b"d"]}


def test_a_view_of_the_table_ends_with_its_store_or_before(disk: Disk) -> None:
    table_of(disk.store, b"a")
    closed, left_open = disk.store.table_view(), disk.store.table_view()
    closed.close()
    disk.reopen()
    for view in (closed, left_open):
        for reverse in (False, True):
            with pytest.raises(StorageError, match="closed"):
                next(view.records(b"", None, reverse=reverse))
    assert len(list(disk.opened_for_reading().table_view().records(b"", None, reverse=True))) == 1


def test_a_view_of_the_table_is_of_the_live_one(disk: Disk) -> None:
    table_of(disk.store, b"a")
    view = disk.store.table_view()
    disk.store.stage({b"b": (version(Y, 1),)})
    disk.store.switch(Saved({}, 7, 0))
    assert [key for key, _ in view.records(b"", None, reverse=False)] == [b"a"]
    after = disk.store.table_view()
    assert [key for key, _ in after.records(b"", None, reverse=False)] == [b"b"]
