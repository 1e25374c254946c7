"""A channel: what one call of the synchronous client has to itself, as long as it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import zmq

from kvnode.client.failover import Attempt, Course, Endpoints, Results
from kvnode.client.late import GivenUp
from kvnode.client.line import LOOK_AGAIN_S, Line
from kvnode.client.pool import Closing, closed_before
from kvnode.client.session import Request, Session, decoded_answer
from kvnode.codec import client as ask
from kvnode.errors import (
    IndefiniteError,
    KvnodeError,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)
from kvnode.transport.sockets import is_connected, receive_frames


class Channel:
    """Sends requests and waits for their answers, one at a time."""

    def __init__(self, endpoints: Endpoints, closing: Closing) -> None:
        self._endpoints = endpoints
        self._closing = closing
        self._given_up = GivenUp()
        #: The endpoint that it is at.
        self._at = endpoints.current
        #: By the numbers of their endpoints: to this one, and to those that were not connected in
        #: the time that they had. These may be any moment, so that one can come back to them.
        self._lines: dict[int, Line] = {}

    def tried(self, session: Session, course: Course) -> Results:
        """The results of one attempt."""
        if self._closing.is_done:
            raise closed_before()
        self._move_to(course.attempt.at)
        if (question := course.question) is not None:
            try:
                course.learn(self._asked(session, question, course.attempt))
            except IndefiniteError as error:
                message = f"{self._line.address} does not say who it is, and nothing was sent"
                raise Unreachable(f"{message}: {error}") from None
        return course.results(self._asked(session, course.request(), course.attempt))

    def close(self) -> None:
        """Close all lines."""
        while self._lines:
            self._lines.popitem()[1].close()

    @property
    def _line(self) -> Line:
        if self._at not in self._lines:
            self._lines[self._at] = Line(self._endpoints.addresses[self._at])
        return self._lines[self._at]

    def _move_to(self, at: int) -> None:
        if at == self._at:
            return
        if self._line.has_connection:
            self._lines.pop(self._at).close()
        self._at = at

    def _asked(
        self, session: Session, operations: Sequence[ask.Operation], attempt: Attempt
    ) -> Results:
        request = session.request(operations, attempt.wait_s)
        self._send(session, request, attempt)
        try:
            return self._received(session, request, attempt)
        except TimedOut:
            self._given_up.add(request.id, session)
            raise
        except BaseException as error:
            if not isinstance(error, KvnodeError) or self._is_over(session):
                self._cancel(session, request)
            raise

    def _send(self, session: Session, request: Request, attempt: Attempt) -> None:
        end_s = time.monotonic() + attempt.connect_s
        line = self._line
        line.begin()
        while not line.tend(now_s := time.monotonic()):
            if self._is_over(session):
                raise Unreachable(f"closed before anything was sent to {line.address}")
            if now_s >= end_s:
                raise line.unreachable(attempt.within(attempt.connect_s))
            line.wait(min(end_s - now_s, LOOK_AGAIN_S))
        assert line.socket is not None
        try:
            line.socket.send(request.payload, zmq.NOBLOCK)
        except zmq.Again:
            raise Unreachable(f"the connection to {line.address} was lost") from None

    def _received(self, session: Session, request: Request, attempt: Attempt) -> Results:
        address, socket = self._line.address, self._line.socket
        assert socket is not None
        while (left_s := attempt.until_s - time.monotonic()) > 0:
            if self._is_over(session):
                raise IndefiniteError(f"closed before {address} answered")
            if not socket.poll(max(1, int(min(left_s, LOOK_AGAIN_S) * 1000))):
                if not is_connected(socket):
                    raise TimedOut(f"the connection to {address} was lost before it answered")
                continue
            frames = receive_frames(socket, 1)
            if not frames:
                raise UnreadableAnswer(f"{address} does not speak kvnode's protocol")
            answer = decoded_answer(frames[0])
            if answer.id in (request.id, None):  # none is of what the node could not read
                return session.results_of(request, answer)
            self._given_up.take(answer)
        raise TimedOut(f"no answer from {address} {attempt.within(attempt.patience_s)}")

    def _cancel(self, session: Session, request: Request) -> None:
        """Nobody waits for the answer any more: the node need not hold it back either."""
        with suppress(zmq.ZMQError):
            cancelling = session.request([ask.cancel(request.id)], 0)
            assert self._line.socket is not None
            self._line.socket.send(cancelling.payload, zmq.NOBLOCK)

    def _is_over(self, session: Session) -> bool:
        """Whether another thread has closed what this one waits for."""
        return self._closing.is_done or session.is_over
