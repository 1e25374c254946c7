"""Where a request is sent, and where again: the policy, without sockets or clocks.

    error                               a read                    a write
    ----------------------------------  ------------------------  ------------------------------
    Unavailable, Overloaded             the next node; each node  the same: nothing was done
                                        up to three times
    Unreachable                         the same; but who is      the same
                                        alone is not asked again
    Delayed                             the next node; each once  the same
    Unsupported                         the same              the same
    Compacted                           the next node; each once
    TimedOut, UnreadableAnswer          the next node             raised; with an id: see below
    CommitFailed                                                  raised; with an id: see below
    WrongNode                                                     asked who it is, once; then again
    InvalidRequest, Refused,            raised                    raised
    SessionLost

A write with a request id whose outcome is in doubt is asked for again at the same node only, until
the call's time is over; then the error is raised that left it in doubt. What concerns a node
itself is asked once. All of this takes `timeout_s` at the most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from kvnode.codec import client as ask
from kvnode.core.limits import ONCE_WRITES_MAX
from kvnode.errors import (
    Compacted,
    Delayed,
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    Overloaded,
    TimedOut,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
    Unsupported,
    WrongNode,
)

#: How often one call asks one node: what passes soon has passed by then, and who is overloaded
#: is not asked for ever.
ATTEMPTS_MAX: Final = 3

#: The pause before a node is asked again; it doubles, and is cut by up to half at random, so that
#: many clients do not come back at once.
PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 1.0

#: How long a node may take to be connected to while there are others: on any network where it can
#: serve, three round trips take less.
CONNECT_MAX_S: Final = 1.0

#: What of an attempt's time is left for the way there and back, when the node itself waits: a part
#: of it, and no more than a connection may take.
ON_THE_WAY: Final = 0.2

#: What a client thinks that may pass, or be otherwise elsewhere; nothing was done.
_PASSING: Final = (Unreachable, Unavailable, Overloaded, Delayed, Compacted, Unsupported)

#: Who waited for a place for less than this is not told so.
_TOLD_S: Final = 0.001

Results = list[list[Any]]


class Effect(Enum):
    """What operations do, as far as it matters for asking again."""

    #: Nothing.
    READS = 1
    #: They change data, some of them at least.
    WRITES = 2
    #: They concern the one node that is asked.
    OF_THE_NODE = 3


def effect_of(operations: Sequence[ask.Operation]) -> Effect:
    """What these do. Who can't be told from a node's own affairs is taken for one."""
    names = {operation[0] for operation in operations}
    if names <= ask.READS:
        return Effect.READS
    return Effect.WRITES if names <= ask.READS | ask.WRITES else Effect.OF_THE_NODE


def follows_changes(operations: Sequence[ask.Operation], wait_s: float) -> bool:
    """Whether these wait at the node until something comes, for as long as they may."""
    return wait_s > 0 and any(it[0] == "watch" and not it[2] for it in operations)


class Position(NamedTuple):
    """Who a node is, and how many requests with ids it had done when it was last heard."""

    node: str
    requests_done: int


class Endpoints:
    """The nodes that a client may ask. It stays with one as long as that answers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        #: The one that it is at: its number in `addresses`.
        self.current = 0
        #: What was last heard of each; others hear of it meanwhile.
        self.positions: dict[int, Position] = {}

    @property
    def address(self) -> str:
        """Where the client is."""
        return self.addresses[self.current]

    def leave(self, at: int) -> None:
        """Go on to the next, unless that was done already."""
        if self.current == at:
            self.current = (at + 1) % len(self.addresses)

    def from_current(self) -> list[int]:
        """All, in the order in which they are tried."""
        count = len(self.addresses)
        return [(self.current + step) % count for step in range(count)]


class Patience(NamedTuple):
    """How long a call may take."""

    #: As a whole.
    timeout_s: float
    #: How long a node may wait for the session's past, if the whole has room for that.
    wait_s: float
    #: For how long the call has waited for a place already, which is not in the whole any more.
    waited_s: float = 0.0

    def after(self, waited_s: float) -> Patience:
        """What is left when the call has waited so long before it could begin."""
        left_s = max(0.0, self.timeout_s - waited_s)
        return self._replace(timeout_s=left_s, waited_s=waited_s)


