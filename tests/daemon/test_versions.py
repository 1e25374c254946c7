"""Neighbouring versions: who refuses whom, that both go on, and that nothing is lost by it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from kvnode import Client, Unsupported
from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.codec.packing import PROTOCOL_VERSION
from kvnode.storage.check import check
from kvnode.storage.layout import FAMILIES, STORE_FORMAT, STORE_FORMAT_READ_MIN
from tests.conftest import FLAGS
from tests.daemon.test_refusals import refusal_to_start

READ = f"formats {STORE_FORMAT_READ_MIN} to {STORE_FORMAT}"
NEWER, OLDER = PROTOCOL_VERSION + 1, PROTOCOL_VERSION - 1

#: A program of another day.
PROGRAM = """
import sys
from kvnode.codec import client, gossip, packing
from kvnode.storage import layout
client.PROTOCOL_VERSION = gossip.PROTOCOL_VERSION = packing.PROTOCOL_VERSION = {protocol}
layout.STORE_FORMAT = layout.STORE_FORMAT_READ_MIN = {store}
layout.FAMILIES = {families}
from kvnode.cli.{program} import main
sys.exit(main(sys.argv[{skipped}:]))
"""


def written(program, protocol, store=STORE_FORMAT, families=FAMILIES, skipped=1):
    return PROGRAM.format(
        protocol=protocol, store=store, families=families, program=program, skipped=skipped
    )


def served(protocol=PROTOCOL_VERSION, **disk):
    """The prefix of a node's command that makes it one of these versions."""
    return (sys.executable, "-c", written("kvnode", protocol, **disk, skipped=4))


