"""Plain sockets, to say to a node what no client of ours would."""

from __future__ import annotations

from typing import Any, Self

import zmq

from kvnode.cli.cluster import PATIENCE_S, LocalNode
from kvnode.codec.client import Answer, Operation, decode_answer, encode_request


class Raw:
    """A DEALER, or another socket, connected to a node's requests."""

    def __init__(self, node: LocalNode, kind: int = zmq.DEALER, unread_max: int = 1000) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.setsockopt(zmq.RCVHWM, unread_max)
        self.socket.connect(node.listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)

    def send(self, *frames: bytes) -> None:
        """Send one message."""
        self.socket.send_multipart(frames)

    def frames(self) -> list[bytes]:
        """The next message that comes."""
        assert self.socket.poll(PATIENCE_S * 1000), "nothing came"
        return self.socket.recv_multipart()

    def answer(self) -> Answer:
        """The next answer."""
        (frame,) = self.frames()
        return decode_answer(frame)

    def error(self) -> tuple[int | None, Any, Any]:
        """The next answer, which surely did nothing: its id, code and message."""
        id_, token, results = self.answer()
        ((status, code, message, maybe),) = results
        assert (token, status, maybe) == (None, "error", False)
        return id_, code, message

    def ask(self, *operations: Operation, id_: int = 1, token: bytes | None = None) -> Answer:
        """Send a sound request and wait for the answer."""
        self.send(encode_request(id_, token, 0, operations))
        return self.answer()
