"""Real disks that take no more, under write load: nothing acknowledged is lost, reads go on,
and writes resume by themselves."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kvnode.cli.cluster import LocalNode, until
from kvnode.client.sync import Client
from kvnode.errors import CommitFailed, Unavailable
from tests.nemesis.cluster import PEOPLE, NamespacedCluster
from tests.nemesis.disks import kept_full, small_disk, under_failing_fsync
from tests.nemesis.network import Network

WRITERS = 4
VALUE_BYTES = 2_000


class Writers:
    """Clients of one node that put, each key once, and note what they were told."""

    def __init__(self, network: Network, node: LocalNode) -> None:
        self.acknowledged: dict[str, bytes] = {}
        #: It may be there, or surely is not.
        self.doubtful: dict[str, bytes] = {}
        self.refused: dict[str, bytes] = {}
        self._network, self._node = network, node
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)
        ]

    @contextmanager
    def at_work(self) -> Iterator[Writers]:
        """They write meanwhile."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()

    def until_acknowledged(self, more: int) -> None:
        """Wait until so many more writes were acknowledged."""
        enough = len(self.acknowledged) + more
        until(f"{more} more writes", lambda: len(self.acknowledged) >= enough)

    def until_refused(self, more: int) -> None:
        """Wait until so many more writes were refused."""
        enough = len(self.refused) + more
        until(f"{more} more refusals", lambda: len(self.refused) >= enough)

    def _write(self, writer: int) -> None:
        with self._network.entered(PEOPLE), self._node.client() as client:
            number = 0
            while not self._stopping.is_set():
                number += 1
                key, value = f"{writer}-{number}", os.urandom(VALUE_BYTES)
                try:
                    client.put(key, value)
                    self.acknowledged[key] = value
                except CommitFailed:
                    self.doubtful[key] = value
                except Unavailable as error:
                    self.refused[key] = value
                    assert "nothing was done" in str(error)
                    self._stopping.wait(0.01)


class Pair:
    """A, whose disk is about to fail, and B; and who writes at A."""

    def __init__(self, cluster: NamespacedCluster, network: Network) -> None:
        self.cluster = cluster
        self.node, self.other = cluster["A"], cluster["B"]
        self.writers = Writers(network, self.node)
        #: Those of earlier failures, which may well be there by now.
        self._doubtful_before: set[str] = set()
        #: What was written at B meanwhile.
        self._elsewhere: list[str] = []

    def only_reads(self) -> bool:
        """Whether A says that it takes no writes, and that reads go on."""
        storage = self.node.status()["storage"]
        return storage["serving"] and not storage["writable"]

    def check_while_it_fails(self, reason: str) -> None:
        """Nothing is acknowledged, status tells why, and all that was acknowledged is read."""
        until("it takes no writes", self.only_reads)
        self.writers.until_refused(2 * WRITERS)  # what was under way has its answer
        acknowledged = dict(self.writers.acknowledged)
        doubtful = self.writers.doubtful.keys() - self._doubtful_before
        self._doubtful_before |= doubtful
        with self.node.client() as client:
            assert differing(client, acknowledged) == []
            assert doubtful and shown(client, doubtful) == []
            assert shown(client, self.writers.refused) == []
            storage = client.status()["storage"]
            assert storage["failures"] and reason in storage["last_error"]
            with pytest.raises(Unavailable, match="takes no writes, but reads go on"):
                client.ping()
            with self.other.client() as elsewhere:
                key = f"meanwhile-{len(self._elsewhere)}"
                elsewhere.put(key, key)
                self._elsewhere.append(key)
            assert client.get(key) is None
        self.writers.until_refused(100)
        assert self.writers.acknowledged == acknowledged
        assert self.only_reads()

    def check_afterwards(self) -> None:
        """Nothing acknowledged is lost, nothing refused is there, at A and at B, and again
        after A was killed."""
        until("both agree", self.cluster.agree)
        with self.node.client() as client:
            appeared = shown(client, self.writers.doubtful)
        print(
            f"{len(self.writers.acknowledged)} acknowledged, {len(self.writers.refused)} refused, "
            f"{len(self.writers.doubtful)} doubtful, of which {len(appeared)} are there"
        )
        self.node.stop(signal.SIGKILL)
        self.node.start()
        for node in (self.node, self.other):
            with node.client() as client:
                assert differing(client, self.writers.acknowledged) == []
                assert shown(client, self.writers.refused) == []
                assert shown(client, self.writers.doubtful) == appeared
                assert shown(client, self._elsewhere) == self._elsewhere
                assert client.ping() == node.name
        assert not (faults := self.cluster.our_faults()), faults


def differing(client: Client, expected: dict[str, bytes]) -> list[str]:
    """The keys that do not hold just this value."""
    return [
        key
        for key, value in expected.items()
        if [version.value for version in client.read(key)] != [value]
    ]


def shown(client: Client, keys: Iterable[str]) -> list[str]:
    """Those of these keys that hold anything."""
    return [key for key in tuple(keys) if client.get(key) is not None]


@contextmanager
def pair(directory: Path, *under: str) -> Iterator[Pair]:
    """A, under these command words, and B."""
    with (
        Network(["A", "B", PEOPLE]) as network,
        NamespacedCluster("AB", directory, network, under={"A": under}) as cluster,
    ):
        cluster.wait_for_mesh()
        yield Pair(cluster, network)


def test_a_disk_filled_to_the_brim_under_load(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(small_disk(tmp_path / "A"))
        pair_ = stack.enter_context(pair(tmp_path))
        with pair_.writers.at_work() as writers:
            for _ in range(2):  # it is full more than once
                writers.until_acknowledged(200)
                with kept_full(tmp_path / "A"):
                    pair_.check_while_it_fails("No space left on device")
            writers.until_acknowledged(200)
        pair_.check_afterwards()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_an_fsync_that_fails_under_load(tmp_path: Path, number: int) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("the program 'gcc' is not installed")
    under, switch = under_failing_fsync(tmp_path, number)
    with pair(tmp_path, *under) as pair_:
        with pair_.writers.at_work() as writers:
            for _ in range(2):
                writers.until_acknowledged(200)
                switch.touch()
                pair_.check_while_it_fails(os.strerror(number))
                switch.unlink()
            writers.until_acknowledged(200)
        pair_.check_afterwards()
        # They were in the log all the time, and hidden: only the fsync had failed.
        with pair_.node.client() as client:
            assert shown(client, pair_.writers.doubtful)
