"""Repair: PUB/SUB is a hint, the log is the record.

Heartbeats say what each peer has. What has not come (neither delivered nor held without a
gap) is pulled from a peer that claims it, one pull at a time:

- a peer's own writes at once: it has sent them, and they were lost on the way;
- a third party's writes when the peer's claim *before* its latest names them already:
  they have had a heartbeat's time to come by themselves.

A peer whose log starts beyond what this node has is asked for a snapshot instead, if no
other one can help.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kvnode.core.holdback import Holdback
from kvnode.core.limits import VECTOR_ENTRIES_MAX
from kvnode.core.messages import Chunk, Claim, Fetch, Pull, Snapshot
from kvnode.core.snapshot import Staging, is_credible
from kvnode.core.succession import Cut, ends_of
from kvnode.core.vector import Dot, Vector, name_of

#: A peer that did not answer, or had nothing, is asked again after so many time-outs at
#: the most; doubling from one.
BACKOFF_TIMEOUTS_MAX: Final = 8

#: A peer has so many heartbeats' time to answer a pull. Answers are so long that one takes about a
#: heartbeat: see `core.pace`.
TIMEOUT_HEARTBEATS: Final = 4

#: One that is heard, but did not answer in time, has twice as long the next time, so often: its
#: link may have become slow, and to ask again does not make what is on its way come sooner. At
#: 500 ms heartbeats that are 16 seconds: enough for the least answer at a hundred bytes a second.
DOUBLINGS_MAX: Final = 3

#: One that is heard may refuse a snapshot so often, as it does after a restart, before silent ones
#: are asked too.
_FAILURES_OF_THE_HEARD: Final = 1

#: What a peer claimed that is no member, and is silent for so many heartbeats, is forgotten.
STRANGER_HEARTBEATS: Final = 40

#: Entries of the vector in a pull. To a peer that lacks more incarnations than that the earliest
#: are not told, and it sends some of what is here already.
SPELLED_OUT_MAX: Final = VECTOR_ENTRIES_MAX // 2

#: A peer from which nothing comes for longer counts as silent.
ALIVE_HEARTBEATS: Final = 6


@dataclass(slots=True)
class _Peer:
    claim: Claim
    heard_us: int
    previous: Claim | None = None
    #: Whether all that its two last claims give cause to pull has come.
    settled: bool = False
    #: Not to be asked before.
    not_before_us: int = 0
    #: Pulls in a row that brought nothing.
    failures: int = 0
    #: How many times the time for an answer is doubled.
    doublings: int = 0
    #: Whether it seems that it could not read what a pull said of this node: it is told in full
    #: until all has come.
    misreads: bool = False


class Repair:
    """Decides whom to ask for what, and when."""

    def __init__(self, random: Callable[[], float], *, heartbeat_us: int) -> None:
        self._random = random
        self._heartbeat_us = heartbeat_us
        self._timeout_us = TIMEOUT_HEARTBEATS * heartbeat_us
        self._peers: dict[str, _Peer] = {}
        self._asked: str | None = None
        #: Whether something has come of what that is asked for, and another answer is to follow.
        self._has_brought = False
        #: Who brought a piece last: it is asked on.
        self._bringing: str | None = None
        #: The snapshot under way, if there is one.
        self.staging: Staging | None = None
        #: When to look again without new input; None while all is settled.
        self._look_us: int | None = None
        #: When a third party's writes may be pulled; None while none are missing.
        self._third_party_us: int | None = None

    @property
    def claims(self) -> dict[str, Claim]:
        """The latest claim of each peer, by name."""
        return {name: peer.claim for name, peer in self._peers.items()}

    def claimed(self, claim: Claim, steady_us: int) -> None:
        """A heartbeat came. A claim replaces the one before: a rollback lowers it."""
        peer = self._peers.get(claim.name)
        if peer is None or peer.claim.instance != claim.instance:
            self._peers[claim.name] = _Peer(claim, steady_us)
        else:
            peer.previous, peer.claim, peer.settled = peer.claim, claim, False
            peer.heard_us = steady_us
        if self._asked is None:
            self._look_us = 0

    def heard(self, name: str, steady_us: int) -> None:
        """A peer said something, if not what it has: it lives."""
        peer = self._peers.get(name)
        if peer is not None:
            peer.heard_us = steady_us

    def progressed(self, name: str, steady_us: int, *, is_news: bool, is_late: bool) -> None:
        """A piece of a peer's answer came: it is asked on."""
        if self.staging is not None and self.staging.name == name and is_news:
            self.staging.attempts = 0
        self.answered(name, steady_us, advanced=is_news, is_late=is_late)
        if is_news:
            self._bringing = name

    def answered(self, name: str, steady_us: int, *, advanced: bool, is_late: bool = False) -> None:
        """A peer answered a pull, with something that advanced this node or without.

        A late answer ends no other pull, not even one to that peer, which it was asked again: that
        answer is still to come.
        """
        peer = self._peers.get(name)
        if peer is None:
            return
        is_asked = name == self._asked
        self._bringing = None
        if advanced:
            peer.failures, peer.not_before_us = 0, 0
            self._has_brought = self._has_brought or is_asked
        if is_late and is_asked:
            return
        if is_asked and not self._has_brought:
            peer.misreads = self.staging is None
            self._back_off(peer, steady_us)
        if is_asked:
            self._asked = None
            peer.doublings = 0
        if self._asked is None:
            self._look_us = 0

    def fetched(self, chunk: Chunk, cut: Cut, steady_us: int) -> tuple[bool, Snapshot | None]:
        """A part of a peer's state came: whether it counts, and the snapshot if it is whole."""
        if self.staging is None or not self.staging.expects(chunk):
            return False, None
        snapshot = self.staging.take(chunk)
        is_sound = snapshot is None or is_credible(snapshot, chunk.digest, cut)
        if snapshot is not None:
            self.staging = None
        self.answered(chunk.name, steady_us, advanced=is_sound)
        return is_sound, snapshot

    def unasked(self, name: str, steady_us: int) -> None:
        """There is no way to ask a peer. What has come of a snapshot is not thrown away for that,
        since its link may be back in a moment; but if it is not, then as if the peer were silent.
        """
        if name == self._asked and self.staging is not None and self.staging.number is not None:
            self.staging.is_cut_off = True
        else:
            self.refused(name, steady_us)

    def refused(self, name: str, steady_us: int) -> None:
        """A peer can't serve what it was asked for."""
        if name == self._asked and self.staging is not None:
            self.staging = None
        self.answered(name, steady_us, advanced=False)

    def forget(self, name: str) -> None:
        """A name is no member any more."""
        self._peers.pop(name, None)
        if name == self._asked:
            self._asked, self.staging = None, None

    def silent_us(self, name: str, steady_us: int) -> int | None:
        """Since when nothing comes from a peer; None if no heartbeat ever did."""
        peer = self._peers.get(name)
        return None if peer is None else steady_us - peer.heard_us

    def is_alive(self, name: str, steady_us: int) -> bool:
        """Whether a peer was heard of lately."""
        peer = self._peers.get(name)
        return peer is not None and not self._is_silent(peer, steady_us)

    def wake_us(self) -> int | None:
        """When `next_pull` may have something to say without new input."""
        return self._look_us

    def inquire(self, question: Pull, steady_us: int) -> Pull | None:
        """Ask this, and nothing else, if it is due and nothing is under way."""
        if self._look_us is None or steady_us < self._look_us:
            return None
        if self._asked is not None:
            self._timed_out(self._asked, steady_us)
        self.staging = None  # what has come of it may be of another history
        peer = self._peers.get(question.name)
        if peer is None or peer.not_before_us > steady_us:
            self._look_us = None if peer is None else peer.not_before_us
            return None
        self._ask(question, steady_us)
        return question

    def may_answer(self, name: str, failures_max: int, steady_us: int) -> bool:
        """Whether a peer is heard, and was not asked in vain more often than that."""
        peer = self._peers.get(name)
        if peer is None or self._is_silent(peer, steady_us):
            return False
        return peer.failures <= failures_max

    def next_pull(
        self, cut: Cut, holdback: Holdback, steady_us: int, *, may_fetch: bool = True
    ) -> Pull | Fetch | None:
        """What to ask for now, if something is due and nothing is under way."""
        if self._look_us is None or steady_us < self._look_us:
            return None
        if self._asked is not None:  # it did not answer in time: on to the next
            self._timed_out(self._asked, steady_us)
        if self.staging is not None:
            return self._ask(self.staging.question(), steady_us)
        claimants = self._claimants(cut, holdback, steady_us)
        able = [peer for peer in claimants if peer.not_before_us <= steady_us]
        with_log = [peer for peer in able if cut.covers(peer.claim.floor)]
        if able and not with_log:
            with_log = self._third_parties_with_log(cut, holdback, steady_us)
        choice = with_log
        if may_fetch and not choice:
            choice = self._with_state(able, claimants, steady_us)
        if not choice:
            self._look_us = self._next_look_us(claimants, steady_us)
            return None
        choice = self._likeliest(choice, steady_us)
        choice = [peer for peer in choice if peer.claim.name == self._bringing] or choice
        peer = choice[int(self._random() * len(choice))]
        chosen = peer.claim
        if with_log:
            vector = spelled_out(cut, chosen.delivered, in_full=peer.misreads)
            # What is only held counts too, but not where it would be an incarnation's first
            # entry: that would imply what the incarnation ended, which may be lost.
            vector = {**vector, **holdback.reached(vector)}
            return self._ask(Pull(chosen.name, vector), steady_us)
        self.staging = Staging(chosen.name)
        return self._ask(self.staging.question(), steady_us)

    def _ask(self, question: Pull | Fetch, steady_us: int) -> Pull | Fetch:
        self._asked, self._has_brought = question.name, False
        if self.staging is not None:
            self.staging.is_cut_off = False
        self._look_us = steady_us + (self._timeout_us << self._doublings(question.name, steady_us))
        return question

    def _doublings(self, name: str, steady_us: int) -> int:
        if self.staging is not None:
            return self.staging.doublings
        peer = self._peers[name]
        return 0 if self._is_silent(peer, steady_us) else peer.doublings

    def _timed_out(self, name: str, steady_us: int) -> None:
        self._asked = None
        if self.staging is not None:
            peer = self._peers.get(name)
            is_silent = peer is None or self._is_silent(peer, steady_us) or self.staging.is_cut_off
            if self.staging.in_vain(is_silent=is_silent):
                return
            self.staging = None
        if name in self._peers:
            self._peers[name].doublings = min(self._peers[name].doublings + 1, DOUBLINGS_MAX)
            self._back_off(self._peers[name], steady_us)

    def _claimants(self, cut: Cut, holdback: Holdback, steady_us: int) -> list[_Peer]:
        """Whom to ask: owners of what is missing; third parties when it is time and no
        owner can be asked."""
        owners, others = [], []
        for peer in self._peers.values():
            if peer.settled:
                continue
            if _lacks_own(peer.claim, cut, holdback):
                owners.append(peer)
            elif peer.previous is not None and _lacks(peer.previous.delivered, cut, holdback):
                others.append(peer)
            else:
                peer.settled, peer.misreads = True, False
        if not others:
            self._third_party_us = None
        elif self._third_party_us is None:
            self._third_party_us = steady_us + int(self._random() * self._heartbeat_us)
        if self._third_party_us is None or steady_us < self._third_party_us:
            return owners
        if any(self._may_answer(peer, steady_us) for peer in owners):
            return owners
        return owners + others  # the owners did not answer: they may be gone

    def _may_answer(self, owner: _Peer, steady_us: int) -> bool:
        """Whether to leave third parties alone for it. Who is silent, or was asked in vain, does
        not count: of many that are gone there is always one whose turn it is to be asked."""
        is_worth_it = not self._is_silent(owner, steady_us) and not owner.failures
        return is_worth_it and owner.not_before_us <= steady_us

    def _likeliest(self, peers: list[_Peer], steady_us: int) -> list[_Peer]:
        """Those of them that are the likeliest to answer: heard of, and asked in vain the least."""
        ranks = [(self._is_silent(peer, steady_us), peer.failures) for peer in peers]
        return [peer for peer, rank in zip(peers, ranks, strict=True) if rank == min(ranks)]

    def _is_silent(self, peer: _Peer, steady_us: int) -> bool:
        return steady_us - peer.heard_us >= ALIVE_HEARTBEATS * self._heartbeat_us

    def _third_parties_with_log(self, cut: Cut, holdback: Holdback, steady_us: int) -> list[_Peer]:
        """Whom to ask though it is not their turn, lest a small gap cost a whole snapshot."""
        return [
            peer
            for peer in self._peers.values()
            if peer.not_before_us <= steady_us
            and cut.covers(peer.claim.floor)
            and _lacks(peer.claim.delivered, cut, holdback)
        ]

    def _with_state(self, able: list[_Peer], claimants: list[_Peer], steady_us: int) -> list[_Peer]:
        """Whom to ask for a snapshot. It takes long to find out that a silent one does not answer;
        better to wait a moment for one that is heard, unless that was asked in vain."""
        heard = [peer for peer in claimants if not self._is_silent(peer, steady_us)]
        if all(peer.failures > _FAILURES_OF_THE_HEARD for peer in heard):
            return able
        return [peer for peer in able if not self._is_silent(peer, steady_us)]

    def _next_look_us(self, claimants: list[_Peer], steady_us: int) -> int | None:
        times = [peer.not_before_us for peer in claimants]
        if self._third_party_us is not None:
            times.append(self._third_party_us)
        return min((time_us for time_us in times if time_us > steady_us), default=None)

    def _back_off(self, peer: _Peer, steady_us: int) -> None:
        """Leave it alone for a while, with jitter, so that nodes do not ask in step."""
        timeouts = min(1 << peer.failures, BACKOFF_TIMEOUTS_MAX)
        peer.failures = min(peer.failures + 1, BACKOFF_TIMEOUTS_MAX)
        peer.not_before_us = steady_us + int(timeouts * self._timeout_us * (0.5 + self._random()))


