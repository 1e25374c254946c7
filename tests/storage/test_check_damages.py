"""Every kind of damage to a store's records, and what `check` says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from kvnode.codec.packing import pack
from kvnode.codec.records import encode_origin_state
from kvnode.core.clock import STAMP_US_MAX
from kvnode.core.messages import OriginState
from kvnode.core.vector import new_origin
from kvnode.storage.check import check
from kvnode.storage.layout import due_key, index_key, log_key
from tests.storage.sound import Families, by_dot, families_of, renumber_without, set_state

NOBODY = new_origin("N", 1, 1)


def set_origin(families: Families, name: str, at: int, change: Callable[[object], object]) -> None:
    key = origin_key(families, name)
    state = msgpack.unpackb(families["meta"][key])
    state[at] = change(state[at])
    families["meta"][key] = pack(state)


def origin_key(families: Families, name: str) -> bytes:
    """X' is the incarnation of X that ended another."""
    for key, record in families.records("meta"):
        if key.startswith(b"origin/" + name[:1].encode()):
            ends = msgpack.unpackb(record)[3]
            if bool(ends) == (name == "X'"):
                return key
    raise LookupError(name)


def origin(families: Families, name: str) -> str:
    return origin_key(families, name).removeprefix(b"origin/").decode()


def set_batch(families: Families, name: str, last: int, at: int, value: object) -> None:
    """Another batch under the same key."""
    key = by_dot(families)[name, last]
    batch = msgpack.unpackb(families["log"][key])
    batch[at] = value
    families["log"][key] = pack(batch)


def drop_log_entry(families: Families) -> None:
    del families["log"][by_dot(families)["Y", 1]]


def drop_log_entry_and_index(families: Families) -> None:
    key = by_dot(families)["Y", 1]
    del families["log"][key]
    del families["index"][key[8:]]


def drop_without_a_trace(families: Families) -> None:
    renumber_without(families, by_dot(families)["X", 3])


def drop_the_last(families: Families) -> None:
    key = by_dot(families)["X'", 3]
    set_state(
        families,
        3,
        msgpack.unpackb(families["meta"][b"state"])[3] - len(families["log"][key]),
    )
    del families["log"][key]
    del families["index"][key[8:]]


def swap_batches(families: Families) -> None:
    """X:3 saw Y:1; let it stand before."""
    one, other = by_dot(families)["Y", 1], by_dot(families)["X", 3]
    first, second = families["log"][one], families["log"][other]
    for key in (one, other):
        del families["log"][key]
    for key, encoded in ((one[:8] + other[8:], second), (other[:8] + one[8:], first)):
        families["log"][key] = encoded
        families["index"][key[8:]] = key


def swap_contents(families: Families) -> None:
    one, other = by_dot(families)["X", 2], by_dot(families)["X", 3]
    first, second = families["log"][one], families["log"][other]
    families["log"][one], families["log"][other] = second, first


def double_batch(families: Families) -> None:
    log = families.records("log")
    key = (int.from_bytes(log[-1][0][:8], "big") + 1).to_bytes(8, "big") + log[0][0][8:]
    families["log"][key] = log[0][1]


def position_twice(families: Families) -> None:
    key = by_dot(families)["X", 2]
    families["log"][log_key(1, NOBODY, 1)] = families["log"][key]


def batch_of_nobody(families: Families) -> None:
    key = by_dot(families)["X'", 3]
    batch = msgpack.unpackb(families["log"][key])
    batch[1], batch[2] = NOBODY, 1
    encoded = pack(batch)
    at = int.from_bytes(key[:8], "big") + 1
    families["log"][log_key(at, NOBODY, 1)] = encoded
    families["index"][index_key(NOBODY, 1)] = log_key(at, NOBODY, 1)


def depend_on_nobody(families: Families) -> None:
    set_batch(families, "Y", 1, 4, {NOBODY: 1})
    set_batch(families, "Y", 1, 5, bytes(4))


def cut_batch(families: Families) -> None:
    key = by_dot(families)["X", 3]
    families["log"][key] = families["log"][key][:-1]


def set_digest(families: Families) -> None:
    set_state(families, 2, bytes(16))


def change_value(families: Families) -> None:
    stamp_us, by, seq, _, never = msgpack.unpackb(families["table0"][b"c"])
    families["table0"][b"c"] = pack([stamp_us, by, seq, b"another", never])


def drop_key(families: Families) -> None:
    del families["table0"][b"d"]


def swap_siblings(families: Families) -> None:
    parts = msgpack.unpackb(families["table0"][b"a"])
    families["table0"][b"a"] = pack(parts[5:] + parts[:5])


def double_sibling(families: Families) -> None:
    parts = msgpack.unpackb(families["table0"][b"a"])
    families["table0"][b"a"] = pack(parts[:5] * 2)


def set_version(at: int, value: object) -> Callable[[Families], None]:
    def damage(families: Families) -> None:
        parts = msgpack.unpackb(families["table0"][b"c"])
        parts[at] = value
        families["table0"][b"c"] = pack(parts)

    return damage


