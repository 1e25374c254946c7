"""The daemon's loop: one thread, one poller, one turn after another.

poll -> receive (bounded) -> the node's turn -> answer what concerns the node

Of pulls a turn answers one: many peers that catch up at once must not stall the clients.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import zmq

from kvnode.codec import gossip
from kvnode.codec.answers import encode_answer, encode_result
from kvnode.codec.batches import encode_batch
from kvnode.codec.calls import Call, encode_messages
from kvnode.codec.client import Introduction
from kvnode.codec.records import MemberRecord, decode_member, encode_member
from kvnode.codec.server import (
    Asked,
    Backup,
    BadRequest,
    Cancel,
    Fault,
    Hello,
    NodeOperation,
    Since,
    Snapshot,
    Synced,
    decode_operation,
    decode_request,
)
from kvnode.codec.token import encode_token
from kvnode.core.batch import Batch
from kvnode.core.clock import Now
from kvnode.core.limits import MIB, Limits
from kvnode.core.messages import Claim, Fetch, Inputs, Pull, Report, Saved
from kvnode.core.once import FIRST_POSITION_BITS
from kvnode.core.replica import Identity, Replica
from kvnode.core.requests import Mark, Request
from kvnode.core.results import Reply
from kvnode.core.vector import RANDOM_BITS, Dot, Vector, new_origin, shown
from kvnode.daemon.backups import Backups
from kvnode.daemon.config import Config
from kvnode.daemon.connections import Connections
from kvnode.daemon.descriptors import Descriptors, limit, raise_limit
from kvnode.daemon.entropy import fresh_bits, fresh_random
from kvnode.daemon.links import Links
from kvnode.daemon.logs import LOGGER, Complaints
from kvnode.daemon.mesh import Mesh
from kvnode.daemon.neighbours import NotYet
from kvnode.daemon.node import Durability, Node
from kvnode.daemon.questions import Questions
from kvnode.daemon.reports import Reports
from kvnode.daemon.signals import wake_up_on_signals
from kvnode.daemon.sink import Sink
from kvnode.daemon.status import state_of
from kvnode.daemon.supervisor import Supervisor
from kvnode.errors import MalformedError
from kvnode.storage.backups import remove_partial
from kvnode.storage.directory import DataDirectory
from kvnode.storage.store import Store
from kvnode.transport.sockets import (
    Context,
    Return,
    bound,
    receive_request,
    send_answer,
)

#: Requests read in one turn; they share its commit.
REQUESTS_PER_TURN: Final = 1_000

#: What one turn reads from one socket: it stands in memory until the turn ends.
RECEIVED_BYTES_PER_TURN: Final = 32 * MIB

#: Pulls that wait to be answered: a peer has one under way, and a large cluster a hundred
#: peers. One more is refused, and its asker turns to another node.
PULLS_WAITING_MAX: Final = 128

#: What tells a snapshot that is read from all others.
SNAPSHOT_NUMBER_BITS: Final = 62

#: How long a stopping daemon lets its last answers leave.
LINGER_MS: Final = 1_000


#: Takes a result, and the time by the steady clock.
_Answer = Callable[[tuple[Any, ...], int], None]


class Daemon:
    """A node on sockets. Made by `run`."""

    def __init__(self, config: Config, directory: DataDirectory, log: Sink) -> None:
        self._config = config
        self._instance = secrets.randbits(63)
        self._directory = directory
        self._limits = Limits(
            log_kept_us=config.log_keep_s * 1_000_000,
            log_kept_bytes=config.log_keep_mib * MIB,
            log_bytes_max=config.log_max_mib * MIB,
            scrub_interval_us=config.scrub_interval_s * 1_000_000,
        )
        self._node = Node(
            self._open_store,
            self._make_replica,
            durability=config.durability,
            sync_interval_us=config.sync_interval_ms * 1000,
            heartbeat_us=config.heartbeat_ms * 1000,
            random_number=lambda: fresh_bits(SNAPSHOT_NUMBER_BITS),
            founds=not config.join,
        )
        self._complaints = Complaints()
        self._stopping = False
        #: Peers that the turn before could not ask: the next one, which comes at once, asks others.
        self._unasked: list[str] = []
        #: Pulls that wait, and how each is answered.
        self._pulls: deque[tuple[Since | Snapshot, _Answer]] = deque()
        self._reports = Reports(self._complaints, heartbeat_us=config.heartbeat_ms * 1000)
        self._token: tuple[Vector, bytes] = ({}, encode_token(config.cluster, {}))
        kinds = (gossip.BATCH, gossip.CLAIM, gossip.AWAITED)
        self._headers = {kind: self._header(kind) for kind in kinds}
        self._context: Context = zmq.Context()
        self._poller = zmq.Poller()
        self._members_seen: tuple[Replica | None, int] = (None, 0)
        try:
            self._router = bound(self._context, zmq.ROUTER, config.listen)
            self._publisher = bound(self._context, zmq.PUB, config.gossip)
            self._mesh = Mesh(
                self._context,
                self._poller,
                Introduction(
                    config.cluster,
                    config.name,
                    self._instance,
                    config.advertise_listen,
                    config.advertise_gossip,
                    None,
                ),
                config.join,
                Links(),
                self._complaints,
                endpoint=self._router.get_string(zmq.LAST_ENDPOINT),
                heartbeat_us=config.heartbeat_ms * 1000,
            )
            self._connections = Connections(
                {
                    "requests": self._router,
                    "subscribers": self._publisher,
                    "publishers": self._mesh.subscriber,
                },
                self._complaints,
            )
        except BaseException:
            self._context.destroy(linger=0)
            self._node.close(self)
            raise
        self._descriptors = Descriptors(limit(), self._complaints)
        self._questions = Questions(
            config,
            self._instance,
            self._node,
            self._mesh,
            self._connections,
            self._complaints,
            log,
        )
        self._backups = Backups(config.data, self._node, lambda: self._store)
        self._supervisor = Supervisor(os.environ)
        self._poller.register(self._router, zmq.POLLIN)
        for monitor in self._connections.monitors:
            self._poller.register(monitor, zmq.POLLIN)

    # --- the loop

    def run(self, wake_up: socket.socket) -> None:
        """Turn until a byte comes on `wake_up`, then drain and close."""
        self._poller.register(wake_up, zmq.POLLIN)
        vector = shown(self._node.vector)
        LOGGER.info("listening at %s, vector %s", self._config.listen, vector)
        self._tell_where_others_reach_us()
        try:
            self._follow_members()  # whoever was a member is to be heard
            self._turn(wake_up)  # the first one shows whether it has to join
            # Also then it is ready: it must not be killed because nobody else is there.
            self._supervisor.ready(state_of(self._node), _now().steady_us)
            while not self._stopping:
                self._turn(wake_up)
            self._supervisor.stopping()
            self._turn(wake_up)  # what had arrived by then still gets its answer
        finally:
            self._close()

    def _tell_where_others_reach_us(self) -> None:
        """Where that is not where it listens."""
        config = self._config
        told = (config.advertise_listen, config.advertise_gossip)
        if config.by_host_name:
            flags = " and ".join(f"--{it.replace('_', '-')}" for it in config.by_host_name)
            LOGGER.warning(
                "others are told to reach this node at %s, and its gossip at %s, since that is the "
                "host's name; if they can't, set %s",
                *told,
                flags,
            )
        elif told != (config.listen, config.gossip):
            LOGGER.info("others are told to reach this node at %s, and its gossip at %s", *told)

    def _turn(self, wake_up: socket.socket) -> None:
        timeout_ms = self._timeout_ms()
        self._node.rests(_now())
        events = dict(self._poller.poll(timeout_ms))
        if wake_up.fileno() in events:
            wake_up.recv(4096)
            self._stopping = True
        self._connections.receive(events)
        self._descriptors.look()
        now = _now()
        inputs, questions = Inputs(unasked=self._unasked), []
        self._unasked = []
        if self._mesh.subscriber in events:
            self._mesh.receive_gossip(inputs, now.steady_us, RECEIVED_BYTES_PER_TURN)
        if self._mesh.names.answered.fileno() in events:
            self._mesh.look_for_the_moved()
        for peer in self._mesh.peers:
            if peer.socket in events:
                self._mesh.receive_answers(peer, inputs, now.steady_us, RECEIVED_BYTES_PER_TURN)
        if self._router in events and not self._node.replica.ready:
            questions = self._receive_requests(inputs, now)
        questions = [it for it in questions if not self._is_refused(*it, inputs, now)]
        self._take_asked(inputs)
        if self._node.replica.minds_the_unheard:
            joins = self._node.replica.is_joining
            self._mesh.tell_of_the_unheard(inputs, joins=joins)
        self._node.turn(inputs, now, self)
        self._node.replica.alarms.descriptors(
            self._descriptors.limit, are_few=self._descriptors.are_few
        )
        self._follow_members()
        if self._reports.looks_at_peers(now.steady_us):
            unheard, has_heard = self._mesh.unheard(), self._mesh.neighbours.has_heard
            self._reports.tell_of_peers(self._node, unheard, now.steady_us, has_heard=has_heard)
        self._reports.tell(self._node, self._mesh.unheard, now.steady_us)
        self._answer_questions(questions, now)
        self._mesh.call(partial(self._node.claim, now), now.steady_us)
        self._backups.go_on(now.steady_us)
        self._mesh.greet(self._node.replica.record, now.steady_us)
        self._supervisor.turned(state_of(self._node), now.steady_us)

    def _is_refused(self, to: Return, asked: Asked, inputs: Inputs, now: Now) -> bool:
        """Have the turn take in what a question brings; whether it was refused for that."""
        match asked.operations:
            case Fault() as fault if self._config.allow_faults:
                self._mesh.links.set(fault, inputs)
            case Synced(report):
                self._mesh.links.receive(report.name, report, inputs)
            case Cancel(id_):
                inputs.cancelled.append(Mark(to, id_))
            case Call() as call:
                try:
                    self._mesh.called(call, inputs, now.steady_us)
                except MalformedError as error:
                    code = error.code if isinstance(error, NotYet) else "refused"
                    if not isinstance(error, NotYet):
                        self._complaints.add("refused_calls", str(error))
                    self._answer(to, asked.id, None, [("error", code, str(error), False)])
                    return True
        return False

    def _take_asked(self, inputs: Inputs) -> None:
        """Take in what peers ask or tell in answer to this node's calls."""
        for instance, (id_, encoded) in self._mesh.take_asked():
            try:
                operation = decode_operation(encoded)
                if isinstance(operation, Synced):
                    report = operation.report
                    self._mesh.links.receive(report.name, report, inputs)
                elif not isinstance(operation, Since | Snapshot):
                    raise MalformedError("only pulls and reports may come in answer to a call")
                elif len(self._pulls) < PULLS_WAITING_MAX:
                    self._pulls.append((operation, partial(self._mesh.answer, instance, id_)))
                # else it times out where it was asked
            except MalformedError as error:
                self._complaints.add("malformed_answers", f"to a call: {error}")

    def _follow_members(self) -> None:
        """Try the addresses in the member records, once they changed."""
        replica = self._node.replica
        if self._members_seen == (replica, replica.members.changes):
            return
        self._members_seen = (replica, replica.members.changes)
        recorded = set()
        for name in replica.members.names() - {self._config.name}:
            for record in replica.members.records(name):
                try:
                    recorded.add(decode_member(record.value).listen)
                except MalformedError as error:
                    self._complaints.add("malformed_members", f"{name}: {error}")
        self._mesh.follow(recorded)

    def _timeout_ms(self) -> int:
        if self._stopping or self._pulls or self._unasked:
            return 0
        wake_us = self._node.wake_us()
        others_us = (self._mesh.wake_us(), self._backups.wake_us(), self._supervisor.wake_us())
        for other_us in others_us:
            if other_us is not None:
                wake_us = min(wake_us, other_us)
        return max(0, -(-(wake_us - _now().steady_us) // 1000))

    def _close(self) -> None:
        self._backups.close()
        had_disk = self._node.health.writable
        failure = self._node.close(self)
        self._mesh.close()
        self._router.close(linger=LINGER_MS)
        self._publisher.close(linger=LINGER_MS)
        self._connections.close()
        self._context.term()
        self._supervisor.close()
        if failure is not None:
            raise failure
        how = "cleanly" if had_disk else f"without its disk ({self._node.health.last_error})"
        LOGGER.info("closed %s, vector %s", how, shown(self._node.vector))

    # --- receiving

    def _receive_requests(self, inputs: Inputs, now: Now) -> list[tuple[Return, Asked]]:
        """Read requests, within bounds: data goes to the turn, the rest comes back."""
        questions = []
        read_bytes = 0
        for _ in range(REQUESTS_PER_TURN):
            received = (
                receive_request(self._router) if read_bytes < RECEIVED_BYTES_PER_TURN else None
            )
            if received is None:
                break
            to, payload = received
            read_bytes += len(payload or b"")
            try:
                if payload is None:
                    raise BadRequest(None, MalformedError("a request must be one frame"))
                asked = decode_request(payload)
            except BadRequest as error:
                self._complaints.add("bad_requests", str(error))
                self._answer(to, error.id, None, [("error", error.code, str(error), False)])
                continue
            is_strange = asked.token_cluster not in (None, self._config.cluster)
            if is_strange and not isinstance(asked.operations, Hello):  # that says whose it is
                message = (
                    f"the request is of cluster {asked.token_cluster!r}, "
                    f"this node of {self._config.cluster!r}"
                )
                self._complaints.add("wrong_cluster", message)
                self._answer(to, asked.id, None, [("error", "wrong_cluster", message, False)])
            elif isinstance(asked.operations, NodeOperation):
                questions.append((to, asked))
            else:
                deadline_us = now.steady_us + asked.deadline_ms * 1000
                inputs.requests.append(
                    Request(
                        to,
                        asked.id,
                        asked.token,
                        deadline_us if asked.deadline_ms else None,
                        asked.operations,
                        len(payload),
                    )
                )
        return questions

    # --- answering

    def _answer_questions(self, questions: list[tuple[Return, Asked]], now: Now) -> None:
        """Answer what is quick at once, and of the pulls the one that waits longest; when
        stopping, all."""
        for to, asked in questions:
            answer = partial(self._answer_one, to, asked.id)
            match asked.operations:
                case Backup(name):
                    self._backups.ask(
                        name, partial(self._answer, to, asked.id, None), now.steady_us
                    )
                case Call() as call:
                    claim = partial(self._node.claim, now)
                    called = self._mesh.call_answer(call, claim, now.steady_us)
                    messages = encode_messages(called.messages)
                    answer(("ok", called.wants_calls, messages), now.steady_us)
                case Since() | Snapshot() as pull:
                    if len(self._pulls) < PULLS_WAITING_MAX:
                        self._pulls.append((pull, answer))
                    else:
                        message = "too many pulls wait at this node; try another, or later"
                        answer(("error", "overloaded", message, False), now.steady_us)
                case question:
                    assert isinstance(question, NodeOperation)
                    answer(self._questions.answer(question, now.steady_us), now.steady_us)
        for _ in range(len(self._pulls) if self._stopping else min(1, len(self._pulls))):
            pull, answer_pull = self._pulls.popleft()
            answer_pull(self._questions.answer(pull, now.steady_us), now.steady_us)

    def _answer_one(self, to: Return, id_: int, result: tuple[Any, ...], _: int) -> None:
        self._answer(to, id_, None, [result])

    def publish(self, batch: Batch) -> None:
        """See `Outbox`. A batch too large for gossip is pulled, after the claim."""
        self._mesh.contacts.tell()
        if batch.is_gossip:
            self._publisher.send_multipart([self._headers[gossip.BATCH], batch.encoded])

    def claim(self, claim: Claim) -> None:
        """See `Outbox`."""
        self._mesh.contacts.tell()
        self._publisher.send_multipart([self._headers[gossip.CLAIM], gossip.encode_claim(claim)])

    def awaited(self, dot: Dot) -> None:
        """See `Outbox`."""
        self._mesh.contacts.await_write(dot, _now().steady_us)
        awaited = gossip.encode_awaited(dot)
        self._publisher.send_multipart([self._headers[gossip.AWAITED], awaited])

    def report(self, report: Report) -> None:
        """See `Outbox`."""
        self._mesh.report(report, _now().steady_us)

    def pull(self, pull: Pull | Fetch) -> None:
        """See `Outbox`."""
        if not self._mesh.pull(pull, _now().steady_us):
            self._unasked.append(pull.name)

    def reply(self, reply: Reply, token: Vector) -> None:
        """See `Outbox`. A turn's token is encoded once."""
        if token is not self._token[0]:
            self._token = (token, encode_token(self._config.cluster, token))
        encoded = self._token[1] if reply.ran else None
        if reply.token is not None:
            encoded = encode_token(self._config.cluster, reply.token)
        results = [encode_result(result) for result in reply.results]
        assert isinstance(reply.reply_to, Return)
        self._answer(reply.reply_to, reply.id, encoded, results)

    def _answer(self, to: Return, id_: int | None, token: bytes | None, results: list[Any]) -> None:
        if not send_answer(self._router, to, encode_answer(id_, token, results)):
            self._complaints.add("dropped_answers", "the client is gone or does not read")

    # --- making the node

    def _open_store(self, *, read_only: bool = False) -> Store:
        first_position = fresh_bits(FIRST_POSITION_BITS)
        self._store = self._directory.open_store(
            read_only=read_only,
            first_position=first_position,
            cache_bytes=self._config.cache_mib * MIB,
        )
        return self._store

    def _new_origin(self) -> str:
        return new_origin(self._config.name, int(time.time()), fresh_bits(RANDOM_BITS))

    def _make_replica(self, saved: Saved, store: Store) -> Replica:
        return Replica(
            Identity(
                self._config.name,
                self._instance,
                encode_member(
                    MemberRecord(self._config.advertise_listen, self._config.advertise_gossip)
                ),
            ),
            saved,
            store,
            encode_batch,
            fresh_random,
            new_origin=self._new_origin,
            limits=self._limits,
            heartbeat_us=self._config.heartbeat_ms * 1000,
            commits_are_synced=self._config.durability is Durability.ALWAYS,
        )

    def _header(self, kind: str) -> bytes:
        config = self._config
        return gossip.encode_header(
            gossip.Header(config.cluster, config.name, self._instance, kind)
        )


def run(config: Config, log: Sink) -> None:
    """Serve until SIGTERM or SIGINT, and tell how the log does. Raises StorageError, or
    zmq.ZMQError at the start."""
    raise_limit()
    directory = DataDirectory(config.data, name=config.name, cluster=config.cluster)
    try:
        remove_partial(config.data)
        with wake_up_on_signals() as wake_up:
            Daemon(config, directory, log).run(wake_up)
    finally:
        directory.close()


def _now() -> Now:
    # Unlike CLOCK_MONOTONIC it goes on while the machine sleeps: nobody was heard meanwhile, and
    # what was to expire has expired.
    return Now(time.time_ns() // 1000, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000)