def kv(node, *arguments, protocol):
    """What `kv` of that version ends with at a node: its exit code, output and errors."""
    flags = ("--node", node.listen, "--timeout", str(PATIENCE_S))
    command = [sys.executable, "-c", written("kv", protocol), *flags, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def logged(node, text):
    return [line for line in node.log.read_text().splitlines() if text in line]


@pytest.fixture
def make(tmp_path):
    """Makes nodes of any version; one that is of the name of another takes its place."""
    nodes, replaced = {}, []

    def make(name, prefix=(), flags=FLAGS):
        before = nodes.get(name)
        if before is not None and before.process is not None:
            assert before.stop() == 0
        replaced.append(before)  # its ports are held for the one that comes
        addresses = (before.listen, before.gossip) if before else None
        node = LocalNode(name, tmp_path, flags, prefix=prefix, addresses=addresses)
        node.peers = before.peers if before else [it.listen for it in nodes.values()]
        nodes[name] = node
        return node

    yield make
    for node in nodes.values():
        if node.process is not None:
            node.stop(signal.SIGKILL)


@pytest.fixture
def x(make):
    """A node of today, which is there first."""
    node = make("X")
    node.start()
    with node.client() as client:
        client.put("before", 1)
    return node


# --- nodes


@pytest.mark.parametrize("version", [NEWER, OLDER])
def test_a_node_of_another_version_is_refused_and_both_say_so(version, x, make):
    y = make("Y", served(version))
    y.start()
    told = (
        f"a greeting by 'Y' of version {version}; this node speaks {PROTOCOL_VERSION}: "
        "upgrade the older"
    )
    until("Y says so", lambda: logged(y, f'ERROR   Y: peer at {x.listen} refuses us: "{told}"'))
    until("X says so", lambda: logged(x, f"WARNING X: bad requests: {told}"))
    (peer,) = json.loads(kv(y, "status", "--json", protocol=version)[1])["peers"]
    assert peer["refusal"] == f'refuses us: "{told}"'


def test_a_cluster_that_is_upgraded_node_by_node_goes_on_and_loses_nothing(x, make):
    y = make("Y")
    y.start()
    until("Y has what X has", lambda: y.knows({"X", "Y"}) and x.knows({"X", "Y"}))

    y = make("Y", served(NEWER))
    y.start()
    until("X is told", lambda: [it for it in x.status()["peers"] if it["refusal"]])
    with x.client() as client:
        client.put("at X", 2)
        assert (client.get("before"), client.get("at Y")) == (1, None)
    assert kv(y, "put", "--json", "at Y", "3", protocol=NEWER)[0] == 0
    assert kv(y, "get", "before", protocol=NEWER)[:2] == (0, "1")
    assert kv(y, "get", "at X", protocol=NEWER)[0] == 1
    with x.client() as client:
        (absent,) = (it for it in client.members() if it["name"] == "Y")
        assert not absent["alive"], "the log is kept for it"

    x = make("X", served(NEWER))
    x.start()
    for node in (x, y):
        for key, value in {"before": "1", "at X": "2", "at Y": "3"}.items():
            until(
                f"{node.name} has what was written {key}",
                lambda node=node, key=key, value=value: (
                    kv(node, "get", key, protocol=NEWER)[:2] == (0, value)
                ),
            )

    def states():
        found = (json.loads(kv(it, "status", "--json", protocol=NEWER)[1]) for it in (x, y))
        return [(it["vector"], it["digest"], it["alarms"]) for it in found]

    until("they agree", lambda: states()[0] == states()[1])
    assert states()[0][2] == []


# --- clients


@pytest.mark.parametrize("version", [NEWER, OLDER])
def test_a_client_of_another_version_is_told_that_nothing_was_done(version, x):
    code, _, errors = kv(x, "put", "k", "v", protocol=version)
    assert code == 4
    assert errors == (
        f"kv: a request of version {version}; this node speaks {PROTOCOL_VERSION}: "
        "upgrade the older\n"
    )
    with x.client() as client:
        assert client.get("k") is None


@pytest.mark.parametrize("retry_writes", [False, True])
def test_a_client_of_several_nodes_goes_on_at_one_that_it_can_talk_to(retry_writes, x, make):
    y = make("Y", served(NEWER))
    y.start()
    with Client(y.listen, timeout_s=PATIENCE_S) as client, pytest.raises(Unsupported):
        client.get("before")
    with Client(y.listen, x.listen, timeout_s=PATIENCE_S, retry_writes=retry_writes) as client:
        client.put("k", "v")
        assert (client.get("k"), client.get("before")) == ("v", 1)


# --- disks


def contents(directory):
    """Each file and what it holds, but for the lock, which tells who had it last."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("store", "families"),
    [
        (STORE_FORMAT + 1, FAMILIES),
        (STORE_FORMAT + 1, (*FAMILIES, "extra")),
        (STORE_FORMAT_READ_MIN - 1, FAMILIES),
    ],
    ids=["newer", "newer, with one more column family", "older"],
)
def test_a_store_of_another_format_is_refused_and_left_as_it_is(store, families, make):
    """As a crash leaves it, what is acknowledged is in a write-ahead log only."""
    other = served(store=store, families=families)
    x = make("X", other)
    x.start()
    with x.client() as client:
        client.put("k", "v")
    x.stop(signal.SIGKILL)
    before = contents(x.data)
    x = make("X")
    x.log.unlink()
    line = refusal_to_start(x)
    assert f"has format {store}; this version of kvnode reads {READ}" in line
    assert "start with an empty one that the peers fill" in line
    assert contents(x.data) == before
    x = make("X", other)
    x.start()
    with x.client() as client:
        assert client.get("k") == "v"


def test_a_store_of_the_format_before_is_read_and_goes_on_in_that_of_today(make):
    older = served(store=STORE_FORMAT_READ_MIN)
    x = make("X", older)
    x.start()
    with x.client() as client:
        client.put("k", "v")
    x.stop(signal.SIGKILL)
    x = make("X")
    x.start()
    with x.client() as client:
        assert client.get("k") == "v"
        client.put("k", "w")
    x.stop()
    assert json.loads((x.data / "node.json").read_text())["format"] == STORE_FORMAT
    check(x.data)
    x = make("X", older)
    x.log.unlink()
    assert f"has format {STORE_FORMAT}; this version" in refusal_to_start(x)
