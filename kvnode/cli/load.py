"""Clients that write all the time, and who looks for what was acknowledged to them.

Every write has a key of its own, and a value that follows from the key: so what is found is
that very write.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Final, Self

from kvnode.cli.cluster import PATIENCE_S, LocalNode, NotSeen
from kvnode.client.sync import Client
from kvnode.errors import KvnodeError

#: Short: who waits long for a node that is gone writes nothing meanwhile.
_TIMEOUT_S: Final = 0.5

#: Keys that are looked for at once.
_KEYS_PER_READ: Final = 500


def value_of(key: str, value_bytes: int) -> str:
    """What is written under a key: `value_bytes` characters that only this key has."""
    return (key + " ").ljust(value_bytes, ".")


def found_at(node: LocalNode, keys: Sequence[str], value_bytes: int) -> list[str]:
    """Those of the keys under which the node has what was written."""
    found = []
    with node.client() as client:
        for at in range(0, len(keys), _KEYS_PER_READ):
            page = keys[at : at + _KEYS_PER_READ]
            for key, value in zip(page, client.get_many(page), strict=True):
                if value == value_of(key, value_bytes):
                    found.append(key)
    return found


class Writers:
    """Some clients at each node, a thread each; a context manager that ends them."""

    def __init__(
        self, nodes: Iterable[LocalNode], *, per_node: int, value_bytes: int, pause_s: float = 0.0
    ) -> None:
        self.value_bytes = value_bytes
        self.pause_s = pause_s
        #: Set when they shall end.
        self.ending = threading.Event()
        self._writers = [_Writer(self, node, n + 1) for node in nodes for n in range(per_node)]

    def __enter__(self) -> Self:
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ending.set()
        for writer in self._writers:
            writer.may_write.set()
        for writer in self._writers:
            if writer.is_alive():
                writer.join()

    @property
    def count(self) -> int:
        """How many writes were acknowledged."""
        return sum(len(writer.acknowledged) for writer in self._writers)

    def acknowledged(self) -> list[str]:
        """The keys of the writes that were acknowledged. Raises what ended one of them."""
        for writer in self._writers:
            if writer.error is not None:
                raise writer.error
        return [key for writer in self._writers for key in tuple(writer.acknowledged)]

    @contextmanager
    def away_from(self, name: str) -> Iterator[None]:
        """Nobody writes at this node meanwhile: what it acknowledged is all that it will."""
        there = [writer for writer in self._writers if writer.node.name == name]
        with ExitStack() as stack:
            for writer in there:
                writer.may_write.clear()
                stack.callback(writer.may_write.set)
            for writer in there:
                if not writer.rests.wait(PATIENCE_S):
                    raise NotSeen(f"the clients did not leave {name}")
            yield


class _Writer(threading.Thread):
    """One client of one node; what is not acknowledged may be there or not."""

    def __init__(self, writers: Writers, node: LocalNode, number: int) -> None:
        super().__init__(name=f"{node.name}{number}", daemon=True)
        self.node = node
        self.acknowledged: list[str] = []
        self.error: BaseException | None = None
        self.may_write = threading.Event()
        self.may_write.set()
        self.rests = threading.Event()
        self._writers = writers

    def run(self) -> None:
        try:
            with Client(self.node.listen, timeout_s=_TIMEOUT_S, wait_s=0) as client:
                self._write(client)
        except BaseException as error:  # whoever asks what was acknowledged raises it
            self.error = error
        finally:
            self.rests.set()

    def _write(self, client: Client) -> None:
        count = 0
        while not self._writers.ending.wait(self._writers.pause_s):
            if not self.may_write.is_set():
                self.rests.set()
                self.may_write.wait()
                self.rests.clear()
                continue
            count += 1
            key = f"w/{self.name}/{count}"
            try:
                client.put(key, value_of(key, self._writers.value_bytes))
            except KvnodeError:
                continue
            self.acknowledged.append(key)
