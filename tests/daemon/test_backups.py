"""Backups of real nodes that run, and what becomes of them after a disk was lost."""

from __future__ import annotations

import shutil
import signal
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from kvnode.cli.cluster import until
from kvnode.client.sync import Client
from kvnode.daemon.backups import FLUSHED_WITHIN_US, Backups
from kvnode.errors import InvalidRequest, KvnodeError, Refused, StorageError, Unavailable
from kvnode.storage.backups import restore
from kvnode.storage.check import check
from kvnode.storage.directory import DataDirectory
from kvnode.storage.rocks import RocksStore


@contextmanager
def writing(node, name, acknowledged, timeout_s=10):
    """Somebody writes at a node all the time, and notes what it acknowledges."""
    done = threading.Event()

    def write():
        with Client(node.listen, timeout_s=timeout_s, wait_s=0) as client:
            count = 0
            while not done.is_set():
                count += 1
                try:
                    client.put(f"{name}-{count}", {"count": count, "padding": bytes(1000)})
                    client.put(f"{name}-same", count)
                    if count % 7 == 0:
                        client.delete(f"{name}-{count - 3}")
                except KvnodeError:
                    return  # the node is killed
                acknowledged[name] = count

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def expected(count):
    """The keys that are there after so many rounds."""
    deleted = {number - 3 for number in range(7, count + 1, 7)}
    return set(range(1, count + 1)) - deleted


def sound(directory):
    """The findings in a directory that must have no problems."""
    findings = check(directory).findings
    assert findings.problems == []
    return findings


@pytest.fixture
def pair(make_cluster):
    """X and Y, that hear each other."""
    cluster = make_cluster("XY")
    with cluster:
        cluster.wait_for_mesh()
        yield cluster


def test_a_backup_has_what_the_node_says_and_is_not_touched_later(pair):
    x = pair["X"]
    with x.client() as client:
        for number in range(50):
            client.put(f"k{number}", number)
        status = client.status()
        made = client.backup("monday")
        assert made["path"] == str(x.data / "backups" / "monday")
        assert (made["name"], made["vector"]) == ("X", status["vector"])
        assert made["digest"] == status["digest"] and made["bytes"] > 0
        client.put("k0", "later")
    findings = sound(x.data / "backups" / "monday")
    assert dict(findings.vector) == made["vector"]
    assert f"{findings.digest:032x}" == made["digest"]
    assert findings.keys >= 50, "and the records of members"


def test_backups_under_load_are_consistent_and_the_node_stays_sound(pair):
    x, acknowledged = pair["X"], {}
    with writing(x, "x", acknowledged), writing(pair["Y"], "y", acknowledged):
        until("both write", lambda: len(acknowledged) == 2)
        with x.client() as client:
            made = [client.backup(f"b{number}") for number in range(5)]
    for number, each in enumerate(made):
        findings = sound(x.data / "backups" / f"b{number}")
        assert (dict(findings.vector), f"{findings.digest:032x}") == (
            each["vector"],
            each["digest"],
        )
    assert x.stop(signal.SIGKILL) == -signal.SIGKILL
    sound(x.data)


def test_a_restored_node_gets_back_what_its_peers_have(pair):
    x, y, acknowledged = pair["X"], pair["Y"], {}
    with writing(x, "x", acknowledged), writing(y, "y", acknowledged):
        until("both write", lambda: len(acknowledged) == 2)
        with x.client() as client:
            backup = client.backup("monday")
        at_backup = acknowledged["x"]
        until("more is written", lambda: acknowledged["x"] >= at_backup + 20)
    until("both agree", pair.agree)
    with writing(y, "z", acknowledged):
        x.stop(signal.SIGKILL)
        shutil.move(backup["path"], x.data.parent / "elsewhere")
        shutil.rmtree(x.data)
        until("Y goes on alone", lambda: acknowledged.get("z", 0) >= 10)
        assert restore(x.data.parent / "elsewhere", x.data).findings.problems == []
        x.start()
        with x.client() as client:
            client.put("restored", True)
    until("both agree", pair.agree)
    for node in pair.nodes.values():
        with node.client() as client:
            assert client.get("restored") is True
            for name in ("x", "y", "z"):
                count = acknowledged[name]
                assert client.get(f"{name}-same") >= count
                for number in sorted(expected(count))[-30:]:
                    assert client.get(f"{name}-{number}")["count"] == number
    for node in pair.nodes.values():
        node.stop(signal.SIGKILL)
        sound(node.data)


def test_what_only_the_lost_disk_had_since_the_backup_is_gone_and_no_dot_is_reused(pair):
    """The backup is all that is left: a cluster of two that lost both disks."""
    x, y = pair["X"], pair["Y"]
    with x.client() as client:
        client.put("before", 1)
        backup = client.backup("monday")
        gone = client.put("after", 2)
    for node in (x, y):
        node.stop(signal.SIGKILL)
    shutil.move(backup["path"], x.data.parent / "elsewhere")
    for node in (x, y):
        shutil.rmtree(node.data)
    restore(x.data.parent / "elsewhere", x.data)
    x.start()
    with x.client() as client:
        assert (client.get("before"), client.get("after")) == (1, None)
        assert client.put("again", 3).origin != gone.origin
    y.start()
    until("both agree", pair.agree)


def test_a_name_is_taken_once_and_names_are_no_paths(pair):
    with pair["X"].client() as client:
        client.put("k", 1)
        client.backup("monday")
        with pytest.raises(Refused, match="there is a backup 'monday' already"):
            client.backup("monday")
        for name in ("", ".", "..", "../monday", "a/b", "/tmp/monday", ".partial", "x" * 64):
            with pytest.raises(InvalidRequest, match="a backup's name must match"):
                client.backup(name)
    backups = pair["X"].data / "backups"
    assert {path.name for path in backups.iterdir()} == {"monday"}


