"""Chains: which of two histories of an origin a batch goes on."""

from __future__ import annotations

import pytest

from kvnode.core.chain import (
    CHAIN_BYTES,
    NO_CHAIN,
    NO_CHECKS,
    OWN_CHAINS_MAX,
    OwnChains,
    chain_of_ends,
    chained,
    check_in,
    check_of,
    checks_of,
    differ,
    unknown_checks,
)
from kvnode.core.vector import Dot, new_origin

X, Y, Z = (new_origin(name, 1, 1) for name in "XYZ")
CHAINS = {X: b"chain X.", Z: b"chain Z."}


def chain_of(origin: str) -> bytes:
    return CHAINS.get(origin, NO_CHAIN)


def test_a_chain_is_a_digest_of_the_batch_that_everybody_makes_alike() -> None:
    """Other versions of kvnode must make the same."""
    assert chained(b"batch").hex() == "0e1d05d0c0ed1714"
    assert len(chained(b"")) == CHAIN_BYTES


def test_checks_are_told_in_the_order_of_the_vector_and_zeros_are_unknown() -> None:
    vector = {Z: 3, Y: 1, X: 2}
    checks = checks_of(vector, chain_of)
    assert checks == b"chai" + bytes(4) + b"chai"
    assert unknown_checks(vector) == bytes(12)
    assert checks_of({}, chain_of) == unknown_checks({}) == NO_CHECKS


def test_a_check_is_found_by_its_origin() -> None:
    vector, checks = {Z: 3, Y: 1, X: 2}, b"zzzz" + bytes(4) + b"xxxx"
    assert [check_in(vector, checks, it) for it in (X, Y, Z)] == [b"xxxx", NO_CHAIN, b"zzzz"]
    assert check_in({Z: 3}, b"zzzz", X) == NO_CHAIN


def test_where_no_checks_are_told_none_is_known() -> None:
    assert check_in({X: 1}, NO_CHECKS, X) == NO_CHAIN


@pytest.mark.parametrize(
    ("ends", "chain"),
    [
        ({}, NO_CHAIN),
        ({X: 1}, b"chain X."),
        ({Z: 1, X: 1}, chained(b"chain X.chain Z.")),
        ({X: 1, Y: 1}, NO_CHAIN),
        ({Y: 1}, NO_CHAIN),
    ],
)
def test_a_first_batch_goes_on_from_all_that_it_ends(ends: dict[str, int], chain: bytes) -> None:
    assert chain_of_ends(ends, chain_of) == chain


def test_what_is_unknown_contradicts_nothing() -> None:
    assert differ(b"one", b"two")
    assert not differ(b"one", b"one")
    assert not any(differ(*pair) for pair in [(b"one", b""), (b"", b"one"), (b"", b"")])


def test_of_its_own_batches_a_node_remembers_the_latest() -> None:
    own = OwnChains()
    for seq in range(1, OWN_CHAINS_MAX + 2):
        own.made(Dot(X, seq), chained(b"%d" % seq))
    found = [own.at(Dot(X, seq)) for seq in (1, 2, OWN_CHAINS_MAX + 1)]
    assert found == [NO_CHAIN, chained(b"2"), chained(b"%d" % (OWN_CHAINS_MAX + 1))]
    assert own.at(Dot(Y, 2)) == NO_CHAIN


def test_a_check_is_the_beginning_of_its_chain() -> None:
    assert (check_of(b"chain X."), check_of(NO_CHAIN)) == (b"chai", b"")
