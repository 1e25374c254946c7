"""Alarms: what raises them, and what ends them."""

from __future__ import annotations

from dataclasses import replace

from kvnode.core.alarms import Alarms
from kvnode.core.chain import NO_CHAIN, checks_of
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot, Vector, new_origin

X, Y = (new_origin(name, 1, 1) for name in "XY")


def claim(delivered: Vector, digest: int, name: str = "Y") -> Claim:
    return Claim(name, 1, delivered, delivered, digest, {}, 0)


def unknown(origin: str) -> bytes:
    """The chain of what was delivered before chains were kept."""
    return NO_CHAIN


def test_equal_vectors_with_unequal_digests_raise_one() -> None:
    alarms = Alarms("X")
    alarms.compare(claim({X: 1}, 0xABC), {X: 1}, 0xDEF, unknown)
    (text,) = alarms.raised.values()
    assert text.startswith("X and Y have delivered the same writes and hold different states")
    assert f"{0xDEF:032x} and {0xABC:032x}" in text


def test_equal_vectors_with_equal_digests_end_it() -> None:
    alarms = Alarms("X")
    alarms.compare(claim({X: 1}, 1), {X: 1}, 2, unknown)
    alarms.compare(claim({X: 2}, 2), {X: 2}, 2, unknown)
    assert alarms.raised == {}


def test_unequal_vectors_say_nothing() -> None:
    alarms = Alarms("X")
    alarms.compare(claim({X: 1}, 1), {X: 2}, 2, unknown)
    alarms.compare(claim({}, 1), {X: 2}, 2, unknown)
    assert alarms.raised == {}
    alarms.compare(claim({X: 1}, 1), {X: 1}, 2, unknown)
    alarms.compare(claim({X: 3}, 1), {X: 2}, 1, unknown)
    assert len(alarms.raised) == 1, "they may still differ"


def test_equal_vectors_of_different_histories_say_nothing() -> None:
    """One of the two machines went back in time, and mends that."""
    delivered = {X: 1, Y: 2}
    chains = {X: b"8 bytes ", Y: b"8 others"}
    for changed, is_raised in (({}, True), ({Y: b"other 8 "}, False), ({X: NO_CHAIN}, True)):
        alarms = Alarms("X")
        checks = checks_of(delivered, (chains | changed).__getitem__)
        said = replace(claim(delivered, 1), checks=checks)
        alarms.compare(said, delivered, 2, chains.__getitem__)
        assert bool(alarms.raised) == is_raised


def test_each_peer_has_its_own() -> None:
    alarms = Alarms("X")
    for name in "YZ":
        alarms.compare(claim({X: 1}, 1, name), {X: 1}, 2, unknown)
    assert alarms.raised.keys() == {"digest Y", "digest Z"}
    alarms.compare(claim({X: 1}, 2, "Z"), {X: 1}, 2, unknown)
    assert alarms.raised.keys() == {"digest Y"}


def test_a_snapshot_that_is_not_sound_raises_one_until_the_peer_sends_a_sound_one() -> None:
    alarms = Alarms("X")
    alarms.damaged_snapshot("Y")
    alarms.sound_snapshot("Z")
    assert alarms.raised.keys() == {"snapshot Y"}
    alarms.sound_snapshot("Y")
    assert alarms.raised == {}


def test_a_dot_of_two_writes_raises_one_until_its_node_is_forgotten() -> None:
    alarms = Alarms("X")
    alarms.doubled(Dot(Y, 5))
    (text,) = alarms.raised.values()
    assert text.startswith(f"X was sent two different writes as {Y}:5: the machine of Y went back")
    alarms.settled("Z")
    assert alarms.raised
    alarms.settled("Y")
    assert alarms.raised == {}


def test_what_is_wrong_with_a_peer_ends_when_it_is_forgotten() -> None:
    alarms = Alarms("X")
    for name in "YZ":
        alarms.compare(claim({X: 1}, 1, name), {X: 1}, 2, unknown)
        alarms.damaged_snapshot(name)
    alarms.settled("Y")
    assert alarms.raised.keys() == {"digest Z", "snapshot Z"}


def test_a_damaged_table_raises_one_until_a_scrub_finds_it_sound() -> None:
    alarms = Alarms("X")
    alarms.damaged_table("it is torn")
    assert alarms.raised == {"table": "the table of X is damaged: it is torn"}
    alarms.sound_table()
    assert alarms.raised == {}


def test_who_was_forgotten_is_told_until_it_has_joined_again() -> None:
    alarms = Alarms("X")
    alarms.joined()
    alarms.forgotten()
    assert "X was forgotten" in alarms.raised["forgotten"]
    alarms.joined()
    assert alarms.raised == {}


def test_a_clock_that_has_jumped_raises_one_until_it_is_believed_or_back() -> None:
    alarms = Alarms("X")
    alarms.clock(-86_400_000_000, 60_000_000)
    assert alarms.raised == {
        "clock": "the clock of X has jumped by -86400 s; if that was no mistake, it is believed "
        "after 60 s"
    }
    alarms.clock(0, 60_000_000)
    assert alarms.raised == {}


def test_few_descriptors_raise_one_until_there_are_more() -> None:
    alarms = Alarms("X")
    alarms.descriptors(256, are_few=True)
    (text,) = alarms.raised.values()
    assert text.startswith("nearly all of the 256 file descriptors of X are in use")
    alarms.descriptors(256, are_few=False)
    assert alarms.raised == {}
