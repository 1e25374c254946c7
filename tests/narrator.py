"""A cluster that tells what happens in it, in words that a reader of stories knows.

A node's incarnations are X, X2, X3, ...: one for each start and for each snapshot that it puts
in place, whether it writes or not, and for each write before which it may have gone back in time.
Dots are X:5, batches of several writes X:5-7, vectors {X:5 Y:2}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kvnode.codec.token import encode_token, merge_tokens
from kvnode.core.batch import Batch
from kvnode.core.holdback import Holdback, Waiter
from kvnode.core.members import MEMBER_PREFIX
from kvnode.core.messages import Chunk, Fetch, Inputs, Pull, Saved
from kvnode.core.requests import Request
from kvnode.core.results import (
    Absent,
    Delayed,
    Entry,
    Lost,
    Replicated,
    Reply,
    Result,
    Unreplicated,
    Written,
)
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Vector
from kvnode.errors import Refused
from tests.cluster import CLUSTER, Cluster, Machine


@dataclass(frozen=True, eq=False)
class Asked:
    """What a client asked, and in which session, if in one."""

    session: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.session}'s {self.text}" if self.session else self.text


def waiting(holdback: Holdback) -> list[Waiter]:
    """Everything that waits: batches, then requests, each in order of arrival."""
    return [*holdback.batches.values(), *holdback.requests.values()]


def _is_record(batch: Batch) -> bool:
    """Whether it starts with its author's member record."""
    key, value, _ = batch.writes[0][0]
    return key.startswith(MEMBER_PREFIX) and value is not None