def set_record(family: str, key: bytes, record: bytes) -> Callable[[Families], None]:
    def damage(families: Families) -> None:
        families[family][key] = record

    return damage


def no_index(families: Families) -> None:
    del families["index"][by_dot(families)["X", 3][8:]]


def index_of_another(families: Families) -> None:
    keys = by_dot(families)
    families["index"][keys["X", 3][8:]] = keys["X", 2]


def index_of_nothing(families: Families) -> None:
    families["index"][index_key(NOBODY, 1)] = log_key(1, NOBODY, 1)


def row_beyond(families: Families) -> None:
    set_origin(families, "Y", 2, lambda row: row | {origin(families, "X'"): 9})


def row_not_normal(families: Families) -> None:
    set_origin(families, "Y", 2, lambda row: row | {origin(families, "X"): 1})


def row_of_another_past(families: Families) -> None:
    set_origin(families, "X'", 2, lambda row: {origin(families, "X"): 3})


def ends_beyond(families: Families) -> None:
    set_origin(families, "X'", 3, lambda ends: dict.fromkeys(ends, 4))


def ends_lower(families: Families) -> None:
    set_origin(families, "X'", 3, lambda ends: dict.fromkeys(ends, 2))


def ends_each_other(families: Families) -> None:
    set_origin(families, "X", 3, lambda _: {origin(families, "X'"): 1})


def ends_of_another(families: Families) -> None:
    set_origin(families, "Y", 3, lambda _: {origin(families, "X"): 1})


def floor_beyond(families: Families) -> None:
    families["meta"][b"floor"] = pack({origin(families, "X"): 99})


def no_floor(families: Families) -> None:
    del families["meta"][b"floor"]


def no_origin(families: Families) -> None:
    del families["meta"][origin_key(families, "Y")]


def no_state(families: Families) -> None:
    del families["meta"][b"state"]


def set_own(record: bytes) -> Callable[[Families], None]:
    return set_record("meta", b"own", record)


def own_beyond(families: Families) -> None:
    state = encode_origin_state(OriginState(3, 1, {}, {}))
    families["meta"][b"own"] = pack([NOBODY, state, [], []])


def origin_cut(families: Families) -> None:
    key = origin_key(families, "Y")
    families["meta"][key] = families["meta"][key][:-1]


def seq_beyond(families: Families) -> None:
    set_version(2, 99)(families)


def drop_due(families: Families) -> None:
    ((key, _),) = families.records("due0")
    del families["due0"][key]


