"""The asyncio client's connection to one node, which any number of coroutines share."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import zmq

from kvnode.client.failover import Attempt, Results
from kvnode.client.late import GivenUp
from kvnode.client.line import Line
from kvnode.client.session import Request, Session, decoded_answer
from kvnode.codec import client as ask
from kvnode.errors import IndefiniteError, KvnodeError, TimedOut, Unreachable, UnreadableAnswer
from kvnode.transport.sockets import Socket, receive_frames

#: How often to see whether the connection is still there while somebody waits.
LOOK_AGAIN_S: Final = 0.1

#: Answers that are read before other coroutines have their turn.
_READ_AT_ONCE: Final = 100


class _Asking:
    """A request, and the coroutine that waits: until it is sent, then until it is answered."""

    def __init__(self, session: Session, request: Request, attempt: Attempt) -> None:
        self.session = session
        self.request = request
        self.attempt = attempt
        loop = asyncio.get_running_loop()
        self.sent: asyncio.Future[None] = loop.create_future()
        self.answer: asyncio.Future[Results] = loop.create_future()

    def fail(self, error: KvnodeError) -> None:
        """It gets the error, if it has nothing yet; it may be that it does not look."""
        future = self.answer if self.sent.done() else self.sent
        if not future.done():
            future.set_exception(error)
            future.exception()


class AsyncLink:
    """Sends requests in the order in which they are made, as soon as there is a connection."""

    def __init__(self, address: str, given_up: GivenUp, *, has_others: bool) -> None:
        self.address = address
        #: Whether those who can't be connected may ask another node.
        self._has_others = has_others
        self._given_up = given_up
        self._line = Line(address)
        self._loop = asyncio.get_running_loop()
        #: All who wait; and of these the ones that are not sent yet, by the ids of their requests.
        self._waiting: dict[int, _Asking] = {}
        self._unsent: dict[int, _Asking] = {}
        #: The socket that the loop listens to, and its file.
        self._heard: tuple[Socket, int] | None = None
        self._looking: asyncio.TimerHandle | None = None
        #: What the loop was told to call before must make no socket anew then.
        self._is_closed = False
        self._process = os.getpid()

    async def ask(
        self, session: Session, operations: Sequence[ask.Operation], attempt: Attempt
    ) -> Results:
        """Send a request and wait for its results."""
        request = session.request(operations, attempt.wait_s)
        asking = _Asking(session, request, attempt)
        if self._unsent:
            self._see_to_it()  # what failed before is told to these, and not to this one
        else:
            self._line.begin()
        self._waiting[request.id] = self._unsent[request.id] = asking
        try:
            self._see_to_it()
            if not asking.sent.done():
                await asyncio.wait({asking.sent}, timeout=attempt.connect_s)
                if not asking.sent.done():
                    self._give_up_connecting(attempt)
            asking.sent.result()
            left_s = attempt.until_s - time.monotonic()
            await asyncio.wait({asking.answer}, timeout=max(0.0, left_s))
            if not asking.answer.done():
                within = attempt.within(attempt.patience_s)
                raise TimedOut(f"no answer from {self.address} {within}")
            return asking.answer.result()
        except TimedOut:
            self._given_up.add(request.id, session)
            raise
        except asyncio.CancelledError:
            if request.id not in self._unsent:
                self._given_up.add(request.id, session)
                self._cancel(asking)
            raise
        finally:
            del self._waiting[request.id]
            self._unsent.pop(request.id, None)

    def close(self) -> None:
        """Close it. Who waits for a connection is told that nothing was sent, who waits for an
        answer that it may have happened."""
        self._is_closed = True
        for asking in self._waiting.values():
            if asking.request.id in self._unsent:
                asking.fail(Unreachable(f"closed before anything was sent to {self.address}"))
            else:
                self._cancel(asking)
                asking.fail(IndefiniteError(f"closed before {self.address} answered"))
        if self._looking is not None:
            self._looking.cancel()
        self._listen(None)
        self._line.close()

    # --- the connection

    def _see_to_it(self) -> None:
        """Send what waits, if there is a connection, and read what has come; until ZeroMQ has
        nothing more to tell, since its file tells only of what is new."""
        if self._process != os.getpid():
            return  # a child goes on with the loop of its parent, to whom the socket belongs
        if self._is_closed:
            for asking in self._unsent.values():
                asking.fail(Unreachable(f"closed before anything was sent to {self.address}"))
            return
        try:
            while self._line.tend(time.monotonic()):
                self._listen(self._line.socket)
                assert self._line.socket is not None
                sent, read = self._send(self._line.socket), self._read(self._line.socket)
                if read == _READ_AT_ONCE:
                    self._loop.call_soon(self._see_to_it)
                    break
                if not sent and not read:
                    break
            else:
                self._has_no_connection()
        except Unreachable as error:
            for asking in self._unsent.values():
                asking.fail(error)
            self._has_no_connection()
        if self._waiting and self._looking is None:
            self._looking = self._loop.call_later(LOOK_AGAIN_S, self._look)

    def _has_no_connection(self) -> None:
        for asking in self._waiting.values():
            if asking.sent.done():
                message = f"the connection to {self.address} was lost before it answered"
                asking.fail(TimedOut(message))
        if self._line.lookup is not None:
            self._line.lookup.when_done(partial(_soon, self._loop, self._see_to_it))
        self._listen(self._line.socket)

    def _look(self) -> None:
        self._looking = None
        if self._waiting:
            self._see_to_it()

    def _listen(self, socket: Socket | None) -> None:
        if self._heard is not None and self._heard[0] is not socket:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._heard[1])
            self._heard = None
        if self._heard is None and socket is not None:
            self._heard = socket, int(socket.get(zmq.FD))
            self._loop.add_reader(self._heard[1], self._see_to_it)

    def _give_up_connecting(self, attempt: Attempt) -> None:
        """Nobody else need find out by himself that the node is not there, if he may ask another
        one and would not wait for longer."""
        waited_s = attempt.connect_s
        if self._has_others:
            for asking in self._unsent.values():
                if asking.attempt.connect_s <= waited_s:
                    asking.fail(self._line.unreachable(asking.attempt.within(waited_s)))
        raise self._line.unreachable(attempt.within(waited_s))

    # --- messages

    def _send(self, socket: Socket) -> bool:
        """Whether something was sent."""
        has_sent = False
        for id_, asking in list(self._unsent.items()):
            if asking.sent.done():  # it was told that it is not, and does not know yet
                continue
            try:
                socket.send(asking.request.payload, zmq.NOBLOCK)
            except zmq.Again:
                break
            has_sent = True
            del self._unsent[id_]
            asking.sent.set_result(None)
        return has_sent

    def _read(self, socket: Socket) -> int:
        """How many messages were read."""
        for count in range(_READ_AT_ONCE):
            frames = receive_frames(socket, 1)
            if frames is None:
                return count
            try:
                self._take(frames)
            except KvnodeError as error:  # it may be of anybody
                for asking in self._waiting.values():
                    if asking.sent.done():
                        asking.fail(error)
        return _READ_AT_ONCE

    def _take(self, frames: list[bytes]) -> None:
        if not frames:
            raise UnreadableAnswer(f"{self.address} does not speak kvnode's protocol")
        answer = decoded_answer(frames[0])
        asking = self._waiting.get(answer.id or 0)
        if asking is None or asking.answer.done():
            self._given_up.take(answer)
            return
        try:
            asking.answer.set_result(asking.session.results_of(asking.request, answer))
        except KvnodeError as error:
            asking.fail(error)

    def _cancel(self, asking: _Asking) -> None:
        """Nobody waits for the answer any more: the node need not hold it back either."""
        if self._line.socket is not None:
            with suppress(zmq.ZMQError):
                cancelling = asking.session.request([ask.cancel(asking.request.id)], 0)
                self._line.socket.send(cancelling.payload, zmq.NOBLOCK)


def _soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(callback)