class Narrator(Cluster):
    """Collects one line for each thing that happens."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        #: What people call each origin.
        self.labels: dict[str, str] = {}
        self.sessions: dict[str, bytes] = {}
        #: What sessions that have lost something may go on with.
        self.left: dict[str, bytes] = {}
        #: Whether to tell of every commit, publication and part of a snapshot too.
        self.tracing = False

    def tell(self, *words: str) -> None:
        """Add a line."""
        self.told.append(" ".join(word for word in words if word))

    # --- what happens

    def turn(self, machine: Machine, inputs: Inputs) -> None:
        before = machine.replica
        entries, alarms = dict(before.cut.entries), dict(before.alarms.raised)
        batches = [*inputs.batches, *(batch for it in inputs.pulled for batch in it.batches)]
        dots = {*before.holdback.batches, *(Dot(batch.origin, batch.first) for batch in batches)}
        super().turn(machine, inputs)
        for batch in batches:
            if batch.last <= entries.get(batch.origin, 0):
                self.tell(machine.name, "has", self.span(batch), "already")
        replica = machine.replica
        for waiter in waiting(replica.holdback):
            if waiter.item in (*batches, *inputs.requests):
                self.tell(machine.name, self.waiting(waiter.item, waiter.waits_for))
        for dot in sorted(dots):
            lacks = dot.seq > replica.cut.entries.get(dot.origin, 0)
            if lacks and dot not in replica.holdback.batches:
                self.tell(machine.name, "drops", self.dot(*dot))
        raised = replica.alarms.raised
        for alarm in sorted(raised.keys() - alarms):
            self.tell(machine.name, "is alarmed:", re.sub(r": (its )?digest.*", "", raised[alarm]))
        for alarm in sorted(alarms.keys() - raised):
            self.tell(machine.name, "is alarmed no longer:", alarm)

    def on_start(self, machine: Machine, origin: str) -> None:
        self.labels[origin] = machine.name + (str(machine.starts) if machine.starts > 1 else "")

    def on_commit(self, machine: Machine, batches: Sequence[Batch]) -> None:
        own = machine.replica.own
        theirs = [batch for batch in batches if batch not in own]
        records = [batch for batch in own if _is_record(batch)]
        if self.tracing:
            self.tell(machine.name, "commits", self.spans(batches))
        elif theirs:
            self.tell(machine.name, "delivers", self.spans(theirs))
        for batch in records:
            self.tell(machine.name, "registers as", self.dot(batch.origin, batch.first))

    def on_switch(self, machine: Machine, saved: Saved) -> None:
        states = saved.origins.items()
        entries = {origin: state.delivered for origin, state in states}
        cut = Cut.restored(entries, {origin: state.ends for origin, state in states})
        self.tell(machine.name, "switches to", self.vector(cut.heads))

    def on_publish(self, machine: Machine, batch: Batch) -> None:
        if self.tracing:
            self.tell(machine.name, "publishes", self.span(batch))

    def on_reply(self, machine: Machine, reply: Reply, token: Vector) -> None:
        asked = reply.reply_to
        assert isinstance(asked, Asked)
        if asked.session and reply.ran:
            seen = encode_token(CLUSTER, token)
            self.sessions[asked.session] = merge_tokens(self.sessions.get(asked.session), seen)
        for result in reply.results:
            if asked.session and isinstance(result, Lost):
                self.left[asked.session] = encode_token(CLUSTER, result.left)
            told = self.result(result, every=asked.text.startswith("read"))
            self.tell(f"{asked}:" if asked.session or self.tracing else "", told)

    def on_pull(self, machine: Machine, pull: Pull | Fetch) -> None:
        if isinstance(pull, Pull):
            self.tell(machine.name, "pulls from", pull.name, "beyond", self.vector(pull.vector))
        elif pull.number is None:
            self.tell(machine.name, "fetches a snapshot from", pull.name)
        elif self.tracing:
            self.tell(machine.name, "fetches on from", pull.name)

    def on_answer(self, peer: Machine, batches: Sequence[Batch]) -> None:
        self.tell(peer.name, "sends", self.spans(batches) or "nothing")

    def on_part(self, peer: Machine, chunk: Chunk) -> None:
        if self.tracing:
            states = [self.dot(origin, state.delivered) for origin, state in chunk.origins.items()]
            keys = [self.key(key) for key in chunk.table]
            self.tell(peer.name, "sends", *(states or keys or ["the end"]))

    def on_refusal(self, peer: Machine, error: Refused) -> None:
        self.tell(peer.name, "refuses:", re.sub(r"snapshot \d+", "such snapshot", str(error)))

    # --- in words

    def dot(self, origin: str, first: int, last: int = 0) -> str:
        """X:5, or X:5-7."""
        label = self.labels[origin]
        return f"{label}:{first}-{last}" if last > first else f"{label}:{first}"

    def span(self, batch: Batch) -> str:
        """The dots of a batch."""
        return self.dot(batch.origin, batch.first, batch.last)

    def spans(self, batches: Iterable[Batch]) -> str:
        """The dots of batches."""
        return " ".join(self.span(batch) for batch in batches)

    def key(self, key: bytes) -> str:
        """A key; a member's record by its incarnation."""
        origin = key.removeprefix(MEMBER_PREFIX).decode()
        return f"{self.labels[origin]}'s record" if key.startswith(MEMBER_PREFIX) else key.decode()

    def vector(self, vector: Vector) -> str:
        """{X:5 Y:2}"""
        return f"{{{' '.join(sorted(self.dot(*entry) for entry in vector.items()))}}}"

    def waiting(self, item: Batch | Request, until: Dot | None) -> str:
        """That something waits, and for what."""
        what = f"holds {self.span(item)}" if isinstance(item, Batch) else f"parks {item.reply_to}"
        return f"{what} until {self.dot(*until)}" if until else f"{what} until its next turn"

    def result(self, result: Result, *, every: bool) -> str:
        """What a client is told."""
        match result:
            case Written(dot, stamp_us):
                return f"{self.dot(*dot)} at {stamp_us}"
            case Entry(versions):
                stamps = [f" at {it.stamp_us}" if every else "" for it in versions]
                told = [
                    f"{it.value.decode()} ({self.dot(it.origin, it.seq)}{stamp})"
                    for it, stamp in zip(versions, stamps, strict=True)
                ]
                return ", ".join(told) or "nothing"
            case Delayed(reason, _, local, missing):
                dots = " ".join(self.dot(*it) for it in missing)
                return f"delayed, {reason}; at {self.vector(local)}, missing {dots}"
            case Lost(missing, left):
                dots = " ".join(self.dot(*it) for it in missing)
                return f"lost, nobody has {dots}; left is {self.vector(left)}"
            case Absent():
                return "not there"
            case Replicated(replicas):
                return f"on {replicas} disks"
            case Unreplicated(reason, dot, wanted, names):
                had = f"of {wanted}, {' '.join(names) or 'nobody'} had {self.dot(*dot)}"
                return f"not replicated, {reason}: {had}"
            case _:
                sure = "perhaps done" if result.maybe else "surely not done"
                return f"{result.code}, {sure}: {result.message}"
