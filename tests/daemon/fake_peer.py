"""A peer that greets a node properly, and then says whatever the test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import zmq

from kvnode.cli.cluster import LocalNode, until
from kvnode.codec.answers import encode_answer
from kvnode.codec.calls import Call
from kvnode.codec.gossip import BATCH, CLAIM, Header, encode_claim, encode_header
from kvnode.codec.server import Hello, Since, Snapshot, Synced, decode_request
from kvnode.core.messages import Claim, Report
from kvnode.core.vector import Vector

_LOOK_AGAIN_MS = 20


class FakePeer:
    """A ROUTER that a thread answers, and a PUB for the test. A context manager."""

    def __init__(self, name: str = "F", cluster: str = "kvnode") -> None:
        self.name, self.cluster, self.instance = name, cluster, 1
        self.has_forgotten = False
        self.namesake: str | None = None
        self.wants_calls = False
        self._claims = 0
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self.listen = self._bound(self._router)
        self.publisher = self._context.socket(zmq.PUB)
        self.gossip = self._bound(self.publisher)
        #: What was reported to it.
        self.reports: list[Report] = []
        #: What is answered to hellos, to pulls and to reports: a result, or whole frames.
        self.greeting: Callable[[], Any] = self.proper_greeting
        self.pulled: Callable[[Vector], Any] = lambda vector: ("ok", [])
        self.reported: Any = ("ok",)
        #: The calls that came, and what is answered to each.
        self.calls: list[Call] = []
        self.called: Callable[[Call], Any] = lambda call: ("ok", self.wants_calls, [])
        self.pulls: list[Vector] = []
        #: What was asked for of snapshots, by their numbers and positions; None is answered to
        #: nobody.
        self.fetches: list[tuple[int | None, bytes]] = []
        self.fetched: Callable[[Snapshot], Any] = lambda asked: None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._answer_all)

    def proper_greeting(self) -> Sequence[Any]:
        """What a node answers to hello."""
        about = (self.cluster, self.name, self.instance, self.gossip)
        return ("ok", *about, self.has_forgotten, self.namesake, self.wants_calls)

    def move(self) -> None:
        """Gossip elsewhere from now on."""
        self.publisher.close()
        self.publisher = self._context.socket(zmq.PUB)
        self.gossip = self._bound(self.publisher)

    def move_to_another_socket(self) -> None:
        """Where it says that it gossips there is a ROUTER now."""
        self.publisher.close()
        self.publisher = self._context.socket(zmq.ROUTER)
        self.gossip = self._bound(self.publisher)

    def move_back(self) -> None:
        """At the same address it gossips."""
        self.publisher.close()
        self.publisher = self._context.socket(zmq.PUB)
        until("the port is free", lambda: self._binds(self.publisher, self.gossip))

    def _binds(self, socket: zmq.Socket[bytes], address: str) -> bool:
        try:
            socket.bind(address)
        except zmq.ZMQError:
            return False
        return True

    def stop_listening(self) -> None:
        """Nobody is at its address for requests any more; it still gossips."""
        self._done.set()
        self._thread.join()
        self._router.close(linger=0)

    def listen_again(self) -> None:
        """At the same address."""
        self._router = self._context.socket(zmq.ROUTER)
        until("the port is free", lambda: self._binds(self._router, self.listen))
        self._done.clear()
        self._thread = threading.Thread(target=self._answer_all)
        self._thread.start()

    def publish(self, *frames: bytes) -> None:
        """Publish what one likes."""
        self.publisher.send_multipart(frames)

    def publish_batch(self, encoded: bytes) -> None:
        """Publish a batch under a proper header."""
        self.publish(self.header(BATCH), encoded)

    def claim(self, delivered: Vector, *, ahead_s: int = 0, floor: Vector | None = None) -> None:
        """Publish a proper heartbeat, by a clock that may be ahead."""
        wall_us = time.time_ns() // 1000 + ahead_s * 1_000_000
        claim = replace(self.made_claim(delivered, wall_us), floor=floor or {})
        self.publish(self.header(CLAIM), encode_claim(claim))

    def made_claim(self, delivered: Vector, wall_us: int) -> Claim:
        """One that is later than those before."""
        self._claims += 1
        about = (self.name, self.instance)
        return Claim(*about, delivered, delivered, 0, {}, wall_us, self._claims)

    def header(self, kind: str) -> bytes:
        """A proper first frame."""
        return encode_header(Header(self.cluster, self.name, self.instance, kind))

    def until_heard(self, node: LocalNode) -> None:
        """Publish heartbeats until the node has got one."""

        def heard() -> bool:
            self.claim({})
            return any(peer["lag_updates"] is not None for peer in node.status()["peers"])

        until(f"{node.name} hears {self.name}", heard)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _answer_all(self) -> None:
        while not self._done.is_set():
            if not self._router.poll(_LOOK_AGAIN_MS):
                continue
            identity, payload = self._router.recv_multipart()
            asked = decode_request(payload)
            match asked.operations:
                case Hello():
                    answer = self.greeting()
                case Since(vector, _):
                    self.pulls.append(vector)
                    answer = self.pulled(vector)
                case Snapshot() as asked_for:
                    self.fetches.append((asked_for.number, asked_for.after))
                    answer = self.fetched(asked_for)
                case Synced(report):
                    self.reports.append(report)
                    answer = self.reported
                case Call() as call:
                    self.calls.append(call)
                    answer = self.called(call)
                case _:
                    continue
            if answer is None:
                continue
            if isinstance(answer, tuple):
                answer = [encode_answer(asked.id, None, [answer])]
            self._router.send_multipart([identity, *answer])

    def _bound(self, socket: zmq.Socket[bytes]) -> str:
        return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
