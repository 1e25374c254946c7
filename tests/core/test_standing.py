"""Standing: how far others have this node's own writes from the same past.

The node is named N; Y is a peer, which says what it has; one may be another process of N's name.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kvnode.core import standing
from kvnode.core.batch import Batch, Change
from kvnode.core.chain import NO_CHAIN, chained, checks_of, unknown_checks
from kvnode.core.messages import Claim, OriginState, OwnPast, Pull
from kvnode.core.standing import OPENED_MAX, OWN_STATES_MAX, Inquiry, Outcome, Standing
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, new_origin

N1, N2, N3, Y1 = (new_origin(name, at, at) for at, name in enumerate("NNNY", 1))
NX = new_origin("N.x", 1, 1)
TWIN = "N at 10.0.0.7:7411"


def batch(origin: str, first: int, last: int = 0, branch: str = "a") -> Batch:
    writes = ((Change(b"k", b"v"),),) * (1 + (last or first) - first)
    return Batch(origin, first, {}, 1, writes, f"{branch} {origin} {first}".encode())


def chain(origin: str, seq: int, branch: str = "a") -> bytes:
    return chained(f"{branch} {origin} {seq}".encode())


class Node:
    """N, each of whose batches has one write."""

    def __init__(self, past: OwnPast | None = None) -> None:
        self.cut = Cut.restored({}, {})
        self.standing = Standing("N", past or OwnPast(), self.cut)
        self.log: dict[Dot, Batch] = {}

    def starts_anew(self, *, doubtful: tuple[str, ...] | None = None) -> Node:
        """Another process of it, with what is saved."""
        past = self.standing.past
        if doubtful is not None:
            past = past._replace(doubtful=doubtful)
        later = Node()
        later.cut, later.log = self.cut, self.log
        later.standing = Standing("N", past, self.cut)
        return later

    def opens(self, origin: str, ends: Mapping[str, int] | None = None) -> None:
        self.standing.opens(origin)
        self.writes(origin, 1, ends)

    def writes(self, origin: str, seq: int, ends: Mapping[str, int] | None = None) -> None:
        made = batch(origin, seq)
        self.log[Dot(origin, seq)] = made
        self.cut.advance(origin, seq, ends or {})
        self.standing.made(origin, self.state(origin, seq))

    def state(self, origin: str, seq: int) -> OriginState:
        return OriginState(seq, 1, {}, {}, chain(origin, seq))

    def chain_at(self, dot: Dot) -> bytes:
        return chain(*dot) if dot in self.log else NO_CHAIN

    def hears(
        self, delivered: Mapping[str, int], branch: str | None = "a", name: str = "Y"
    ) -> Dot | None:
        checks = unknown_checks(delivered)
        if branch is not None:
            checks = checks_of(delivered, lambda origin: chain(origin, delivered[origin], branch))
        claim = Claim(name, 1, delivered, delivered, 0, {}, 1, checks=checks)
        return self.standing.heard(claim, self.chain_at)

    def gets(self, *theirs: Batch) -> bool:
        return self.standing.compare(theirs, self.log.get)

    @property
    def inquiry(self) -> Inquiry:
        assert self.standing.inquiry is not None
        return self.standing.inquiry


@pytest.fixture
def node() -> Node:
    """It has made three writes, the first of which is confirmed, and may have gone back."""
    node = Node()
    node.opens(N1)
    node.hears({N1: 1})
    node.writes(N1, 2)
    node.writes(N1, 3)
    node.standing.doubt()
    return node


# --- what is confirmed


def test_at_first_all_of_its_own_is_unconfirmed() -> None:
    node = Node()
    node.opens(N1)
    node.writes(N1, 2)
    assert node.standing.unconfirmed() == {N1: 1}


def test_an_incarnation_that_was_opened_and_has_no_write_has_none_unconfirmed() -> None:
    node = Node()
    node.standing.opens(N1)
    assert node.standing.unconfirmed() == {}


def test_a_claim_with_the_same_check_confirms_up_to_there(node: Node) -> None:
    assert node.standing.past == OwnPast(N1, node.state(N1, 1), doubtful=(N1,))
    assert node.standing.unconfirmed() == {N1: 2}
    node.hears({N1: 2})
    assert node.standing.unconfirmed() == {N1: 3}
    node.hears({N1: 3})
    assert node.standing.unconfirmed() == {}


def test_a_claim_of_which_no_chain_is_known_confirms_nothing(node: Node) -> None:
    node.hears({N1: 3}, branch=None)
    assert node.standing.unconfirmed() == {N1: 2}
    assert node.standing.inquiry is None


def test_a_claim_that_is_late_takes_nothing_back(node: Node) -> None:
    node.hears({N1: 3})
    node.hears({N1: 2})
    assert node.standing.past.seq == 3


def test_a_later_incarnation_confirms_those_before_it() -> None:
    node = Node()
    node.opens(N1)
    node.opens(N2, {N1: 1})
    node.opens(N3, {N2: 1})
    assert node.standing.unconfirmed() == {N1: 1, N2: 1, N3: 1}
    node.hears({N2: 1})
    assert node.standing.past == OwnPast(N2, node.state(N2, 1), (N3,))
    assert node.standing.unconfirmed() == {N3: 1}
    node.hears({N1: 1})
    assert node.standing.past.origin == N2


def test_what_was_written_since_the_latest_confirmed_comes_before_what_was_opened(
    node: Node,
) -> None:
    node.opens(N2, {N1: 3})
    assert list(node.standing.unconfirmed().items()) == [(N1, 2), (N2, 1)]


def test_a_state_that_is_not_remembered_any_more_is_not_confirmed() -> None:
    node = Node()
    node.opens(N1)
    for seq in range(2, OWN_STATES_MAX + 2):
        node.writes(N1, seq)
    node.hears({N1: 1})
    assert node.standing.past.origin == ""
    node.hears({N1: 2})
    assert node.standing.past.seq == 2


def test_others_names_are_none_of_its_own(node: Node) -> None:
    for origin in (Y1, NX):
        node.cut.advance(origin, 1, {})
    assert node.hears({Y1: 1, NX: 1}, branch="b") is None
    assert node.standing.inquiry is None


def test_who_opens_more_than_it_remembers_gives_up_the_earliest(node: Node) -> None:
    opened = [new_origin("N", 9, at) for at in range(OPENED_MAX + 1)]
    for origin in opened[:-1]:
        node.standing.opens(origin)
    assert node.standing.past == OwnPast(N1, node.state(N1, 1), tuple(opened[:-1]), (N1,))
    node.standing.opens(opened[-1])
    assert node.standing.past == OwnPast(opened=tuple(opened[1:]), doubtful=(N1,))
    assert node.standing.unconfirmed() == {}


# --- quiet


def test_in_doubt_it_is_quiet_until_it_has_heard_what_a_peer_has(node: Node) -> None:
    assert node.standing.is_quiet
    node.hears({Y1: 1})
    assert not node.standing.is_quiet


def test_who_has_nothing_unconfirmed_has_nothing_to_be_quiet_about(node: Node) -> None:
    node.hears({N1: 3})
    node.standing.doubt()
    assert not node.standing.is_quiet


def test_a_peer_that_asks_and_names_nothing_unconfirmed_ends_it_as_well(node: Node) -> None:
    node.standing.is_asked({Y1: 4, N1: 1})
    assert not node.standing.is_quiet


@pytest.mark.parametrize("seq", [4, 3, 2])
def test_one_that_names_what_may_be_doubled_does_not(node: Node, seq: int) -> None:
    """A question tells no chains: it may be another write that the peer has there."""
    node.standing.is_asked({N1: seq})
    assert node.standing.is_quiet


def test_one_that_names_an_incarnation_that_is_not_here_does_not(node: Node) -> None:
    node.standing.is_asked({N2: 1})
    assert node.standing.is_quiet
    node.standing.is_asked({NX: 1})
    assert not node.standing.is_quiet


def test_a_doubt_is_remembered_by_the_process_that_starts_then(node: Node) -> None:
    node = node.starts_anew()
    assert node.standing.is_quiet
    node.hears({N1: 4})
    node.standing.gives_up()
    assert node.standing.parting == Dot(N1, 1)


def test_it_is_over_once_all_is_confirmed(node: Node) -> None:
    node.hears({N1: 2})
    assert node.starts_anew().standing.is_quiet, "the third write may be another one elsewhere"
    node.hears({N1: 3})
    assert not node.standing.past.doubtful
    node.writes(N1, 4)
    assert not node.starts_anew().standing.is_quiet


def test_it_goes_on_while_what_was_opened_later_is_unconfirmed(node: Node) -> None:
    node.opens(N2, {N1: 3})
    node.opens(N3, {N2: 1})
    node.hears({N2: 1})
    assert node.standing.past.doubtful
    node.hears({N3: 1})
    assert not node.standing.past.doubtful


def test_who_starts_without_a_doubt_or_without_writes_is_not_quiet(node: Node) -> None:
    assert not node.starts_anew(doubtful=()).standing.is_quiet
    assert not Node(OwnPast(doubtful=(N1,))).standing.is_quiet


def test_while_it_inquires_neither_a_claim_nor_a_question_ends_it(node: Node) -> None:
    node.hears({N1: 4})
    node.hears({Y1: 1}, name="Z")
    node.standing.is_asked({})
    assert node.standing.inquiry is not None and node.standing.is_quiet


def test_nor_while_there_is_something_to_mend(node: Node) -> None:
    node.hears({N1: 2}, branch="b")
    node.gets(batch(N1, 2, branch="b"))
    node.hears({Y1: 1}, name="Z")
    node.standing.is_asked({})
    assert node.standing.parting is not None and node.standing.is_quiet


# --- when it inquires


@pytest.mark.parametrize(("seq", "branch", "is_certain"), [(2, "b", True), (4, "a", False)])
def test_it_inquires_of_who_has_another_history_or_more(
    node: Node, seq: int, branch: str, is_certain: bool
) -> None:
    node.hears({N1: seq, Y1: 7}, branch)
    inquiry = node.inquiry
    assert (inquiry.origin, inquiry.compared, inquiry.last) == (N1, 1, min(seq, 3))
    assert inquiry.is_certain == is_certain
    assert inquiry.question() == Pull("Y", {Y1: 7, N1: 1})
    assert node.standing.is_quiet


def test_it_inquires_though_it_has_no_doubt(node: Node) -> None:
    node.hears({Y1: 1})
    node.hears({N1: 2}, branch="b")
    assert node.standing.inquiry is not None and node.standing.is_quiet


def test_who_has_the_same_is_not_asked(node: Node) -> None:
    for seq in (1, 2, 3):
        node.hears({N1: seq})
    assert node.standing.inquiry is None


def test_who_has_more_of_what_is_confirmed_is_not_asked(node: Node) -> None:
    """It goes on from the same past; the node must only not write there any more."""
    node.hears({N1: 3})
    node.hears({N1: 4})
    assert node.standing.inquiry is None


def test_one_peer_is_asked_at_a_time(node: Node) -> None:
    node.hears({N1: 4})
    node.hears({N1: 2}, branch="b", name="Z")
    assert node.inquiry.claim.name == "Y"


def test_an_incarnation_that_no_peer_has_confirmed_is_asked_for_from_where_it_begins() -> None:
    node = Node(OwnPast(N1, OriginState(1, 1, {}, {}, b"")))
    node.writes(N1, 1)
    node.opens(N2, {N1: 1})
    node.hears({N2: 1, Y1: 7}, branch="b")
    assert node.inquiry.question().vector == {Y1: 7, N1: 1}
    assert node.inquiry.compared == 0


def test_what_is_confirmed_and_differs_elsewhere_is_beyond_help(node: Node) -> None:
    node.hears({N1: 3})
    node.opens(N2, {N1: 3})
    node.hears({N2: 1})
    assert node.hears({N1: 2}, branch="b", name="Z") == Dot(N1, 2)
    assert node.standing.inquiry is None and not node.standing.is_quiet


def test_so_is_what_is_confirmed_of_an_incarnation_that_goes_on(node: Node) -> None:
    """To move what was written since would not bring the two together."""
    assert node.hears({N1: 1}, branch="b", name="Z") == Dot(N1, 1)
    assert node.standing.inquiry is None


# --- what it finds


def test_where_both_have_the_same_it_goes_on(node: Node) -> None:
    node.hears({N1: 4})
    assert node.gets(batch(N1, 2), batch(N1, 3))
    assert node.standing.inquiry is None and not node.standing.is_quiet
    assert node.standing.parting is None


@pytest.mark.parametrize("differs", [2, 3])
def test_the_first_batch_that_differs_is_where_they_part(node: Node, differs: int) -> None:
    node.hears({N1: 3}, branch="b")
    theirs = [batch(N1, seq, branch="b" if seq >= differs else "a") for seq in (2, 3)]
    assert node.gets(*theirs)
    assert node.standing.parting == Dot(N1, differs - 1)
    assert node.standing.inquiry is None and node.standing.is_quiet


def test_an_answer_in_pieces_is_compared_piece_by_piece(node: Node) -> None:
    node.hears({N1: 3}, branch="b")
    assert node.gets(batch(N1, 2))
    assert node.inquiry.compared == 2
    assert not node.gets(batch(N1, 2)), "it brought nothing that is new"
    assert not node.gets()
    assert node.gets(batch(N1, 3, branch="b"))
    assert node.standing.parting == Dot(N1, 2)


def test_what_it_did_not_ask_for_is_passed_over(node: Node) -> None:
    node.hears({N1: 3}, branch="b")
    assert node.gets(batch(Y1, 2, branch="b"), batch(N2, 2, branch="b"), batch(N1, 2))
    assert node.inquiry.compared == 2


def test_what_comes_again_or_leaves_out_something_tells_nothing(node: Node) -> None:
    node.hears({N1: 3}, branch="b")
    assert not node.gets(batch(N1, 3, branch="b"))
    assert node.inquiry.compared == 1
    node.gets(batch(N1, 2))
    assert not node.gets(batch(N1, 1, branch="b"), batch(N1, 1))
    assert node.inquiry.compared == 2


def test_more_than_is_here_is_not_compared(node: Node) -> None:
    node.hears({N1: 9})
    assert node.gets(batch(N1, 2), batch(N1, 3), batch(N1, 4, branch="b"))
    assert node.standing.parting is None


def test_batches_of_another_size_part_where_they_begin(node: Node) -> None:
    node.hears({N1: 3}, branch="b")
    node.gets(batch(N1, 2, last=3, branch="b"))
    assert node.standing.parting == Dot(N1, 1)


# --- what it can't find


def test_what_is_unconfirmed_counts_as_doubled_if_nobody_can_tell(node: Node) -> None:
    node.hears({N1: 4})
    node.standing.gives_up()
    assert node.standing.parting == Dot(N1, 1)
    assert node.standing.is_quiet


def test_so_it_does_if_it_is_not_in_the_log_any_more(node: Node) -> None:
    node.hears({N1: 4})
    del node.log[Dot(N1, 2)]
    assert node.gets(batch(N1, 2))
    assert node.standing.parting == Dot(N1, 1)


@pytest.mark.parametrize(("branch", "parting"), [("a", None), ("b", Dot(N1, 1))])
def test_what_a_process_before_wrote_counts_only_if_it_surely_differs(
    node: Node, branch: str, parting: Dot | None
) -> None:
    """An older disk that was put back knows less of it, and has not written since."""
    node = node.starts_anew(doubtful=())
    node.hears({N1: 4} if branch == "a" else {N1: 3}, branch)
    node.standing.gives_up()
    assert node.standing.parting == parting
    assert node.standing.is_quiet == (parting is not None)


def test_what_a_process_before_wrote_and_was_in_doubt_of_counts(node: Node) -> None:
    node.standing.written.clear()
    node.hears({N1: 4})
    node.standing.gives_up()
    assert node.standing.parting == Dot(N1, 1)


def test_a_doubt_is_only_of_what_the_process_wrote_that_has_it(node: Node) -> None:
    """Its disk may be an older one that was put back: peers have more of what that one wrote."""
    node = node.starts_anew(doubtful=())
    node.opens(N2, {N1: 3})
    node.standing.doubt()
    assert node.standing.past.doubtful == (N2,)
    node.hears({N1: 4})
    node.standing.gives_up()
    assert node.standing.parting is None


def test_who_starts_in_doubt_is_quiet_until_all_of_its_own_is_confirmed(node: Node) -> None:
    past = node.standing.past
    assert past.doubtful
    node.standing = Standing("N", past, node.cut)
    assert node.standing.is_quiet
    node.standing.made(N1, node.state(N1, 3))
    node.hears({N1: 3})
    assert not node.standing.is_quiet and not node.standing.past.doubtful
    node.standing.doubt()
    assert not node.standing.past.doubtful, "there is nothing to be in doubt of"


def test_what_was_opened_by_this_process_is_its_own_whichever_replica_opened_it(
    node: Node,
) -> None:
    assert node.standing.written == {N1}


def test_nobody_is_called_for_a_mere_guess(node: Node) -> None:
    """No peer named the incarnation, and none could tell."""
    node.hears({N2: 1})
    node.standing.gives_up()
    assert node.standing.parting == Dot(N1, 1)
    assert not node.standing.drops_the_mend()
    assert not node.standing.is_quiet and not node.standing.takes_a_person
    node.hears({N2: 1})
    assert node.standing.inquiry is None, "it was ruled out"


def test_beyond_help_it_stays_quiet_and_asks_nobody_any_more(node: Node) -> None:
    node.hears({N1: 2}, branch="b")
    node.gets(batch(N1, 2, branch="b"))
    node.standing.drops_the_mend()
    for _ in range(2):
        node.hears({N1: 2}, branch="b")
        node.standing.is_asked({})
    assert node.standing.parting is None and node.standing.inquiry is None
    assert node.standing.is_quiet


# --- two processes of one name


def test_of_two_processes_just_one_mends() -> None:
    """Each hears the other, as one that runs twice does."""
    partings = []
    for mine, others in (("a", "b"), ("b", "a")):
        own, theirs = batch(N1, 2, branch=mine), batch(N1, 2, branch=others)
        claim = Claim(TWIN, 1, {N1: 2}, {}, 0, {}, 1)
        inquiry = Inquiry(claim, N1, 1, 2, True, {}, is_twin=True)
        partings.append(inquiry.compare([theirs], {Dot(N1, 2): own}.get))
    assert sorted(partings, key=lambda it: it.name) == [Outcome.PARTED, Outcome.SAME]


@pytest.mark.parametrize(("name", "is_twin"), [(TWIN, True), ("Y", False), ("N.x", False)])
def test_a_twin_is_known_by_what_it_is_called(node: Node, name: str, is_twin: bool) -> None:
    node.hears({N1: 2}, branch="b", name=name)
    assert node.inquiry.is_twin == is_twin


# --- another history that a later incarnation implies


def test_an_incarnation_that_is_not_here_may_imply_another_history(node: Node) -> None:
    node.hears({N2: 1})
    assert (node.inquiry.origin, node.inquiry.compared, node.inquiry.last) == (N1, 1, 3)
    assert node.standing.is_quiet
    node.gets(batch(N1, 2, branch="b"))
    assert node.standing.parting == Dot(N1, 1)


def test_it_implies_none_if_nothing_else_comes_before_it(node: Node) -> None:
    node.hears({N2: 1})
    assert node.gets(batch(N1, 2), batch(N2, 1))
    assert (node.standing.inquiry, node.standing.parting) == (None, None)
    node.hears({N2: 1})
    assert node.standing.inquiry is None, "it was asked about once"
    assert not node.standing.is_quiet


def test_what_else_came_is_not_asked_for_again(node: Node) -> None:
    node.hears({N2: 1})
    assert node.gets(batch(N3, 1))
    assert node.inquiry.question() == Pull("Y", {N3: 1, N1: 1})
    assert not node.gets(batch(N3, 1))


def test_each_incarnation_that_has_something_unconfirmed_is_asked_about(node: Node) -> None:
    node.opens(N2, {N1: 3})
    node.hears({N3: 1})
    node.gets(batch(N3, 1))
    node.hears({N3: 1})
    assert node.inquiry.origin == N2


def test_nor_is_what_goes_on_of_an_incarnation_that_is_ended() -> None:
    node = Node()
    node.opens(N1)
    node.opens(N2, {N1: 1})
    node.hears({N2: 2})
    assert node.inquiry.origin == N2
    assert node.inquiry.question() == Pull("Y", {N1: 1})
    assert node.gets(batch(N1, 2))
    assert node.inquiry.question() == Pull("Y", {N1: 2})


def test_what_a_peer_confirms_is_confirmed_before_it_is_asked_about_anything(node: Node) -> None:
    node.hears({N1: 3, N2: 1})
    assert node.standing.unconfirmed() == {}
    assert node.standing.inquiry is None


def test_who_has_the_same_incarnation_has_what_it_ends() -> None:
    """That may be of another process of this name, which did not open it here."""
    node = Node()
    node.opens(N1)
    node.writes(N1, 2)
    node.writes(N2, 1, {N1: 2})
    node.hears({N2: 1})
    assert node.standing.past == OwnPast(N1, node.state(N1, 2))


def test_what_nobody_tells_the_chain_of_is_compared_once(node: Node) -> None:
    node.opens(N2, {N1: 3})
    node.hears({N1: 2}, branch=None)
    assert (node.inquiry.origin, node.inquiry.last) == (N1, 2)
    node.gets(batch(N1, 2))
    node.hears({N1: 2}, branch=None)
    assert node.standing.inquiry is None


def test_what_was_compared_with_who_has_more_is_not_compared_with_each_claim(node: Node) -> None:
    """What is missing comes by and by; nothing is written there but from where that ends."""
    node.hears({N1: 9})
    node.gets(batch(N1, 2), batch(N1, 3))
    node.hears({N1: 9})
    assert node.standing.inquiry is None
    node.hears({N1: 3}, branch="b", name="Z")
    assert node.standing.inquiry is not None, "this one surely differs"


def test_what_was_ruled_out_is_remembered_of_so_many(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "RULED_OUT_MAX", 2)
    heads = [new_origin("N", 8, at) for at in range(3)]
    for head in heads:
        node.hears({head: 1})
        node.gets(batch(head, 1))
        node.hears({head: 1})
        assert node.standing.inquiry is None
    node.hears({heads[0]: 1})
    assert node.inquiry.head == heads[0]


def test_while_it_compares_nothing_is_confirmed(node: Node) -> None:
    past = node.standing.past
    node.hears({N2: 1})
    assert node.standing.inquiry is not None
    node.hears({N1: 3}, name="Z")
    assert node.standing.past == past


# --- what is to be moved


def test_what_comes_before_the_incarnation_that_parts_is_not_moved(node: Node) -> None:
    node.opens(N2, {N1: 3})
    node.opens(N3, {N2: 1})
    assert list(node.standing.unconfirmed_from(N1).items()) == [(N1, 2), (N2, 1), (N3, 1)]
    assert node.standing.unconfirmed_from(N2) == {N2: 1, N3: 1}
    assert node.standing.unconfirmed_from(N3) == {N3: 1}
    assert node.standing.unconfirmed_from(Y1) == {}


# --- a peer of which there is a snapshot


def theirs(seq: int, branch: str | None = "a") -> dict[str, OriginState]:
    stands = NO_CHAIN if branch is None else chain(N1, seq, branch)
    return {N1: OriginState(seq, 1, {}, {}, stands)}


@pytest.mark.parametrize("seq", [2, 3])
def test_a_snapshot_of_another_history_parts_from_what_is_confirmed_on(
    node: Node, seq: int
) -> None:
    assert node.standing.parting_from(theirs(seq, "b"), node.chain_at) == Dot(N1, 1)


@pytest.mark.parametrize("branch", ["a", None])
def test_one_of_the_same_history_parts_nowhere(node: Node, branch: str | None) -> None:
    assert node.standing.parting_from(theirs(3, branch), node.chain_at) is None
    assert node.standing.parting_from({}, node.chain_at) is None


def test_one_that_has_more_may_have_another_history(node: Node) -> None:
    assert node.standing.parting_from(theirs(4), node.chain_at) == Dot(N1, 1)
    assert node.starts_anew().standing.parting_from(theirs(4), node.chain_at) == Dot(N1, 1)
    node = node.starts_anew(doubtful=())
    assert node.standing.parting_from(theirs(4), node.chain_at) is None


def test_what_a_snapshot_shows_is_mended_as_if_it_had_been_compared(node: Node) -> None:
    node.hears({N1: 4})
    assert node.standing.finds(Dot(N1, 1))
    assert (node.standing.parting, node.standing.inquiry) == (Dot(N1, 1), None)
    assert node.standing.is_quiet


def test_but_not_where_it_takes_a_person(node: Node) -> None:
    node.standing.drops_the_mend()
    assert not node.standing.finds(Dot(N1, 1))
    assert node.standing.parting is None


def test_what_others_have_written_after_is_confirmed_and_saved(node: Node) -> None:
    node.standing.is_relied_on(Dot(N1, 2))
    assert node.standing.unconfirmed() == {N1: 3}
    assert node.standing.must_save


def test_so_it_is_if_a_claim_had_confirmed_it_which_is_not_saved_yet(node: Node) -> None:
    node.hears({N1: 2})
    assert (node.standing.unconfirmed(), node.standing.must_save) == ({N1: 3}, False)
    node.standing.is_relied_on(Dot(N1, 2))
    assert node.standing.must_save


def test_what_is_saved_is_not_saved_again(node: Node) -> None:
    node.hears({N1: 2})
    node.standing.saved = node.standing.past
    node.standing.is_relied_on(Dot(N1, 2))
    assert not node.standing.must_save


def test_what_was_confirmed_once_it_was_found_out_that_they_part_is_not_moved(node: Node) -> None:
    node.hears({N1: 3}, branch="b")
    node.gets(batch(N1, 2, branch="b"))
    assert node.standing.mends_after() == Dot(N1, 1)
    node.standing.is_relied_on(Dot(N1, 2))
    assert node.standing.mends_after() == Dot(N1, 2)
    node.standing.is_relied_on(Dot(N1, 3))
    assert node.standing.mends_after() is None
    assert (node.standing.parting, node.standing.is_quiet) == (None, False)