def _answered_s(patience_s: float) -> float:
    """How long a node may wait, whose answer is to come within so long."""
    return patience_s - min(ON_THE_WAY * patience_s, CONNECT_MAX_S)


class Attempt(NamedTuple):
    """One time that a request is sent."""

    #: The number of the endpoint.
    at: int
    #: How long to pause before.
    pause_s: float
    #: How long the connection may take.
    connect_s: float
    #: How long the node may wait for the session's past.
    wait_s: float
    #: How long to wait for the answer in all, and until when, by the clock of `Course`.
    patience_s: float
    until_s: float
    #: For how long the call had waited for a place before.
    waited_s: float = 0.0

    def within(self, took_s: float) -> str:
        """What people are told who count from when they made the call, if this took so long."""
        if self.waited_s < _TOLD_S:
            return f"within {took_s:.3g} s"
        whole_s = took_s + self.waited_s
        return f"within {whole_s:.3g} s, of which it waited {self.waited_s:.3g} s for a place"


class Course:
    """The attempts of one call."""

    def __init__(
        self,
        endpoints: Endpoints,
        operations: Sequence[ask.Operation],
        patience: Patience,
        now_s: float,
        random: Callable[[], float],
        *,
        id_: bytes | None = None,
    ) -> None:
        """With an id, writes are asked for again when their outcome is in doubt."""
        self._endpoints = endpoints
        self._operations = operations
        self._patience = patience
        self._random = random
        self._effect = effect_of(operations)
        self._id = id_ if self._effect is Effect.WRITES else None
        self._give_up_s = now_s + patience.timeout_s
        self._attempts = [0] * len(endpoints.addresses)
        #: Nodes that have not what the session has seen, not any more what it has not, or no such
        #: operation.
        self._behind: set[int] = set()
        #: Whether the node is not what it was taken for, or has done much since; and whether one
        #: was so before.
        self._is_misled = self._was_misled = False
        #: The error that left it in doubt whether the write was made, and what was asked then.
        self._doubt: KvnodeError | None = None
        self._sent: list[ask.Operation] = []
        #: The latest error but for those of nodes that are not there.
        self._answered: KvnodeError | None = None
        if self._id is not None:
            writes = sum(operation[0] in ask.WRITES for operation in operations)
            if writes > ONCE_WRITES_MAX:
                message = f"with retry_writes a request has at most {ONCE_WRITES_MAX} writes"
                raise InvalidRequest(f"{message}; this has {writes}")
        self._at = endpoints.current
        self.attempt = self._next_attempt(self._at, 0.0, now_s)

    # --- what to ask

    @property
    def question(self) -> list[ask.Operation] | None:
        """What must be known of the node first; None if that is known."""
        is_known = self._at in self._endpoints.positions and not self._is_misled
        return None if self._id is None or self._doubt or is_known else [ask.POSITION]

    def learn(self, results: Results) -> None:
        """The answer to `question`."""
        match results:
            case [["ok", str(node), int(done)]]:
                self._endpoints.positions[self._at] = Position(node, done)
                self._is_misled = False
            case _:
                raise UnreadableAnswer("the node does not say who it is")

    def request(self) -> Sequence[ask.Operation]:
        """What to ask now. In doubt, it is word for word what was asked before."""
        if self._id is None:
            return self._in_time()
        if self._doubt is None:
            node, done = self._endpoints.positions[self._at]
            self._sent = [ask.once(self._id, node, done), *self._in_time()]
        return self._sent

    def _in_time(self) -> Sequence[ask.Operation]:
        """The operations, of which no wait for replicas takes longer than there is time."""
        match self._operations:
            case [*others, ["replicated", replicas, timeout_ms]]:
                most_ms = int(1000 * _answered_s(self.attempt.patience_s))
                return [*others, ask.replicated(replicas, min(timeout_ms, most_ms))]
        return self._operations

    def results(self, results: Results) -> Results:
        """The results of the operations that were wanted."""
        if self._id is None:
            return results
        match results[0]:
            case ["ok", bool(), int(done)]:
                known = self._endpoints.positions[self._at]
                self._endpoints.positions[self._at] = Position(known.node, done)
                return results[1:]
            case _:
                raise UnreadableAnswer("the node does not say whether it did this before")

    # --- where to ask

    @property
    def doubt(self) -> KvnodeError | None:
        """The error that left it in doubt whether the write was made; None if nothing did."""
        return self._doubt

    def fail(self, error: KvnodeError, now_s: float) -> None:
        """The attempt failed: there is another one, or the error is raised that is to be told."""
        if self._effect is Effect.OF_THE_NODE:
            raise error
        is_in_doubt = isinstance(error, IndefiniteError)
        if self._effect is Effect.WRITES and is_in_doubt and self._doubt is None:
            if self._id is None:
                self._endpoints.leave(self._at)  # the next call need not wait for it as well
                raise error
            self._doubt = error
        if self._doubt is not None:
            self._ask_again_here(error, self._doubt, now_s)
        elif isinstance(error, WrongNode) and not self._was_misled:
            self._is_misled = self._was_misled = True
            self.attempt = self._next_attempt(self._at, 0.0, now_s)
        elif is_in_doubt or isinstance(error, _PASSING):
            self._go_on(error, now_s)
        else:
            raise error

    def _ask_again_here(self, error: KvnodeError, doubt: KvnodeError, now_s: float) -> None:
        """Nobody else can know."""
        may_pass = isinstance(error, (*_PASSING, IndefiniteError))
        pause_s = self._pause_s(self._attempts[self._at])
        if not may_pass or now_s + pause_s >= self._give_up_s:
            self._endpoints.leave(self._at)
            raise doubt from (None if error is doubt else error)
        self.attempt = self._next_attempt(self._at, pause_s, now_s)

    def _go_on(self, error: KvnodeError, now_s: float) -> None:
        if isinstance(error, Unreachable):
            if len(self._attempts) == 1:
                raise self._answered or error  # what it said when it was there tells more
        elif self._answered is None or not isinstance(error, TimedOut):
            self._answered = error
        if isinstance(error, Delayed | Compacted | Unsupported):
            self._behind.add(self._at)
        self._endpoints.leave(self._at)
        able = [
            at
            for at in self._endpoints.from_current()
            if at not in self._behind and self._attempts[at] < ATTEMPTS_MAX
        ]
        if not able:
            raise error
        self._at = min(able, key=self._attempts.__getitem__)
        pause_s = self._pause_s(self._attempts[self._at])
        # What is sent with next to no time left would leave in doubt what is surely not done now.
        if now_s + 2 * pause_s >= self._give_up_s:
            raise error
        self.attempt = self._next_attempt(self._at, pause_s, now_s)

    def _pause_s(self, attempts: int) -> float:
        if not attempts:
            return 0.0
        longest_s = min(PAUSE_MAX_S, PAUSE_S * 2.0 ** min(attempts - 1, 10))
        return longest_s * (1 - self._random() / 2)

    def _next_attempt(self, at: int, pause_s: float, now_s: float) -> Attempt:
        """What time is left is divided among the nodes that are still to be tried. A write whose
        outcome would stay in doubt gets all of it; one that can be asked for again, half."""
        start_s = now_s + pause_s
        total_s = self._patience.timeout_s
        left = max(0.0, self._give_up_s - start_s) / total_s if total_s else 1.0
        share = left
        if self._effect is not Effect.OF_THE_NODE and self._doubt is None:
            share /= self._left_in_round(at)
        connect_s = share * total_s
        is_first = not self._attempts[at] and len(self._attempts) == 1
        if not is_first and self._doubt is None:
            connect_s = min(connect_s, CONNECT_MAX_S)
        given = share if self._effect is Effect.READS else left
        if self._id is not None:
            given /= 2
        self._attempts[at] += 1
        wait_s = min(self._patience.wait_s, _answered_s(min(share, given) * total_s))
        patience_s = given * total_s
        until_s, waited_s = start_s + patience_s, self._patience.waited_s
        return Attempt(at, pause_s, connect_s, wait_s, patience_s, until_s, waited_s)

    def _left_in_round(self, at: int) -> int:
        others = (
            other
            for other in range(len(self._attempts))
            if other != at
            and other not in self._behind
            and self._attempts[other] <= self._attempts[at]
        )
        return 1 + sum(1 for _ in others)