DAMAGES = [
    # the log
    (drop_log_entry, r"goes on at position 3 after 1"),
    (drop_log_entry, r"the log lacks Y~\w+:1, and goes on at Y~\w+:2"),
    (drop_log_entry, r"the index has b'Y~.*, which is not in the log"),
    (drop_log_entry, r"the log has \d+ bytes, but \d+ are recorded"),
    (drop_log_entry_and_index, r"the log lacks Y~\w+:1, and goes on at Y~\w+:2"),
    (drop_without_a_trace, r"the log ends at X~\w+:2, but 3 is delivered"),
    (drop_without_a_trace, r"X~\w+:1 comes in the log before X~\w+:3, which it had seen"),
    (drop_the_last, r"the log ends at X~\w+:1, but 3 is delivered"),
    (swap_batches, r"X~\w+:3 comes in the log before Y~\w+:1, which it had seen"),
    (swap_contents, r"log position 1 holds X~\w+:3-3, which its key does not say"),
    (swap_contents, r"X~\w+:2 comes in the log after X~\w+:3"),
    (double_batch, r"X~\w+:2 comes in the log after X~\w+:3"),
    (double_batch, r"the index has b.* for log position 7"),
    (position_twice, r"goes on at position 1 after 1"),
    (batch_of_nobody, r"the log has N~\w+:2, but no state of its origin"),
    (cut_batch, r"log position 3: a batch is not sound msgpack"),
    (set_record("log", b"short", b""), r"the log goes on at position \d+ after 6"),
    (lambda it: set_batch(it, "X", 3, 6, 1), r"the stamp of X~\w+:3 is not above"),
    (lambda it: set_batch(it, "X'", 3, 6, 9000), r"the stamp of X~\w+ is not that of its last"),
    (lambda it: set_batch(it, "X", 3, 6, STAMP_US_MAX), r"the clock is behind the stamp of X"),
    (depend_on_nobody, r"Y~\w+:1 comes .* before N~\w+:1"),
    (lambda it: set_state(it, 3, 1), r"the log has \d+ bytes, but 1 are recorded"),
    (no_floor, r"the log lacks X~\w+:1, and goes on at X~\w+:2"),
    (floor_beyond, r"the floor names X~\w+:99, which is not delivered"),
    (set_record("meta", b"floor", pack({NOBODY: 1})), r"the floor names N~\w+:1, which"),
    (set_record("meta", b"floor", pack([1])), r"the floor must be a map"),
    (set_record("meta", b"floor", b"\xc1"), r"unreadable records"),
    # its index
    (no_index, r"log position 3 is not in the index"),
    (index_of_another, r"the index has b.* for log position 3"),
    (index_of_another, r"the index has b.* for b'X~"),
    (index_of_nothing, r"the index has b'N~.*, which is not in the log"),
    # the table
    (set_digest, r"the table has the digest \w{32}, but 0{32} is recorded"),
    (change_value, r"the table has the digest \w{32}, but \w{32} is recorded"),
    (drop_key, r"the table has the digest \w{32}, but \w{32} is recorded"),
    (swap_siblings, r"key b'a': its winner does not come first"),
    (double_sibling, r"key b'a': two versions by one origin"),
    (seq_beyond, r"key b'c': a version by X~\w+:99, which is not delivered"),
    (set_version(1, NOBODY), r"key b'c': a version by N~\w+:3, which is not delivered"),
    (set_version(1, "nobody"), r"key b'c': a version is by 'nobody', which is no origin"),
    (set_version(0, 10**15), r"key b'c': a version with a stamp beyond the clock"),
    (set_version(0, -1), r"key b'c': a version's stamp must be an integer"),
    (set_version(2, 0), r"key b'c': a version's seq must be an integer"),
    (set_version(3, "text"), r"key b'c': a value must be bytes"),
    (set_record("table0", b"c", b""), r"key b'c': versions is not sound msgpack"),
    (set_record("table0", b"c", pack([])), r"key b'c': versions .* here are 0"),
    (set_record("table0", b"c", pack([1, 2, 3])), r"key b'c': versions must be of 5 parts each"),
    (set_record("table0", b"c", pack({"a": 2})), r"key b'c': versions is not sound msgpack"),
    (set_record("table0", b"k" * 5000, pack([1])), r"a key must have at most 4096 bytes"),
    (set_version(4, 0), r"key b'c': an expiry must be an integer"),
    # what expires
    (set_version(4, 9), r"key b'c': it is not listed that a version expires"),
    (drop_due, r"key b'g': it is not listed that a version expires"),
    (set_record("due0", due_key(9, b"c"), b""), r"key b'c': a version is listed to expire that is"),
    (set_record("due0", b"short", b""), r"b'short' stands in the list of what expires"),
    # what the node knows of itself
    (lambda it: set_state(it, 0, 99), r"has format 99"),
    (lambda it: set_state(it, 1, 1), r"the clock is behind the last stamp of X~\w+"),
    (lambda it: set_state(it, 1, "late"), r"the clock must be an integer"),
    (no_state, r"the store has data, but no record of its state"),
    (set_record("meta", b"live", b"\7"), r"unreadable records"),
    (set_record("meta", b"live", b"\1"), r"the table has the digest 0{32}, but \w{32} is recorded"),
    (set_record("meta", b"other", b""), r"meta has a record b'other', which is none of kvnode's"),
    (set_record("meta", b"origin/X", b""), r"meta has a record b'origin/X', which is none"),
    (origin_cut, r"the state of Y~\w+ can't be read"),
    (lambda it: set_origin(it, "Y", 0, lambda _: 0), r"the state of Y~\w+ can't be read"),
    (lambda it: set_origin(it, "Y", 0, lambda _: 9), r"ends at Y~\w+:3, but 9 is delivered"),
    (lambda it: set_origin(it, "Y", 0, lambda _: 2), r"ends at Y~\w+:3, but 2 is delivered"),
    (set_own(b"\xc1"), r"what is confirmed is not sound msgpack"),
    (set_own(pack([NOBODY, b""])), r"what is confirmed must"),
    (set_own(pack([NOBODY, b"", [], []])), r"an origin and its state, or nothing"),
    (set_own(pack(["", pack([1]), [], []])), r"an origin and its state, or nothing"),
    (set_own(pack([[], b"", [], []])), r"an origin and its state, or nothing"),
    (set_own(pack(["", b"", [], ["X"]])), r"names 'X', which is no origin"),
    (set_own(pack(["", b"", ["X"], []])), r"names 'X', which is no origin"),
    (set_own(pack(["X", pack([1]), [], []])), r"names 'X', which is no origin"),
    (set_own(pack([NOBODY, pack([1]), [], []])), r"an origin's state must"),
    (own_beyond, r"what is confirmed names N~\w+:3, which is not delivered"),
    (no_origin, r"the log has Y~\w+:3, but no state of its origin"),
    (row_beyond, r"the row of Y~\w+ names X~\w+:9, which is not delivered"),
    (row_not_normal, r"the row of Y~\w+ is not in normal form"),
    (row_of_another_past, r"the row of X~\w+ is not what its batches make it"),
    (ends_each_other, r"X~\w+ ends what ends it"),
    (ends_beyond, r"the ends of X~\w+ names X~\w+:4, which is not delivered"),
    (ends_lower, r"the ends of X~\w+ are not those of its first batch"),
    (ends_of_another, r"the ends of Y~\w+ name other than its name's other incarnations"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES)
def test_a_damage_is_told(
    directory: Path, damage: Callable[[Families], None], complaint: str
) -> None:
    with families_of(directory) as families:
        damage(families)
    findings = check(directory).findings
    assert findings.problems_count >= 1
    told = "\n".join(findings.problems)
    assert re.search(complaint, told), told
