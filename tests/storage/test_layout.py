"""Which bytes a commit writes, and how they are found and read again."""

from __future__ import annotations

import pytest

from kvnode.codec.packing import pack
from kvnode.core.messages import OriginState, Saved
from kvnode.core.truncation import Logged
from kvnode.errors import StorageError
from kvnode.storage.layout import (
    STORE_FORMAT_READ_MIN,
    State,
    decode_live,
    decode_saved,
    decode_state,
    decode_table_record,
    encode_commit,
    encode_switch,
    encode_truncation,
    first_records,
    index_key,
    index_prefix,
    log_key,
    log_start,
    logged,
    next_position,
)
from tests.storage.commits import X0, X1, X, Y, batch, commit, version


def written(family, puts):
    return {key: value for name, key, value in puts if name == family}


def encoded(turn, position=0):
    return encode_commit(turn, 1, position, 0)


def test_a_commit_comes_back_as_it_was():
    origins = {X: OriginState(3, 9, {Y: 1}, {X0: 2}), X0: OriginState(2, 8, {}, {})}
    origins[X] = origins[X]._replace(chain=b"8 bytes.")
    puts = encoded(commit(origins=origins, clock_us=11, digest=(1 << 128) - 1))
    assert decode_saved(written("meta", puts).items()) == Saved(origins, 11, (1 << 128) - 1)


@pytest.mark.parametrize(
    "origins",
    [
        {X: OriginState(3, 9, {}, {X0: 2})},
        {X: OriginState(3, 9, {}, {X0: 2}), X0: OriginState(1, 8, {}, {})},
        {X: OriginState(3, 9, {}, {X0: 2}), X0: OriginState(2, 8, {}, {X: 1})},
        {X: OriginState(3, 9, {}, {X: 1})},
        {X: OriginState(3, 9, {}, {Y: 1}), Y: OriginState(1, 8, {}, {})},
    ],
)
def test_a_store_that_no_node_can_have_made_is_refused(origins):
    puts = encoded(commit(origins=origins))
    with pytest.raises(StorageError, match="contradicts itself"):
        decode_saved(written("meta", puts).items())


def test_a_fresh_disk_has_nothing_saved():
    assert decode_saved([]) == Saved({}, 0, 0)


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x94\x02\x00\x00\x00", b"\x01"])
def test_a_state_that_cannot_be_read_is_a_storage_error(state):
    with pytest.raises(StorageError):
        decode_saved([(b"state", state)])


def test_versions_are_put_and_a_key_without_any_is_deleted():
    siblings = (version(X, 2), version(Y, 1))
    puts = encoded(commit(table={b"two": siblings, b"none": ()}))
    table = written("table1", puts)
    assert decode_table_record(table[b"two"]) == siblings
    assert table[b"none"] is None and decode_table_record(None) == ()


def test_batches_go_to_the_log_in_order_and_the_index_finds_them():
    batches = [batch(X, 1, writes=3), batch(Y, 1), batch(X, 4)]
    puts = encoded(commit(*batches), 255)
    log, index = written("log", puts), written("index", puts)
    assert [log[key] for key in sorted(log)] == [each.encoded for each in batches]
    assert [log[index[index_key(each.origin, each.last)]] for each in batches] == [
        each.encoded for each in batches
    ]
    assert next_position(max(log)) == 258
    assert next_position(None) == 0


def test_index_keys_sort_by_seq_and_origins_do_not_mix():
    keys = [index_key(X, seq) for seq in (1, 2, 255, 256, 65_536, (1 << 63) - 1)]
    assert keys == sorted(keys)
    assert all(key.startswith(index_prefix(X)) for key in keys)
    assert not index_key(X1, 1).startswith(index_prefix(X))


# --- what the log says of itself


@pytest.mark.parametrize("origin", [X, X1, Y])
@pytest.mark.parametrize("number", [1, 255, 256, (1 << 63) - 1])
def test_a_log_key_says_which_batch_stands_there(origin, number):
    assert logged(log_key(number, origin, number), 10) == Logged(number, origin, number, 10)
    assert log_key(number, origin, number)[8:] == index_key(origin, number)


def test_log_keys_sort_by_position_whatever_stands_there():
    keys = [log_key(0, Y, 9), log_key(1, X, 1), log_key(255, X1, 1), log_key(256, X, 1)]
    assert keys == sorted(keys)
    assert all(log_start(at) <= key for at, key in zip((0, 1, 255, 256), keys, strict=True))
    assert log_start(1) > keys[0]


def test_a_truncation_deletes_what_was_written_of_these_batches_and_sets_the_floor():
    batches = [batch(X, 1, writes=3), batch(Y, 1)]
    puts = encoded(commit(*batches, clock_us=11, digest=5), 255)
    dropped = [logged(key, len(record)) for key, record in written("log", puts).items()]
    gone = encode_truncation(dropped, {X: 3, Y: 1}, State(11, 5, 70))
    assert set(written("log", gone).items()) == {(key, None) for key in written("log", puts)}
    assert set(written("index", gone).items()) == {(key, None) for key in written("index", puts)}
    meta = written("meta", puts) | written("meta", gone)
    assert decode_saved(meta.items()).floor == {X: 3, Y: 1}
    assert decode_state(meta[b"state"]) == State(11, 5, 70)


def test_a_commit_counts_the_bytes_of_its_batches():
    puts = encode_commit(commit(batch(X, 1), batch(Y, 1)), 0, 0, 1000)
    sizes = len(batch(X, 1).encoded) + len(batch(Y, 1).encoded)
    assert decode_state(written("meta", puts)[b"state"]).log_bytes == 1000 + sizes


def test_a_switch_writes_all_that_is_saved_and_which_table_is_live():
    origins = {X: OriginState(3, 9, {Y: 1}, {X0: 2}), X0: OriginState(2, 8, {}, {})}
    saved = Saved(origins, 11, (1 << 128) - 1, {X: 2})
    puts = encode_switch(saved, 1, 500)
    assert {family for family, _, _ in puts} == {"meta"}
    meta = written("meta", puts)
    assert decode_saved(meta.items()) == saved
    assert decode_state(meta[b"state"]).log_bytes == 500
    assert decode_live(meta[b"live"]) == 1 and decode_live(None) == 0


def test_what_the_format_before_has_saved_is_read():
    """It has all but the chains."""
    meta = {
        b"origin/" + X.encode(): pack([3, 9, {Y: 1}, {}]),
        b"state": pack([STORE_FORMAT_READ_MIN, 11, bytes(16), 70, True]),
    }
    assert decode_saved(meta.items()) == Saved({X: OriginState(3, 9, {Y: 1}, {})}, 11, 0, {}, True)


@pytest.mark.parametrize("live", [b"", b"\2", b"\0\0"])
def test_a_table_that_there_is_not_is_a_storage_error(live):
    with pytest.raises(StorageError, match="unreadable"):
        decode_live(live)


@pytest.mark.parametrize("floor", [b"", b"\xc1", b"\x81\x01"])
def test_a_floor_that_cannot_be_read_is_a_storage_error(floor):
    with pytest.raises(StorageError, match="unreadable"):
        decode_saved([(b"floor", floor)])


@pytest.mark.parametrize(("bytes_max", "count"), [(0, 1), (3, 1), (5, 1), (6, 2), (9, 3)])
def test_records_of_a_part_fit_its_size_but_there_is_one_at_least(bytes_max, count):
    records = [(b"a", b"11"), (b"b", b"22"), (b"c", b"33")]
    assert first_records(iter(records), bytes_max) == records[:count]
    assert first_records(iter([]), bytes_max) == []
