"""kill -9 and a failing disk: nothing that was acknowledged is lost."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from kvnode.cli.cluster import until
from kvnode.client.sync import Client
from kvnode.core.vector import shown
from kvnode.errors import CommitFailed, KvnodeError, Unavailable

ROUNDS = 5
WRITERS = 3


@contextmanager
def writers(node, acknowledged, name):
    """Threads that write new keys at a node all the time, and note what it acknowledges."""
    done = threading.Event()

    def write(number):
        with Client(node.listen, timeout_s=0.5, wait_s=0) as client:
            count = 0
            while not done.is_set():
                count += 1
                key = f"{name}-{number}-{count}"
                try:
                    client.put(key, count)
                except KvnodeError:
                    continue  # it may be there or not
                acknowledged[key] = count

    with ThreadPoolExecutor(WRITERS) as pool:
        futures = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            yield
        finally:
            done.set()
        for future in futures:
            future.result()


def lost_at(node, acknowledged):
    """The acknowledged keys that the node does not show."""
    with node.client() as client:
        return [key for key, value in acknowledged.items() if client.get(key) != value]


def test_kill_9_loses_nothing_that_was_acknowledged(make_cluster):
    rng = random.Random(9)
    acknowledged = {}
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        x = cluster["X"]
        for number in range(ROUNDS):
            enough = len(acknowledged) + rng.randrange(1, 400)
            with writers(x, acknowledged, f"round {number}"):
                until("it is amid its work", lambda enough=enough: len(acknowledged) >= enough)
                assert x.stop(signal.SIGKILL) == -signal.SIGKILL
            x.start()
            assert lost_at(x, acknowledged) == []
        until("both agree", cluster.agree)
        assert lost_at(cluster["Y"], acknowledged) == []
    assert len(acknowledged) >= ROUNDS


# --- a disk that takes no more: files of the daemon may not grow beyond a limit


def limit_files(node, bytes_max):
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))


@pytest.fixture
def full(make_cluster):
    """X and Y, and what X acknowledged before its disk took no more."""
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        acknowledged = {f"before-{n}": random.Random(n).randbytes(1000) for n in range(100)}
        with cluster["X"].client() as client:
            for key, value in acknowledged.items():
                client.put(key, value)
        limit_files(cluster["X"], 50_000)
        yield cluster, acknowledged


def asker(node):
    """A client that soon gives up on a dead daemon."""
    return Client(node.listen, timeout_s=10.0, wait_s=0)


def failed_put(client, key):
    with pytest.raises((CommitFailed, Unavailable)) as raised:
        client.put(key, bytes(1000))
    return raised.value


def only_reads(client):
    """The status, once a write has found that the disk can't be opened for writing."""
    failed_put(client, "again")
    status = client.status()
    return None if status["storage"]["writable"] else status


def has_written(status, name):
    """How much of what a name wrote is delivered."""
    return shown(status["vector"]).get(name, 0)


def resumed(client):
    """Whether the node writes again."""
    try:
        client.put("resumed", True)
    except (CommitFailed, Unavailable):
        return False
    return True


def test_a_full_disk_fails_the_writes_and_ping_and_status_tell(full):
    cluster, _ = full
    with asker(cluster["X"]) as client:
        assert isinstance(failed_put(client, "first"), CommitFailed)
        status = until("it takes no writes", lambda: only_reads(client))
        assert status["storage"]["failures"] >= 1
        assert "too large" in status["storage"]["last_error"]
        with pytest.raises(Unavailable, match="takes no writes, but reads go on"):
            client.ping()


def test_a_full_disk_serves_reads_and_pulls(full):
    cluster, acknowledged = full
    with asker(cluster["X"]) as client:
        failed_put(client, "first")
        until("it takes no writes", lambda: only_reads(client))
        assert lost_at(cluster["X"], acknowledged) == []
        assert client.get("first") is None
        cluster["Y"].stop(signal.SIGKILL)
        shutil.rmtree(cluster["Y"].data)
        cluster["Y"].start()
        until("Y has it all from X", lambda: has_written(cluster["Y"].status(), "X") >= 100)
        assert client.status()["storage"]["writable"] is False
    assert lost_at(cluster["Y"], acknowledged) == []


def test_with_room_again_the_node_resumes_by_itself_and_has_lost_nothing(full):
    cluster, acknowledged = full
    with asker(cluster["X"]) as client:
        failed_put(client, "first")
        limit_files(cluster["X"], resource.RLIM_INFINITY)
        until("it writes again", lambda: resumed(client))
        assert client.ping() == "X"
        assert client.status()["storage"]["writable"] is True
    assert lost_at(cluster["X"], acknowledged) == []
    until("both agree", cluster.agree)
    assert lost_at(cluster["Y"], acknowledged | {"resumed": True}) == []


def test_the_other_nodes_go_on_meanwhile(full):
    cluster, _ = full
    with asker(cluster["X"]) as x, cluster["Y"].client() as y:
        failed_put(x, "first")
        y.put("meanwhile", "written")
        limit_files(cluster["X"], resource.RLIM_INFINITY)
        until("it writes again", lambda: resumed(x))
    until("both agree", cluster.agree)
    assert lost_at(cluster["X"], {"meanwhile": "written"}) == []


def test_a_node_with_a_full_disk_can_be_stopped_and_started_again(full):
    cluster, acknowledged = full
    x = cluster["X"]
    with asker(x) as client:
        failed_put(client, "first")
        assert client.status()["storage"]["failures"] == 1
    assert x.stop() == 0
    assert "Traceback" not in x.log.read_text()
    x.start()
    assert lost_at(x, acknowledged) == []
