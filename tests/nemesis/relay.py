"""A TCP relay that delays: each direction of each connection by another time.

So what goes over two connections (gossip and pulls, this peer and that) arrives in another
order than it was sent, though each connection keeps its own. Kernels without netem can't.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Final, Self

from tests.nemesis.network import Network

#: Read at a time, and pieces that wait in one direction; beyond, the sender has to wait.
_PIECE_BYTES: Final = 16 * 1024
_PIECES_MAX: Final = 256

Address = tuple[str, int]


@dataclass(frozen=True)
class Route:
    """What comes to one address goes on to the other."""

    at: Address
    to: Address


class Relay:
    """Relays for a cluster, in a namespace of their own; a context manager.

    `pairs` has each node's request and gossip ports; each relayed port has another number.
    """

    def __init__(self, network: Network, member: str, names: tuple[str, ...], seed: int) -> None:
        host = network.address(member)
        self.addresses: Mapping[str, tuple[str, str]] = {
            name: (f"tcp://{host}:{8000 + 2 * n}", f"tcp://{host}:{8001 + 2 * n}")
            for n, name in enumerate(names)
        }
        self._routes = [
            Route((host, 8000 + 2 * n + gossip), (network.address(name), 7411 + gossip))
            for n, name in enumerate(names)
            for gossip in (0, 1)
        ]
        #: The longest delay; each direction of a connection has its own share of it.
        self.delay_s = 0.0
        #: Pieces that were held up.
        self.delayed = 0
        self._random = Random(seed)
        self._network = network
        self._member = member
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay")

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        with self._network.entered(self._member):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        servers = []
        for route in self._routes:

            def accept(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Address = route.to
            ) -> None:
                task = self._loop.create_task(self._connection(reader, writer, to))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            servers.append(await asyncio.start_server(accept, *route.at))
        self._listening.set()
        await self._stop.wait()
        for server in servers:
            server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Address
    ) -> None:
        """Until either side ends it."""
        try:
            onward_reader, onward_writer = await asyncio.open_connection(*to)
        except OSError:  # the node is down: so is this way to it
            await _close(writer)
            return
        pumps = [
            self._loop.create_task(self._pump(reader, onward_writer)),
            self._loop.create_task(self._pump(onward_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await _close(writer)
            await _close(onward_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on each piece when its time has come, in order."""
        share = self._random.random()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_MAX)

        async def receive() -> None:
            while True:
                piece = await reader.read(_PIECE_BYTES)
                delay_s = share * self.delay_s
                self.delayed += delay_s > 0
                await queue.put((self._loop.time() + delay_s, piece))
                if not piece:
                    return

        receiving = self._loop.create_task(receive())
        try:
            while True:
                due, piece = await queue.get()
                await asyncio.sleep(due - self._loop.time())
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass
