"""A cluster that tells what happens in it, in words that a reader of stories knows.

A node's incarnations are X, X2, X3, ...: one for each start, whether it writes or not. Dots
are X:5, batches of several writes X:5-7, vectors {X:5 Y:2}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kvnode.codec.token import encode_token, merge_tokens
from kvnode.core.batch import Batch
from kvnode.core.holdback import Holdback, Waiter
from kvnode.core.messages import Delayed, Entry, Inputs, Pull, Reply, Request, Result, Written
from kvnode.core.vector import Dot, Vector
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


class Narrator(Cluster):
    """Collects one line for each thing that happens."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        #: What people call each origin.
        self.labels: dict[str, str] = {}
        self.sessions: dict[str, bytes] = {}
        #: Whether to tell of every commit and publication too.
        self.tracing = False

    def tell(self, *words: str) -> None:
        """Add a line."""
        self.told.append(" ".join(word for word in words if word))

    # --- what happens

    def turn(self, machine: Machine, inputs: Inputs) -> None:
        before = machine.replica
        entries = dict(before.cut.entries)
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

    def on_start(self, machine: Machine, origin: str) -> None:
        self.labels[origin] = machine.name + (str(machine.starts) if machine.starts > 1 else "")

    def on_commit(self, machine: Machine, batches: Sequence[Batch]) -> None:
        own = machine.replica.identity.origin
        theirs = [batch for batch in batches if batch.origin != own]
        if self.tracing:
            self.tell(machine.name, "commits", self.spans(batches))
        elif theirs:
            self.tell(machine.name, "delivers", self.spans(theirs))

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
            told = self.result(result, every=asked.text.startswith("read"))
            self.tell(f"{asked}:" if asked.session or self.tracing else "", told)

    def on_pull(self, machine: Machine, pull: Pull) -> None:
        self.tell(machine.name, "pulls from", pull.name, "beyond", self.vector(pull.vector))

    def on_answer(self, peer: Machine, batches: Sequence[Batch]) -> None:
        self.tell(peer.name, "sends", self.spans(batches) or "nothing")

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
            case _:
                sure = "perhaps done" if result.maybe else "surely not done"
                return f"{result.code}, {sure}: {result.message}"
