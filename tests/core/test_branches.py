"""Branches: no node builds on one history of an origin what was made on another.

A node named N; X is its peer, of which a batch that comes is of this branch or of another one.
"""

from __future__ import annotations

import pytest

from kvnode.core.alarms import Alarms
from kvnode.core.batch import Batch, Change
from kvnode.core.branches import Branches
from kvnode.core.chain import NO_CHAIN, OWN_CHAINS_MAX, chained, check_of
from kvnode.core.state import State
from kvnode.core.vector import Dot, Vector, new_origin
from kvnode.storage.memory import MemoryDisk, MemoryStore

X1, X2, X3, N1, N2 = (
    new_origin(name, at, at) for name, at in [("X", 1), ("X", 2), ("X", 3), ("N", 1), ("N", 2)]
)
ANOTHER = b"another."


def batch(
    origin: str,
    first: int,
    previous: bytes = NO_CHAIN,
    *,
    writes: int = 1,
    deps: Vector | None = None,
    checks: bytes = b"",
    encoded: bytes = b"",
) -> Batch:
    made = ((Change(b"key", b"value"),),) * writes
    encoded = encoded or f"{origin}:{first}".encode()
    return Batch(origin, first, deps or {}, 1, made, encoded, previous, checks)


def chain_at(origin: str, first: int) -> bytes:
    return chained(f"{origin}:{first}".encode())


class Node:
    """What decides at N, after these deliveries."""

    def __init__(self, *delivered: Batch) -> None:
        store = MemoryStore(MemoryDisk())
        self.state = State(store.load(), store, lambda *_: None)
        self.alarms = Alarms("N")
        #: What the log has, beside what is delivered here.
        self.log: list[Batch] = []
        self.branches = Branches("N", self.state, self.alarms, self._logged)
        for each in delivered:
            self.state.deliver(each)
        self.state.begin()

    def _logged(self, dot: Dot) -> Batch | None:
        held = (it for it in self.log if it.origin == dot.origin and it.first <= dot.seq <= it.last)
        return next(held, None)

    def takes(self, each: Batch) -> bool:
        fits = self.branches.fits(each)
        assert fits or not self.alarms.raised or list(self.alarms.raised) == ["doubled X"]
        return fits

    def refuses_with_an_alarm(self, each: Batch) -> bool:
        assert not self.alarms.raised
        return not self.takes(each) and "doubled X" in self.alarms.raised

    def lets_wait(self, each: Batch) -> bool:
        return not self.takes(each) and not self.alarms.raised


# --- the next batch of an origin


def test_what_goes_on_from_the_last_batch_is_taken() -> None:
    assert Node(batch(X1, 1)).takes(batch(X1, 2, chain_at(X1, 1)))


def test_what_goes_on_from_another_batch_is_of_another_branch() -> None:
    assert Node(batch(X1, 1)).refuses_with_an_alarm(batch(X1, 2, ANOTHER))


def test_what_comes_early_may_be_of_any_branch() -> None:
    assert Node(batch(X1, 1)).takes(batch(X1, 3, ANOTHER))


def test_what_was_made_before_there_were_chains_is_taken() -> None:
    assert Node(batch(X1, 1)).takes(batch(X1, 2))
    node = Node(batch(X1, 1))
    node.state.origins[X1] = node.state.origins[X1]._replace(chain=NO_CHAIN)
    assert node.takes(batch(X1, 2, ANOTHER))


def test_what_goes_on_beyond_its_end_goes_on_from_what_the_disk_has() -> None:
    node = Node(batch(X1, 1), batch(X2, 1, deps={X1: 1}))
    node.state.origins[X2] = node.state.origins[X2]._replace(chain=ANOTHER)
    assert node.takes(batch(X1, 2, chain_at(X1, 1)))
    assert node.refuses_with_an_alarm(batch(X1, 2, ANOTHER))


# --- the first batch of an incarnation


def test_an_incarnation_that_ends_nothing_begins_a_chain() -> None:
    assert Node().takes(batch(X1, 1))


def test_an_incarnation_goes_on_from_what_it_ends() -> None:
    assert Node(batch(X1, 1)).takes(batch(X2, 1, chain_at(X1, 1), deps={X1: 1}))


def test_one_that_goes_on_from_another_batch_is_of_another_branch() -> None:
    assert Node(batch(X1, 1)).refuses_with_an_alarm(batch(X2, 1, ANOTHER, deps={X1: 1}))


def test_one_that_ends_several_goes_on_from_all_of_them() -> None:
    delivered = batch(X1, 1), batch(X2, 1)
    both = chained(chain_at(X1, 1) + chain_at(X2, 1))
    deps = {X2: 1, X1: 1}
    assert Node(*delivered).takes(batch(X3, 1, both, deps=deps))
    assert Node(*delivered).refuses_with_an_alarm(batch(X3, 1, chain_at(X1, 1), deps=deps))


@pytest.mark.parametrize("seq", [1, 3])
def test_of_one_that_ends_it_elsewhere_nothing_is_known(seq: int) -> None:
    node = Node(batch(X1, 1), batch(X1, 2))
    assert node.takes(batch(X2, 1, ANOTHER, deps={X1: seq}))


def test_one_that_ends_what_is_in_no_chain_here_is_taken() -> None:
    node = Node(batch(X1, 1), batch(X2, 1))
    node.state.origins[X1] = node.state.origins[X1]._replace(chain=NO_CHAIN)
    assert node.takes(batch(X3, 1, ANOTHER, deps={X1: 1, X2: 1}))


