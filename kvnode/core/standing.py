"""Standing: how far others have this node's own writes from the same past as it has them itself.

A machine that went back in time may have given one dot to two writes before it saw that. They can
only be among those of its own writes that no peer was heard to have by the same chain (see
`chain`): these are *unconfirmed*. So a node that may have gone back, and has unconfirmed writes,
keeps *quiet*: it takes writes, but tells nobody of anything new until it has heard a peer. If that
has another history of an incarnation of this node's, or more of one that has unconfirmed writes,
then the node *inquires*: it fetches that history from where its own is confirmed, and compares.
The first batch that differs is where the two part: see `mending`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import dropwhile
from typing import Final

from kvnode.core.batch import Batch
from kvnode.core.chain import are_same, chained, check_in, check_of, differ
from kvnode.core.messages import Claim, OriginState, OwnPast, Pull
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Vector, name_of

#: States after own batches that are remembered, for a peer to confirm one of them: each has a row
#: with an entry for each member. Who is behind by more batches confirms nothing until it is not.
OWN_STATES_MAX: Final = 256

#: Incarnations that are remembered as opened since a peer has confirmed one: who is alone for so
#: many restarts gives up the earliest, whose doubled writes then take a person to mend.
OPENED_MAX: Final = 64

#: Incarnations that are not here, as those of a copied disk, and that were compared: who has more
#: compares some of them again.
RULED_OUT_MAX: Final = 1024

#: A peer that does not answer so many times in a row is not asked on.
INQUIRY_FAILURES_MAX: Final = 3

#: The batch of the log that has a dot, if one has it.
Logged = Callable[[Dot], Batch | None]

#: The chain of an origin after that write, as far as it is known here.
ChainAt = Callable[[Dot], bytes]


class Outcome(Enum):
    """What an inquiry has found."""

    OPEN = 0
    #: Both have the same, as far as both go.
    SAME = 1
    #: They part after `Inquiry.compared`.
    PARTED = 2
    #: What is here is not in the log any more.
    UNKNOWN = 3


@dataclass(slots=True)
class Inquiry:
    """A comparison of this node's history of one of its incarnations with a peer's."""

    claim: Claim
    origin: str
    #: Both have the same up to here ...
    compared: int
    #: ... and are to be compared up to here.
    last: int
    #: Whether it is known that they part.
    is_certain: bool
    #: What the incarnation ends.
    ends: Mapping[str, int]
    #: Whether the peer is another process of this node's name, which compares as well.
    is_twin: bool
    #: The incarnation that the peer has, and this node not, that may imply another history of this
    #: one; none if the peer names it itself.
    head: str = ""
    #: What else came.
    passed: dict[str, int] = field(default_factory=dict)

    def question(self) -> Pull:
        """Ask on: for what the peer has of this incarnation, and of those that end it."""
        name = name_of(self.origin)
        vector = {o: n for o, n in self.claim.delivered.items() if name_of(o) != name}
        vector |= {self.origin: self.compared} if self.compared else self.ends
        for origin, seq in self.passed.items():
            vector[origin] = max(seq, vector.get(origin, 0))
        return Pull(self.claim.name, vector)

    def compare(self, theirs: Sequence[Batch], logged: Logged) -> Outcome:
        """Compare what came with what is here."""
        for batch in theirs:
            if batch.origin == self.head:
                return Outcome.SAME  # all that it ends came before it
            if batch.origin != self.origin:
                self.passed[batch.origin] = max(batch.last, self.passed.get(batch.origin, 0))
            if batch.origin != self.origin or batch.first != self.compared + 1:
                continue
            own = logged(Dot(self.origin, batch.first))
            if own is None:
                return Outcome.UNKNOWN
            if own.encoded != batch.encoded:
                return Outcome.SAME if self._leaves_it(own, batch) else Outcome.PARTED
            self.compared = batch.last
            if self.compared >= self.last:
                return Outcome.SAME
        return Outcome.OPEN

    def _leaves_it(self, own: Batch, other: Batch) -> bool:
        """Of two processes of this name only one has to mend: the other one does."""
        return self.is_twin and chained(own.encoded) < chained(other.encoded)


class Standing:
    """What a node knows of how others have its own writes."""

    def __init__(self, name: str, past: OwnPast, cut: Cut) -> None:
        self._prefix = f"{name}~"
        #: What another process of this name is called begins so.
        self._twins = f"{name} at "
        #: What is confirmed, and which incarnations were opened since.
        self.past = past
        #: The same, as it was saved last.
        self.saved = past
        self._cut = cut
        self._states: OrderedDict[Dot, OriginState] = OrderedDict()
        #: Whether what is confirmed is to be saved with the next commit, whatever that is.
        self.must_save = False
        #: Whether it tells nobody anything new.
        self.is_quiet = bool(past.doubtful) and bool(self.unconfirmed())
        self.inquiry: Inquiry | None = None
        #: Where a peer's history parts from this node's, that is to be mended.
        self.parting: Dot | None = None
        #: Whether what is to be mended can't be by itself. Then no snapshot may replace it either.
        self.takes_a_person = False
        #: Incarnations of which all that is here was compared with a peer that has more. So they
        #: get no more writes but from there: to compare these as well would fetch all of it again
        #: with each heartbeat until the last one has come.
        self._compared: set[str] = set()
        #: Incarnations that are not here, and of which of those here they imply no other history.
        self._ruled_out: set[tuple[str, str]] = set()
        #: Such a pair, if the parting is there only because nobody could tell.
        self._guessed: tuple[str, str] | None = None
        #: The incarnations that this process has opened, whichever replica did.
        self.written: set[str] = set()

    @property
    def is_comparing(self) -> bool:
        """Whether others may have other writes under dots of this node, and that is not mended."""
        return self.inquiry is not None or self.parting is not None

    @property
    def _may_inquire(self) -> bool:
        return not self.is_comparing and not self.takes_a_person

    def drops_the_mend(self) -> bool:
        """What is to be mended can't be by itself. Then it takes a person, and the node goes on
        telling nobody of it; but nobody is called for what was only guessed, of an incarnation that
        no peer has named. Returns whether it takes one."""
        self.parting, guessed = None, self._guessed
        if guessed is not None:
            self._rule_out(guessed)
            self.is_quiet = False
        else:
            self.takes_a_person = True
        return self.takes_a_person

    def unconfirmed(self) -> dict[str, int]:
        """The own writes that no peer was heard to have: each origin's first one, in order."""
        found = {}
        if self.past.origin and self._seq(self.past.origin) > self.past.seq:
            found[self.past.origin] = self.past.seq + 1
        return found | {origin: 1 for origin in self.past.opened if self._seq(origin)}

    def unconfirmed_from(self, origin: str) -> dict[str, int]:
        """The same without the incarnations before this one."""
        found = self.unconfirmed()
        return dict(dropwhile(lambda it: it[0] != origin, found.items()))

    def opens(self, origin: str) -> None:
        """The node goes on as this incarnation."""
        opened = (*self.past.opened, origin)
        if len(opened) > OPENED_MAX:
            self.past = OwnPast(opened=opened[-OPENED_MAX:], doubtful=self.past.doubtful)
        else:
            self.past = self.past._replace(opened=opened)
        self.written.add(origin)

    def made(self, origin: str, state: OriginState) -> None:
        """The node made a batch, and this is its incarnation's state since."""
        self._states[Dot(origin, state.delivered)] = state
        if len(self._states) > OWN_STATES_MAX:
            self._states.popitem(last=False)

    def doubt(self) -> None:
        """The node may have gone back in time, just now. That is remembered, should the process
        end before it has heard anybody."""
        if self.unconfirmed():
            self.is_quiet = True
            doubtful = tuple(filter(self._is_doubtful, self.unconfirmed()))
            if doubtful != self.past.doubtful:
                self.past = self.past._replace(doubtful=doubtful)

    def is_asked(self, vector: Vector) -> None:
        """A peer asks for what lies beyond this: it is heard. But no chains are told, and what it
        names of unconfirmed writes may be others; its claim will tell."""
        firsts = self.unconfirmed()
        own = {origin: seq for origin, seq in vector.items() if self._is_own(origin)}
        known = all(seq < firsts.get(o, self._seq(o) + 1) for o, seq in own.items())
        if known and self._may_inquire:
            self.is_quiet = False

    def heard(self, claim: Claim, chain_at: ChainAt) -> Dot | None:
        """A peer said what it has. Returns a dot that has another history there, and is beyond what
        this node could mend."""
        if not self.is_comparing:
            self._confirm(claim, chain_at)
        beyond_help, firsts = None, self.unconfirmed()
        for origin, seq in claim.delivered.items():
            mine = self._seq(origin) if self._is_own(origin) else 0
            if not mine:
                continue
            said = check_in(claim.delivered, claim.checks, origin)
            parts = seq <= mine and differ(said, check_of(chain_at(Dot(origin, seq))))
            # Of what was ended nobody tells the chain.
            is_untold = not said and self._cut.succession.is_ended(origin)
            may_part = seq > mine or (is_untold and seq >= firsts.get(origin, seq))
            if parts and seq < firsts.get(origin, mine + 1):
                beyond_help = Dot(origin, seq)
            elif parts or (may_part and origin in firsts and origin not in self._compared):
                self._inquires(claim, Dot(origin, min(mine, seq)), is_certain=parts)
        self._look_for_implied(claim)
        if self._may_inquire:
            self.is_quiet = False
        return beyond_help

    def _confirm(self, claim: Claim, chain_at: ChainAt) -> None:
        """Who has the same chain has the same history, also of what was ended before."""
        for origin, seq in claim.delivered.items():
            if not self._is_own(origin) or not 0 < seq <= self._seq(origin):
                continue
            said = check_in(claim.delivered, claim.checks, origin)
            if are_same(said, chain_at(Dot(origin, seq))):
                self._confirms(Dot(origin, seq))

    def is_relied_on(self, dot: Dot) -> None:
        """A write of others is delivered here that comes after this one: so this one stays, and who
        goes on from that commit has to know. A claim may have told of it before, which alone is
        nothing to save."""
        self._confirms(dot)
        self.must_save = self.must_save or self.past is not self.saved

    def _confirms(self, dot: Dot) -> None:
        self._confirmed(dot)
        for before in self.unconfirmed():
            ended = self._cut.succession.value({dot.origin: dot.seq}, before)
            self._confirmed(Dot(before, ended))

    def meets(self, claim: Claim, dot: Dot) -> bool:
        """A peer with that claim surely has another history up to a dot, of an incarnation that its
        claim need not name, since it was ended. Returns whether this node could mend that."""
        if dot.origin not in self.unconfirmed():
            return False
        self._inquires(claim, dot, is_certain=True)
        return True

    def mends_after(self) -> Dot | None:
        """Where what is to be moved begins; None, and nothing to mend, if all is confirmed now."""
        assert self.parting is not None
        origin, seq = self.parting
        firsts = self.unconfirmed()
        if origin not in firsts:
            self.parting, self.is_quiet = None, False
            return None
        return Dot(origin, max(seq, firsts[origin] - 1))

    def finds(self, dot: Dot) -> bool:
        """A peer's history parts from this one after a dot, or may; whether that is mended."""
        if self.takes_a_person:
            return False
        self.parting, self.inquiry, self._guessed, self.is_quiet = dot, None, None, True
        return True

    def _look_for_implied(self, claim: Claim) -> None:
        """An incarnation that is not here may come after another history of one that is."""
        unknown = [o for o in claim.delivered if self._is_own(o) and not self._seq(o)]
        if not unknown:
            return
        for origin in self.unconfirmed():
            for head in unknown:
                if (head, origin) not in self._ruled_out:
                    last = Dot(origin, self._seq(origin))
                    self._inquires(claim, last, is_certain=False, head=head)

    def _inquires(self, claim: Claim, last: Dot, *, is_certain: bool, head: str = "") -> None:
        """Compare with the peer up to a dot."""
        if not self._may_inquire:
            return
        self.is_quiet = True
        origin, seq = last
        base = self.past.seq if origin == self.past.origin else 0
        ends = self._cut.succession.ends.get(origin, {})
        is_twin = claim.name.startswith(self._twins)
        self.inquiry = Inquiry(claim, origin, base, seq, is_certain, ends, is_twin, head)

    def compare(self, theirs: Sequence[Batch], logged: Logged) -> bool:
        """The peer that is asked answered; whether that brought something."""
        assert self.inquiry is not None
        before = self.inquiry.question()
        outcome = self.inquiry.compare(theirs, logged)
        if outcome is Outcome.OPEN:
            return self.inquiry.question() != before
        is_final = not self.inquiry.is_certain and not self.inquiry.head
        if is_final and outcome is not Outcome.PARTED:
            self._compared.add(self.inquiry.origin)
        if outcome is Outcome.UNKNOWN:
            self.gives_up()
        else:
            self._ends(parts=outcome is Outcome.PARTED)
        return True

    def parting_from(self, origins: Mapping[str, OriginState], chain_at: ChainAt) -> Dot | None:
        """After which dot the history of a peer that has delivered this parts from this node's, if
        it does, or if nobody can tell any more."""
        for origin, first in self.unconfirmed().items():
            theirs = origins.get(origin)
            if theirs is None:
                continue
            has_more = theirs.delivered > self._seq(origin)
            stands = chain_at(Dot(origin, theirs.delivered))
            if (has_more and self._is_doubtful(origin)) or differ(theirs.chain, stands):
                return Dot(origin, first - 1)
        return None

    def gives_up(self) -> None:
        """The peer can't be asked any more, or does not have that history in its log.

        Unconfirmed writes are then taken for doubled ones: to write again what is not doubled shows
        a version twice, and hides nothing. But what a process before this one wrote may just as
        well be of a disk that was put back; that has no doubled writes, unless that was in doubt.
        """
        assert self.inquiry is not None
        inquiry = self.inquiry
        self._ends(parts=inquiry.is_certain or self._is_doubtful(inquiry.origin))
        if inquiry.head and not inquiry.is_certain:
            self._guessed = (inquiry.head, inquiry.origin)

    def _ends(self, *, parts: bool) -> None:
        assert self.inquiry is not None
        origin, head = self.inquiry.origin, self.inquiry.head
        if parts:
            self.parting, self._guessed = Dot(origin, self.inquiry.compared), None
        elif head:
            self._rule_out((head, origin))
        self.inquiry = None
        self.is_quiet = parts

    def _rule_out(self, pair: tuple[str, str]) -> None:
        if len(self._ruled_out) == RULED_OUT_MAX:
            self._ruled_out.clear()
        self._ruled_out.add(pair)

    def _confirmed(self, dot: Dot) -> None:
        """A peer has the same history up to a dot."""
        state = self._states.get(dot)
        if state is None:
            return
        opened = self.past.opened
        if dot.origin in opened:
            later = opened[opened.index(dot.origin) + 1 :]
            self.past = OwnPast(dot.origin, state, later, self.past.doubtful)
        elif dot.origin == self.past.origin and dot.seq > self.past.seq:
            self.past = self.past._replace(state=state)
        if self.past.doubtful and not self.unconfirmed():
            self.past = self.past._replace(doubtful=())

    def _is_doubtful(self, origin: str) -> bool:
        """Whether a process may have written under its dots twice: this one, or one in doubt."""
        return origin in self.written or origin in self.past.doubtful

    def _is_own(self, origin: str) -> bool:
        return origin.startswith(self._prefix)

    def _seq(self, origin: str) -> int:
        return self._cut.entries.get(origin, 0)