def _lacks_own(claim: Claim, cut: Cut, holdback: Holdback) -> bool:
    """Whether writes of the claimant itself have not come."""
    own = {o: seq for o, seq in claim.delivered.items() if name_of(o) == claim.name}
    return _lacks(own, cut, holdback)


def _lacks(claimed: Vector, cut: Cut, holdback: Holdback) -> bool:
    """Whether something claimed has not come, neither delivered nor held without a gap.

    A claim is in normal form: where an incarnation is only held, this node does not count
    what it ends as claimed yet, so its ends are looked at too.
    """
    entries = cut.entries
    unread = list(claimed.items())
    seen = set(unread)
    while unread:
        origin, seq = unread.pop()
        delivered = entries.get(origin, 0)
        if delivered >= seq:
            continue
        if holdback.contiguous(origin, delivered) < seq:
            return True
        first = holdback.held(Dot(origin, 1))
        if first is not None:
            ends = [end for end in ends_of(origin, first.deps).items() if end not in seen]
            unread += ends
            seen.update(ends)
    return False


def spelled_out(cut: Cut, claimed: Vector, *, in_full: bool) -> Vector:
    """This cut as a peer with that claim can read it.

    A peer can't know what a head implies that it never saw. So where its claim does not cover a
    head, what that ends is spelled out too, and so on down to what the claim covers. But a claim
    may name only later incarnations of a name, which this node does not know, or none of it: then
    the peer most likely knows these heads, or has nothing of that name to serve. So that is spelled
    out only `in_full`, to a peer that served nothing of use before.
    """
    reading = cut.succession.reading(claimed)
    told = {name_of(origin) for origin in claimed if origin in cut.entries}
    vector = dict(cut.heads)
    unread = deque(it for it in cut.heads if in_full or name_of(it) in told)
    while unread and len(vector) < SPELLED_OUT_MAX:
        origin = unread.popleft()
        if reading.value(origin):
            continue
        for ended in cut.succession.ends.get(origin, ()):
            if ended not in vector:
                unread.append(ended)
            vector[ended] = cut.entries[ended]
    return vector
