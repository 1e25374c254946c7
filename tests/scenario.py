"""Runs the stories in tests/cases: commands above the line, what came of them below it.

    nodes X Y Z [members] [durability=never] [held=2] [parked=1] [log-cap=300] [log-kept=1s]
                                     [scrub=1s] [join=X]
    put | del | get | read | touch NODE KEY [VALUE] [ttl=5s] [session=alice] [deadline=500ms]
                                     [replicas=2 timeout=1s]
    forget NODE NAME                 the node makes that name no member
    turn NODE                        one turn; indented below it, what it receives:
      deliver DOT ...
      put KEY VALUE ...              and the other client commands, without the node
    deliver DOT ... -> NODE          one turn with these batches from its inbox
    deliver all [-> NODE]            everything in the inboxes, one turn for each node
    duplicate DOT ... -> NODE        another copy goes into its inbox
    lose DOT ... | all -> NODE       these never come
    heartbeat NODE -> NODE ...       100 ms pass, then the heartbeat comes
    pull NODE [3]                    the pull or fetch under way gets its answer, and so on
    fetch NODE                       so does all that it fetches, until it has put that in place
    fold NODE [3]                    turns with no input: each folds a key of a whole snapshot
    hello NODE -> NODE               the one introduces itself to the other
    heal                             gossip, heartbeats, hellos, pulls flow until all rest
    advance 100ms                    time passes; nodes wake when they have to
    skew NODE -5s                    its wall clock is wrong from now on
    crash NODE                       power fails: what was not synced is gone
    restart NODE [empty] [join=Y]    the process starts, or starts anew; on a new disk; with --join
    fail-commit NODE kept | lost     its next commit fails; whether it is there after all
    disk NODE full | free
    save NODE; roll-back NODE        copies its disk; starts it on the copy
    freeze NODE; revert NODE         copies its disk and memory as it runs; goes on from these, by
                                     clocks that went back as well, or not: clock=set
    swap NODE                        starts it on the copy, and keeps the other disk as the copy
    damage NODE KEY                  the key is gone from its disk, though nobody wrote that
    status NODE; log NODE; members NODE; compare; token SESSION; trace
    go-on SESSION                    after `lost`: with what is left to it

A published batch waits in the inbox of every other node that runs; what that is asked to
report, and what is reported to it, comes in its next turn. Time starts at 1000
(microseconds). A node's incarnations are X, X2, X3, ...: one for the first write after each start,
after each snapshot put in place, and after it may have gone back in time. Parts of
snapshots and slices of folds are of one record each. With no `members`, nobody waits for who
is away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import permutations

from kvnode.codec import client
from kvnode.codec.batches import decode_batch
from kvnode.codec.token import decode_token
from kvnode.core.limits import Limits
from kvnode.core.messages import Inputs
from kvnode.core.requests import Request
from kvnode.core.versions import DIGEST_MODULUS, fingerprint
from kvnode.daemon.node import Durability
from kvnode.storage.layout import decode_saved, decode_table_record
from kvnode.storage.memory import MemoryDisk
from kvnode.storage.soundness import examined
from tests.cluster import HEARTBEAT_US, Frozen, Machine, request
from tests.narrator import Asked, Narrator, waiting

CLIENT: dict[str, Callable[..., client.Operation]] = {
    "get": client.get,
    "read": lambda key: client.read(key, 0),
    "put": client.put,
    "del": client.delete,
    "touch": lambda key, ttl_ms=None: client.touch(key, ttl_ms),
    "forget": lambda name: client.forget(name.decode()),
}

#: Options that set a limit.
LIMITS: dict[str, str] = {
    "held": "held_batches_max",
    "parked": "parked_requests_max",
    "log-cap": "log_bytes_max",
    "log-kept": "log_kept_us",
    "scrub": "scrub_interval_us",
}

#: Parts of snapshots and slices of folds hold one record, so that a story can stop in between.
SMALL = Limits(
    held_batches_max=100,
    parked_requests_max=100,
    snapshot_part_bytes=1,
    folded_keys_per_turn=1,
    scrub_interval_us=0,
)

#: Heartbeats in which nothing came, until nothing will: longer than any back-off of repair.
HEAL_ROUNDS = 50

UNITS_US = {"us": 1, "ms": 1000, "s": 1_000_000}


def rewritten(story: str) -> str:
    """The story with what really comes of it."""
    scenario = Scenario()
    paragraphs = []
    for paragraph in story.strip().split("\n\n"):
        commands, line, _ = paragraph.partition("\n----")
        paragraphs.append(f"{commands}\n----\n{scenario.run(commands)}" if line else paragraph)
    return "\n\n".join(paragraphs) + "\n"


class Scenario(Narrator):
    """A cluster that does what it is told, and tells what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        #: Copies of disks.
        self.saved: dict[str, MemoryDisk] = {}
        #: Copies of running machines, and when they were made.
        self.frozen: dict[str, tuple[Frozen, int]] = {}

    def run(self, commands: str) -> str:
        """What came of these lines; `ok` if there is nothing to tell."""
        self.told = []
        for command in re.findall(r"^[^ #\n].*(?:\n +.*)*", commands, re.MULTILINE):
            first, *block = command.split("\n")
            verb, *words = first.split()
            if verb in CLIENT:
                node, *block = words[0], " ".join([verb, *words[1:]])
                self.do_turn(node, block)
            elif block:
                self.do_turn(words[0], block)
            else:
                getattr(self, f"do_{verb.replace('-', '_')}")(*words)
        return "\n".join(self.told) or "ok"

    # --- commands

    def do_nodes(self, *words: str) -> None:
        options = dict(word.split("=") for word in words if "=" in word)
        self.durability = Durability(options.pop("durability", "always"))
        join = tuple(filter(None, [options.pop("join", "")]))
        self.has_members = "members" in words
        limits = {LIMITS[option]: time_us(value) for option, value in options.items()}
        self.limits = SMALL._replace(**limits)
        for name in words:
            if "=" not in name and name != "members":
                self.add(name)
                self.machines[name].join = join

    def do_turn(self, name: str, block: Sequence[str] = ()) -> None:
        inputs = Inputs()
        for verb, *words in map(str.split, block):
            if verb == "deliver":
                taken = self._taken(self.machines[name], words)
                inputs.batches += [decode_batch(encoded) for encoded in taken]
            else:
                inputs.requests.append(self.asking(verb, words))
        self.turn(self.machines[name], inputs)

    def do_deliver(self, *words: str) -> None:
        dots, receivers = self._routed(words)
        for machine in receivers:
            if machine.inbox:
                self.deliver(machine, self._taken(machine, dots))

    def do_duplicate(self, *words: str) -> None:
        dots, (receiver,) = self._routed(words)
        receiver.inbox += [self._named(self.published, dot) for dot in dots]

    def do_lose(self, *words: str) -> None:
        dots, (receiver,) = self._routed(words)
        self._taken(receiver, dots)

    def do_heartbeat(self, *words: str) -> None:
        senders, receivers = self._routed(words)
        self.advance(HEARTBEAT_US)
        for receiver in receivers:
            for sender in senders:
                self.hear(receiver, self.machines[sender])

    def do_pull(self, name: str, times: str = "1") -> None:
        for _ in range(int(times)):
            pull = self.machines[name].asked
            if pull is None or self.machines[pull.name].running is None:
                self.tell(f"{pull.name} does not answer" if pull else f"{name} asks for nothing")
            self.answer_pull(self.machines[name])

    def do_fetch(self, name: str) -> None:
        machine = self.machines[name]
        while machine.asked is not None:
            self.do_pull(name)
        while machine.node.is_folding:
            self.do_fold(name)

    def do_fold(self, name: str, times: str = "1") -> None:
        for _ in range(int(times)):
            self.turn(self.machines[name], Inputs())

    def do_hello(self, *words: str) -> None:
        (name,), (peer,) = self._routed(words)
        self.greet(self.machines[name], peer)

    def do_heal(self) -> None:
        quiet, machines = 0, self.running()
        while quiet < HEAL_ROUNDS:
            before = [dict(machine.replica.cut.heads) for machine in machines]
            self.do_deliver("all")
            self.advance(HEARTBEAT_US)
            for machine, sender in permutations(machines, 2):
                self.hear(machine, sender)
                self.greet(machine, sender)
            for machine in machines * 100:
                self.answer_pull(machine)
            after = [machine.replica.cut.heads for machine in machines]
            quiet = quiet + 1 if before == after else 0

    def do_advance(self, time: str) -> None:
        self.advance(time_us(time))

    def do_skew(self, name: str, time: str) -> None:
        self.machines[name].skew_us = time_us(time)

    def do_crash(self, name: str) -> None:
        self.machines[name].crash()

    def do_restart(self, name: str, *words: str) -> None:
        machine = self.machines[name]
        if "empty" in words:
            machine.disk = MemoryDisk()
        machine.join = tuple(word.removeprefix("join=") for word in words if "=" in word)
        machine.start()

    def do_save(self, name: str) -> None:
        self.saved[name] = deepcopy(self.machines[name].disk)

    def do_roll_back(self, name: str) -> None:
        if name in self.saved:
            self.machines[name].disk = deepcopy(self.saved[name])
            self.machines[name].start()

    def do_freeze(self, name: str) -> None:
        self.frozen[name] = self.machines[name].frozen(), self.now_us

    def do_revert(self, name: str, clock: str = "") -> None:
        frozen, at_us = self.frozen[name]
        self.machines[name].revert(frozen, 0 if clock == "clock=set" else self.now_us - at_us)

    def do_swap(self, name: str) -> None:
        machine = self.machines[name]
        machine.disk, self.saved[name] = self.saved[name], machine.disk
        machine.start()

    def do_damage(self, name: str, key: str) -> None:
        del self.machines[name].disk.table[key.encode()]

    def do_fail_commit(self, name: str, outcome: str) -> None:
        self.machines[name].disk.fail_next_commit = outcome == "kept"

    def do_disk(self, name: str, state: str) -> None:
        self.machines[name].disk.full = state == "full"

    def do_status(self, name: str) -> None:
        replica = self.machines[name].replica
        self.tell(name, self.vector(replica.cut.heads))
        for waiter in waiting(replica.holdback):
            self.tell(name, self.waiting(waiter.item, waiter.waits_for))

    def do_log(self, name: str) -> None:
        machine = self.machines[name]
        log = [decode_batch(it) for _, it in sorted(machine.disk.families["log"].items())]
        floor = machine.replica.state.floor
        pins = machine.replica.truncation.pins
        kept = f"for {pins[0].name}" if pins else ""
        self.tell(name, "logs", self.spans(log) or "nothing", "beyond", self.vector(floor), kept)

    def do_members(self, name: str) -> None:
        self.tell(name, "counts", *sorted(self.machines[name].replica.members.names()))

    def do_compare(self) -> None:
        """Disks must be sound, digests true, and nodes with equal vectors equal in all else."""
        groups: dict[str, list[Machine]] = {}
        for machine in self.running():
            replica, records = machine.replica, machine.disk.table
            prints = [fingerprint(k, v) for k in records for v in decode_table_record(records[k])]
            assert replica.state.digest == sum(prints) % DIGEST_MODULUS, f"digest of {machine.name}"
            assert examined(machine.disk).problems == [], f"disk of {machine.name}"
            group = groups.setdefault(self.vector(replica.cut.heads), [])
            group.append(machine)
            first = group[0].replica.state
            assert replica.state.digest == first.digest, f"digest of {machine.name}"
            assert replica.state.origins == first.origins, f"rows of {machine.name}"
            rows = [decode_saved(it.disk.families["meta"].items()).origins for it in group]
            assert rows[-1] == rows[0], f"rows on the disk of {machine.name}"
        for vector, group in groups.items():
            names = " ".join(machine.name for machine in group)
            self.tell(f"{names} {'agree at ' if len(group) > 1 else ''}{vector}")

    def do_token(self, session: str) -> None:
        self.tell(f"{session} has seen {self.vector(decode_token(self.sessions[session])[1])}")

    def do_go_on(self, session: str) -> None:
        self.sessions[session] = self.left[session]

    def do_trace(self) -> None:
        self.tracing = True

    # --- words to things

    def _routed(self, words: Sequence[str]) -> tuple[list[str], list[Machine]]:
        """What stands before the arrow, and the machines after it; all if there is none."""
        what, _, names = " ".join(words).partition("->")
        receivers = [self.machines[name] for name in names.split()]
        return what.split(), receivers or self.running()

    def _taken(self, machine: Machine, dots: Sequence[str]) -> list[bytes]:
        """Remove from its inbox what waits there; in the order of the inbox if `all`."""
        if dots == ["all"]:
            taken, machine.inbox = machine.inbox, []
            return taken
        taken = [self._named(machine.inbox, dot) for dot in dots]
        for encoded in taken:
            machine.inbox.remove(encoded)
        return taken

    def _named(self, among: Sequence[bytes], dot: str) -> bytes:
        """The batch that a dot names."""
        label, _, seq = dot.partition(":")
        for encoded in among:
            batch = decode_batch(encoded)
            if self.labels[batch.origin] == label and batch.first <= int(seq) <= batch.last:
                return encoded
        raise ValueError(f"{dot} is not there")

    def asking(self, verb: str, words: Sequence[str]) -> Request:
        """A client's request, as its node gets it."""
        options = dict(word.split("=") for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        session, deadline = options.get("session"), options.get("deadline", "0s")
        arguments: list[bytes | int] = [word.encode() for word in plain]
        if "ttl" in options:
            arguments.append(time_us(options["ttl"]) // 1000)
        operations = [CLIENT[verb](*arguments)]
        if "replicas" in options:
            timeout_ms = time_us(options["timeout"]) // 1000
            operations.append(client.replicated(int(options["replicas"]), timeout_ms))
        return request(
            Asked(session, " ".join([verb, *plain])),
            self.sessions.get(session or ""),
            time_us(deadline) // 1000,
            operations,
            self.now_us,
        )


def time_us(text: str) -> int:
    """5s, 100ms, 0, -3us."""
    match = re.fullmatch(r"(-?\d+)([mu]?s)?", text)
    assert match is not None, f"{text} is no time"
    return int(match[1]) * UNITS_US[match[2] or "us"]
