"""A link that carries so many bytes a second, for tests."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

#: What is taken from the sender at a time; and what the kernel keeps in between, about.
_READ_BYTES = 4096
_BUFFER_BYTES = 32 * 1024


class SlowLink:
    """All that its gates carry one way shares what there is; what goes the other way is carried at
    once."""

    def __init__(self, bytes_per_s: int) -> None:
        self.bytes_per_s = bytes_per_s
        #: What has gone through that way.
        self.carried_bytes = 0
        self._lock = threading.Lock()
        self._free_at_s = 0.0
        self._servers: list[socket.socket] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def gate(self, to: str, is_towards: bool = False) -> str:
        """An address that leads to another one over this link; which slows down what comes from
        there, or what goes there."""
        server = socket.create_server(("127.0.0.1", 0))
        self._servers.append(server)
        host, port = to.removeprefix("tcp://").split(":")
        self._start(self._accept, server, (host, int(port)), is_towards)
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"

    def cut(self) -> None:
        """End all connections; others can be made at once."""
        with self._lock:
            for end in self._open:
                with suppress(OSError):  # it has ended by itself
                    end.shutdown(socket.SHUT_RDWR)
            self._open.clear()
            self._free_at_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _start(self, does: object, *given: object) -> None:
        thread = threading.Thread(target=does, args=given, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket, to: tuple[str, int], is_towards: bool) -> None:
        while True:
            try:
                asking, _ = server.accept()
            except OSError:
                return
            node = socket.socket()
            node.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            try:
                node.connect(to)
            except OSError:
                asking.close()
                node.close()
                continue
            with self._lock:
                self._open |= {asking, node}
            self._start(self._carry, node, asking, not is_towards)
            self._start(self._carry, asking, node, is_towards)

    def _carry(self, source: socket.socket, target: socket.socket, is_slow: bool) -> None:
        try:
            while data := source.recv(_READ_BYTES):
                if is_slow:
                    time.sleep(self._wait_s(len(data)))
                target.sendall(data)
        except OSError:
            pass
        with self._lock:
            for end in (source, target):
                if end in self._open:
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                    self._open.discard(end)
        source.close()

    def _wait_s(self, size_bytes: int) -> float:
        with self._lock:
            now_s = time.monotonic()
            self._free_at_s = max(now_s, self._free_at_s) + size_bytes / self.bytes_per_s
            self.carried_bytes += size_bytes
            return self._free_at_s - now_s
