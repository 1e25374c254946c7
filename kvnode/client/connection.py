"""The synchronous client's connections: one for each of the calls that threads make at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from itertools import count

from kvnode.client.channel import Channel
from kvnode.client.failover import Course, Endpoints, Patience, Results, follows_changes
from kvnode.client.line import LOOK_AGAIN_S
from kvnode.client.pool import Closing, Pool
from kvnode.client.session import Session
from kvnode.codec.client import REQUEST_ID_BYTES, Operation
from kvnode.errors import InvalidRequest, KvnodeError


class Connection:
    """Sends the requests of any number of threads. In a process that is forked it connects anew,
    and leaves the sockets of the other one alone."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        #: Of all requests of all sessions that share it.
        self.ids = count(1)
        self._channels = self._made(Closing())

    def run(
        self,
        session: Session,
        operations: Sequence[Operation],
        patience: Patience,
        *,
        retry_writes: bool,
    ) -> Results:
        """The results of these operations, from whichever node gives them."""
        pool = self._pool()
        if pool.closing.is_done:
            raise InvalidRequest("this client is closed")
        watches = follows_changes(operations, patience.wait_s)
        with pool.channel(patience.timeout_s, watches=watches) as (channel, waited_s):
            id_ = os.urandom(REQUEST_ID_BYTES) if retry_writes else None
            left, now_s = patience.after(waited_s), time.monotonic()
            course = Course(self.endpoints, operations, left, now_s, jitter, id_=id_)
            while True:
                _pause(course.attempt.pause_s, pool.closing)
                try:
                    return channel.tried(session, course)
                except KvnodeError as error:
                    if pool.closing.is_done:
                        raise (course.doubt or error) from None
                    course.fail(error, time.monotonic())

    def close(self) -> None:
        """Close all. Calls of other threads end as soon as these see it."""
        self._pool().close()

    def _pool(self) -> Pool[Channel]:
        """This process's. What belongs to the one that this was forked from stays as it is, and is
        kept: its threads are not here, and its connections are still in use there."""
        pool = self._channels
        if pool.process != os.getpid():
            _inherited.append(pool)
            pool = self._channels = self._made(pool.closing)
        return pool

    def _made(self, closing: Closing) -> Pool[Channel]:
        return Pool(partial(Channel, self.endpoints, closing), closing)


_inherited: list[Pool[Channel]] = []


def _pause(pause_s: float, closing: Closing) -> None:
    end_s = time.monotonic() + pause_s
    while (left_s := end_s - time.monotonic()) > 0 and not closing.is_done:
        time.sleep(min(left_s, LOOK_AGAIN_S))


def jitter() -> float:
    """From 0 to 1. The module `random` would cost `kv` a part of its start."""
    return int.from_bytes(os.urandom(4), "big") / (1 << 32)
