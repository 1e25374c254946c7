"""Where a client's socket connects to: for a host that has a name, where that is now."""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Generic

import zmq

from kvnode.errors import InvalidRequest
from kvnode.transport.names import at, host_of, look_up, named_host
from kvnode.transport.sockets import AnySocket, can_send, connect, dealer

#: A host whose node is not there is asked for again after this: it may be elsewhere by now.
ASK_AGAIN_S: Final = 0.25

#: How often to see whether an answer has come: it takes a millisecond, or many seconds.
LOOK_AGAIN_S: Final = 0.002


class Destination(Generic[AnySocket]):
    """A DEALER, and the address that it is to be connected to. ZeroMQ does that by itself where
    the address has a number; a name is looked up beside it, while it tries the last number."""

    def __init__(self, context: zmq.Context[AnySocket], address: str) -> None:
        """Raises InvalidRequest for an address that can't be."""
        self.address = address
        self._host = named_host(address)
        if host_of(address) is None:  # to ZeroMQ any number is a port
            raise InvalidRequest(f"{address!r} is no address of a node; write HOST:PORT")
        try:
            self.socket = dealer(context, address if self._host is None else None)
        except zmq.ZMQError as error:
            raise InvalidRequest(f"{address!r} is no address of a node: {error}") from None
        #: With a number; None as long as none is known.
        self._reached: str | None = None
        self._answers: deque[str | OSError] = deque()
        self._is_asking = False
        self._ask_again_s = -math.inf
        self._reason = f"no name server has said where {self._host} is"

    def seek(self, now_s: float) -> float:
        """To be called until one can send; in how many seconds again."""
        if self._host is None or can_send(self.socket):
            return math.inf
        if self._answers:
            self._is_asking = False
            self._ask_again_s = now_s + ASK_AGAIN_S
            self._follow(self._answers.popleft())
        elif not self._is_asking and now_s >= self._ask_again_s:
            self._is_asking = True
            look_up(self._host, self._answers.append)
        return LOOK_AGAIN_S if self._is_asking else ASK_AGAIN_S

    def no_connection(self, waited_s: float) -> str:
        """What to say if one can't send after all."""
        message = f"no connection to {self.address} within {waited_s:.3g} s"
        is_lost = self._host is not None and self._reached is None
        return f"{message}: {self._reason}" if is_lost else message

    def _follow(self, answer: str | OSError) -> None:
        if isinstance(answer, OSError):
            self._reason = f"{self._host}: {answer.strerror}"
            return
        reached = at(answer, self.address)
        if reached != self._reached:
            if self._reached is not None:
                self.socket.disconnect(self._reached)
            connect(self.socket, reached)
            self._reached = reached
