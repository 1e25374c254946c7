"""A node that answers what the test says, to see what a client makes of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import zmq

from kvnode.codec.answers import encode_answer
from kvnode.codec.server import Asked, Cancel, decode_request

_LOOK_AGAIN_MS = 20

#: From a decoded request to the payloads that are sent back, in order.
Answers = Callable[[Asked], Iterable[bytes]]


class FakeNode:
    """A ROUTER that a thread answers. A context manager."""

    def __init__(self, answers: Answers, host: str = "127.0.0.1", port: str = "*") -> None:
        self.asked: list[Asked] = []
        #: The ids of requests for whose answers nobody waits any more.
        self.cancelled: list[int] = []
        self._answers = answers
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.IPV6, int("[" in host))
        self._router.bind(f"tcp://{host}:{port}")
        self.listen = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._answer_all)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Be there no more, so that another can be."""
        self._done.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _answer_all(self) -> None:
        while not self._done.is_set():
            if self._router.poll(_LOOK_AGAIN_MS):
                identity, payload = self._router.recv_multipart()
                asked = decode_request(payload)
                if isinstance(asked.operations, Cancel):
                    self.cancelled.append(asked.operations.id)
                    continue
                self.asked.append(asked)
                for answer in self._answers(self.asked[-1]):
                    self._router.send_multipart([identity, answer])


def answering(*results: Sequence[Any], token: bytes | None = None) -> Answers:
    """Answers every request with these results."""
    return lambda asked: [encode_answer(asked.id, token, results)]


def silent(_: Asked) -> Iterable[bytes]:
    """Answers nothing."""
    return ()


@contextmanager
def mute() -> Iterator[str]:
    """The address of what accepts connections, and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield "tcp://{}:{}".format(*listener.getsockname())
