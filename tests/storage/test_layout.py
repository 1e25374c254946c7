"""Which bytes a commit writes, and how they are found and read again."""

from __future__ import annotations

import pytest

from kvnode.core.limits import PULLED_BATCHES_MAX
from kvnode.core.messages import OriginState
from kvnode.core.replica import Saved
from kvnode.errors import StorageError
from kvnode.storage.layout import (
    collect,
    decode_saved,
    decode_table_record,
    encode_commit,
    index_key,
    index_prefix,
    next_position,
)
from tests.storage.commits import X1, X, Y, batch, commit, version


def written(family, puts):
    return {key: value for name, key, value in puts if name == family}


def test_a_commit_comes_back_as_it_was():
    origins = {X: OriginState(3, 9, {Y: 1}, {X1: 2}), Y: OriginState(1, 8, {}, {})}
    puts = encode_commit(commit(origins=origins, clock_us=11, digest=(1 << 128) - 1), 0)
    assert decode_saved(written("meta", puts).items()) == Saved(origins, 11, (1 << 128) - 1)


def test_a_fresh_disk_has_nothing_saved():
    assert decode_saved([]) == Saved({}, 0, 0)


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x93\x02\x00\x00", b"\x01"])
def test_a_state_that_cannot_be_read_is_a_storage_error(state):
    with pytest.raises(StorageError):
        decode_saved([(b"state", state)])


def test_versions_are_put_and_a_key_without_any_is_deleted():
    siblings = (version(X, 2), version(Y, 1))
    puts = encode_commit(commit(table={b"two": siblings, b"none": ()}), 0)
    table = written("table", puts)
    assert decode_table_record(table[b"two"]) == siblings
    assert table[b"none"] is None and decode_table_record(None) == ()


def test_batches_go_to_the_log_in_order_and_the_index_finds_them():
    batches = [batch(X, 1, writes=3), batch(Y, 1), batch(X, 4)]
    puts = encode_commit(commit(*batches), 255)
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


# --- what a pull collects

LOG = {bytes([n]): bytes([n]) * 10 for n in range(6)}
POSITIONS = {X: [b"\0", b"\3", b"\4"], Y: [b"\1", b"\2", b"\5"]}


def collected(lacking, bytes_max):
    return collect(
        lacking, bytes_max, lambda origin, seq: iter(POSITIONS[origin][seq - 1 :]), LOG.__getitem__
    )


def test_batches_of_several_origins_are_collected_in_the_order_of_the_log():
    assert collected({Y: 1, X: 1}, 1000) == list(LOG.values())
    assert collected({Y: 2, X: 3}, 1000) == [LOG[b"\2"], LOG[b"\4"], LOG[b"\5"]]
    assert collected({}, 1000) == []


@pytest.mark.parametrize(("bytes_max", "count"), [(0, 1), (10, 1), (19, 1), (20, 2), (60, 6)])
def test_collecting_ends_at_the_size_but_never_before_the_first(bytes_max, count):
    assert collected({X: 1, Y: 1}, bytes_max) == list(LOG.values())[:count]


def test_collecting_ends_at_the_greatest_number_of_batches():
    positions = [n.to_bytes(8, "big") for n in range(PULLED_BATCHES_MAX + 1)]
    found = collect({X: 1}, 1 << 30, lambda *_: iter(positions), lambda position: position)
    assert found == positions[:-1]
