"""The synchronous client's connection: to one node at a time, of those that it may ask."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from itertools import count

import zmq

from kvnode.client.failover import Attempt, Course, Endpoints, Patience, Results
from kvnode.client.hosts import expect_addresses, opened
from kvnode.client.late import GivenUp
from kvnode.client.session import Request, Session, decoded_answer
from kvnode.codec.client import REQUEST_ID_BYTES, Operation
from kvnode.errors import (
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)
from kvnode.transport.sockets import Context, Socket, is_connected, receive_frames

#: How often to see whether the connection is still there while an answer is awaited.
LOOK_AGAIN_S = 0.05


class Connection:
    """Sends requests and waits for their answers, one at a time."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        #: Of all requests of all sessions that share it.
        self.ids = count(1)
        self._given_up = GivenUp()
        expect_addresses(endpoints.addresses)
        self._context: Context = zmq.Context()
        #: The endpoint that it is at.
        self._at = endpoints.current
        #: By the numbers of their endpoints: to this one, and to those that were not connected in
        #: the time that they had. These may be any moment, so that one can come back to them.
        self._sockets: dict[int, Socket] = {}
        try:
            self._open(self._at)
        except Unreachable:
            self._context.term()
            raise
        self._is_closed = False

    def run(
        self,
        session: Session,
        operations: Sequence[Operation],
        patience: Patience,
        *,
        retry_writes: bool,
    ) -> Results:
        """The results of these operations, from whichever node gives them."""
        id_ = os.urandom(REQUEST_ID_BYTES) if retry_writes else None
        course = Course(self.endpoints, operations, patience, time.monotonic(), jitter, id_=id_)
        while True:
            if course.attempt.pause_s:
                time.sleep(course.attempt.pause_s)
            try:
                return self._tried(session, course)
            except KvnodeError as error:
                course.fail(error, time.monotonic())

    def close(self) -> None:
        """Close all."""
        self._is_closed = True
        while self._sockets:
            self._sockets.popitem()[1].close()
        self._context.term()

    def _tried(self, session: Session, course: Course) -> Results:
        if self._is_closed:
            raise InvalidRequest("this client is closed")
        self._move_to(course.attempt.at)
        if (question := course.question) is not None:
            try:
                course.learn(self._asked(session, question, course.attempt))
            except IndefiniteError as error:
                message = f"{self._address} does not say who it is, and nothing was sent"
                raise Unreachable(f"{message}: {error}") from None
        return course.results(self._asked(session, course.request(), course.attempt))

    @property
    def _address(self) -> str:
        return self.endpoints.addresses[self._at]

    @property
    def _socket(self) -> Socket:
        return self._sockets[self._at]

    def _move_to(self, at: int) -> None:
        if at == self._at:
            return
        if at not in self._sockets:
            self._open(at)
        if is_connected(self._socket):
            self._sockets.pop(self._at).close()
        self._at = at

    def _open(self, at: int) -> None:
        self._sockets[at] = opened(self._context, self.endpoints.addresses[at])

    def _asked(
        self, session: Session, operations: Sequence[Operation], attempt: Attempt
    ) -> Results:
        request = session.request(operations, attempt.wait_s)
        if not self._socket.poll(int(attempt.connect_s * 1000), zmq.POLLOUT):
            message = f"no connection to {self._address} within {attempt.connect_s:.3g} s"
            raise Unreachable(message)
        try:
            self._socket.send(request.payload, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the connection to {self._address} was lost") from None
        try:
            return self._received(session, request, attempt)
        except TimedOut:
            self._given_up.add(request.id, session)
            raise

    def _received(self, session: Session, request: Request, attempt: Attempt) -> Results:
        while (left_s := attempt.until_s - time.monotonic()) > 0:
            if not self._socket.poll(max(1, int(min(left_s, LOOK_AGAIN_S) * 1000))):
                if not is_connected(self._socket):
                    message = f"the connection to {self._address} was lost before it answered"
                    raise TimedOut(message)
                continue
            frames = receive_frames(self._socket, 1)
            if not frames:
                raise UnreadableAnswer(f"{self._address} does not speak kvnode's protocol")
            answer = decoded_answer(frames[0])
            if answer.id in (request.id, None):  # none is of what the node could not read
                return session.results_of(request, answer)
            self._given_up.take(answer)
        raise TimedOut(f"no answer from {self._address} within {attempt.patience_s:.3g} s")


def jitter() -> float:
    """From 0 to 1. The module `random` would cost `kv` a part of its start."""
    return int.from_bytes(os.urandom(4), "big") / (1 << 32)