# --- when something comes between


class Health:
    """The disk of a node that is only asked whether it takes writes."""

    writable = True


class SlowStore(RocksStore):
    """Flushes when it is told."""

    flushed = False

    @property
    def is_flushed(self):
        return self.flushed


class Asking:
    """The backups of a node on a real store, without its loop."""

    def __init__(self, path):
        self.directory = DataDirectory(path, name="X", cluster="c")
        self.store = SlowStore(self.directory.store)
        self.health = Health()
        self.vector = {}
        identity = SimpleNamespace(name="X")
        state = SimpleNamespace(digest=0)
        self.replica = SimpleNamespace(state=state, identity=identity, is_joining=False)
        self.is_folding = False
        self.backups = Backups(path, self, lambda: self.store)
        self.answers = []

    def trouble(self):
        return "the node's disk takes no writes"

    def ask(self, name, at_us=0):
        self.backups.ask(name, lambda results: self.answers.extend(results), at_us)

    def close(self):
        self.store.close()
        self.directory.close()


@pytest.fixture
def asking(tmp_path):
    asking = Asking(tmp_path / "X")
    yield asking
    asking.close()


def test_a_backup_waits_for_the_flush(asking):
    assert asking.backups.wake_us() is None
    asking.ask("monday", 5)
    for steady_us, wake_us in ((5, 10_005), (6, 10_005), (10_005, 20_005), (99_000, 109_000)):
        asking.backups.go_on(steady_us)
        assert (asking.answers, asking.backups.wake_us()) == ([], wake_us)
    asking.store.flushed = True
    asking.backups.go_on(asking.backups.wake_us())
    ((status, made),) = asking.answers
    assert status == "ok" and made["path"].endswith("X/backups/monday")
    assert asking.backups.wake_us() is None


def test_one_backup_at_a_time(asking):
    asking.ask("monday")
    asking.ask("tuesday")
    assert [answer[:2] for answer in asking.answers] == [("error", "overloaded")]
    asking.store.flushed = True
    asking.backups.go_on(0)
    assert asking.answers[1][0] == "ok"
    asking.ask("tuesday", 1)
    asking.backups.go_on(1)
    assert asking.answers[2][0] == "ok"


def test_a_flush_that_takes_too_long_ends_it(asking):
    asking.ask("monday")
    asking.backups.go_on(FLUSHED_WITHIN_US - 1)
    assert asking.answers == []
    asking.backups.go_on(2 * FLUSHED_WITHIN_US)
    ((status, code, message, maybe),) = asking.answers
    assert (status, code, maybe) == ("error", "unavailable", False) and "too long" in message


def test_a_disk_that_fails_meanwhile_ends_it(asking):
    asking.ask("monday")
    asking.store.close()
    asking.store = SlowStore(asking.directory.store)
    asking.backups.go_on(0)
    assert "the disk failed meanwhile" in asking.answers[0][2]
    asking.health.writable = False
    asking.ask("tuesday")
    assert asking.answers[1][2] == "the node's disk takes no writes"


def test_who_waits_for_a_backup_is_told_that_the_node_stops(asking):
    asking.ask("monday")
    asking.backups.close()
    assert asking.answers[0][:2] == ("error", "unavailable")
    assert "shutting down" in asking.answers[0][2]
    assert not (asking.directory.path / "backups").exists()


def test_a_checkpoint_that_fails_is_told(asking, monkeypatch):
    def failing(_):
        raise StorageError("can't make a checkpoint: no space left")

    monkeypatch.setattr(asking.store, "checkpoint", failing)
    asking.store.flushed = True
    asking.ask("monday")
    asking.backups.go_on(0)
    assert asking.answers == [
        ("error", "unavailable", "can't make a checkpoint: no space left", False)
    ]


def test_a_real_node_tells_that_a_backup_failed(pair):
    """A file stands where the backups should be."""
    x = pair["X"]
    (x.data / "backups").touch()
    with x.client() as client:
        client.put("k", 1)
        with pytest.raises(Unavailable, match="backups"):
            client.backup("monday")
        assert client.get("k") == 1


@pytest.mark.parametrize("why", ["is_joining", "is_folding"])
def test_a_node_that_has_not_all_makes_no_backup(asking, why):
    setattr(asking.replica if why == "is_joining" else asking, why, True)
    asking.ask("monday")
    assert asking.answers[0][:2] == ("error", "joining")
    assert "this node is joining" in asking.answers[0][2]


def test_a_node_that_is_killed_in_a_backup_starts_and_its_other_backups_are_sound(make_node):
    node = make_node("X")
    node.start()
    for round_ in range(3):
        acknowledged = {}
        with writing(node, f"round {round_}", acknowledged, timeout_s=1):
            with Client(node.listen, timeout_s=10) as client:
                client.backup(f"whole-{round_}")
                asked = threading.Thread(target=ask_in_vain, args=(node, f"half-{round_}"))
                asked.start()
                until("it is begun", lambda: begun(node.data / "backups"))
            node.stop(signal.SIGKILL)
            asked.join()
        node.start()
        node.status()
        backups = {path.name: path for path in (node.data / "backups").iterdir()}
        assert ".partial" not in backups and f"whole-{round_}" in backups
        for path in backups.values():
            sound(path)
    node.stop()
    sound(node.data)


def begun(backups):
    """Whether a backup that will be cut off is being made, or is made already."""
    return any(path.name.startswith((".partial", "half-")) for path in backups.iterdir())


def ask_in_vain(node, name):
    """Ask for a backup at a node that is about to be killed."""
    with Client(node.listen, timeout_s=0.5) as client, suppress(KvnodeError):
        client.backup(name)