# --- overlaps


def test_what_overlaps_what_is_here_is_of_another_branch() -> None:
    delivered = batch(X1, 1, writes=2)
    assert Node(delivered).refuses_with_an_alarm(batch(X1, 2, writes=2))
    assert Node(delivered).refuses_with_an_alarm(batch(X1, 1, writes=3))


def test_what_comes_again_is_no_overlap() -> None:
    node = Node(batch(X1, 1), batch(X1, 2, writes=2))
    assert node.takes(batch(X1, 1)) and node.takes(batch(X1, 2, writes=2))
    assert not node.alarms.raised


# --- what depends on this node's own writes


def own(node: Node, *batches: Batch) -> None:
    for each in batches:
        node.state.deliver(each)
        node.branches.made(each)


def test_what_depends_on_another_branch_of_this_node_waits() -> None:
    node = Node()
    own(node, batch(N1, 1))
    here = check_of(chain_at(N1, 1))
    assert node.takes(batch(X1, 1, deps={N1: 1}, checks=here))
    assert node.lets_wait(batch(X1, 1, deps={N1: 1}, checks=b"else"))
    assert node.takes(batch(X1, 1, deps={N1: 1})), "it is not known what it depends on"


def test_the_check_is_found_among_those_of_other_origins() -> None:
    node = Node()
    own(node, batch(N1, 1))
    here = check_of(chain_at(N1, 1))
    deps = {X2: 1, N1: 1, X3: 1}
    assert node.takes(batch(X1, 1, deps=deps, checks=b"abcd" + here + b"abcd"))
    assert node.lets_wait(batch(X1, 1, deps=deps, checks=here + b"else" + here))


def test_what_depends_on_an_own_batch_before_the_last_is_compared_with_that() -> None:
    node = Node()
    own(node, batch(N1, 1), batch(N1, 2))
    assert node.takes(batch(X1, 1, deps={N1: 1}, checks=check_of(chain_at(N1, 1))))
    assert node.lets_wait(batch(X1, 1, deps={N1: 1}, checks=check_of(chain_at(N1, 2))))


def test_an_own_batch_long_ago_or_to_come_is_compared_with_nothing() -> None:
    node = Node()
    own(node, *(batch(N1, seq) for seq in range(1, OWN_CHAINS_MAX + 2)))
    for seq in (1, OWN_CHAINS_MAX + 2):
        assert node.takes(batch(X1, 1, deps={N1: seq}, checks=b"else"))


def test_an_incarnation_of_this_node_that_another_one_ended_is_known_by_its_last_batch() -> None:
    """As after a start: it was made by another process."""
    node = Node(batch(N1, 1), batch(N2, 1, deps={N1: 1}))
    assert node.lets_wait(batch(X1, 1, deps={N1: 1}, checks=b"else"))
    assert node.lets_wait(batch(X1, 1, deps={N2: 1}, checks=b"else"))
    assert node.takes(batch(X1, 1, deps={N2: 1}, checks=check_of(chain_at(N2, 1))))


def test_what_others_do_with_each_other_is_not_this_nodes_to_judge() -> None:
    node = Node(batch(X2, 1))
    assert node.takes(batch(X1, 1, deps={X2: 1}, checks=b"else"))


def test_an_origin_is_of_this_node_only_by_its_whole_name() -> None:
    other = new_origin("N.x", 1, 1)
    assert Node(batch(other, 1)).takes(batch(X1, 1, deps={other: 1}, checks=b"else"))


def test_what_this_process_did_not_make_is_known_by_the_batch_after_it_in_the_log() -> None:
    node = Node(batch(N1, 1), batch(N1, 2, writes=2))
    node.log = [batch(N1, 2, chain_at(N1, 1), writes=2)]
    assert node.takes(batch(X1, 1, deps={N1: 1}, checks=check_of(chain_at(N1, 1))))
    assert node.lets_wait(batch(X1, 1, deps={N1: 1}, checks=b"else"))


def test_what_ends_in_the_middle_of_a_batch_of_the_log_is_another_branch() -> None:
    node = Node(batch(N1, 1), batch(N1, 2, writes=2))
    node.log = [batch(N1, 2, chain_at(N1, 1), writes=2)]
    assert node.lets_wait(batch(X1, 1, deps={N1: 2}, checks=check_of(chain_at(N1, 1))))


def test_what_came_in_this_turn_counts_as_what_the_log_has() -> None:
    node = Node(batch(X1, 1))
    node.state.deliver(batch(X1, 2, chain_at(X1, 1), writes=2))
    assert not node.takes(batch(X2, 1, ANOTHER, deps={X1: 1}))
    assert node.takes(batch(X2, 1, chain_at(X1, 1), deps={X1: 1}))
    assert not node.takes(batch(X2, 1, chain_at(X1, 2), deps={X1: 2})), "in the middle of a batch"


def test_what_others_surely_wrote_after_own_writes_relies_on_these() -> None:
    node = Node(batch(N1, 1), batch(N1, 2, chain_at(N1, 1)))
    same = batch(X1, 1, deps={N1: 2, X2: 1}, checks=check_of(chain_at(N1, 2)) + b"xxxx")
    assert node.branches.relied_on(same) == [Dot(N1, 2)]
    for checks in (b"else" * 2, bytes(8)):
        assert node.branches.relied_on(batch(X1, 1, deps={N1: 2, X2: 1}, checks=checks)) == []
    assert node.branches.relied_on(same._replace(origin=N2)) == [], "another process is no other"
