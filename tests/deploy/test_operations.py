"""What docs/OPERATIONS.md has one do, done with real daemons: it comes out as it promises."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess

import pytest

from kvnode.cli import kvnode as kvnode_program
from kvnode.cli.cluster import PATIENCE_S, LocalNode, until
from kvnode.cli.kv import main as kv_main
from tests.conftest import FLAGS
from tests.deploy.document import ROOT, blocks, section

#: A line of it; what waits gives up before.
PLAYED_S = 660


@pytest.fixture
def cluster(make_cluster):
    """X, Y and Z, that have what was written at each."""
    cluster = make_cluster("XYZ")
    for node in cluster.nodes.values():
        node.start()
    cluster.wait_for_mesh()
    for name, node in cluster.nodes.items():
        with node.client() as client:
            client.put(f"by {name}", name)
    until("they agree", lambda: has_all(cluster.nodes.values()) and cluster.agree())
    return cluster


def has_all(nodes, names="XYZ"):
    def found(node):
        with node.client() as client:
            return [client.get(f"by {name}") for name in names]

    return all(found(node) == list(names) for node in nodes)


def kv(node, *arguments):
    return kv_main(["--node", node.listen, "--timeout", str(PATIENCE_S), *arguments])


def alive(node):
    with node.client() as client:
        return sorted(member["name"] for member in client.members() if member["alive"])


def kill(node):
    node.stop(signal.SIGKILL)
    shutil.rmtree(node.data)


def test_a_whole_cluster_comes_back_from_one_backup(cluster, tmp_path):
    x, y, z = cluster.nodes.values()
    assert kvnode_program.main(["backup", "monday", "--node", x.listen]) == 0
    backup = tmp_path / "elsewhere"
    shutil.copytree(x.data / "backups" / "monday", backup)
    for node in (x, y, z):
        kill(node)

    assert kvnode_program.main(["check", str(backup)]) == 0
    assert kvnode_program.main(["restore", str(backup), "--data", str(x.data)]) == 0
    x.start()
    assert has_all([x])
    y.start()
    z.start()
    until("all have joined", lambda: all(alive(it) == list("XYZ") for it in (x, y, z)))
    until("all have all", lambda: has_all([x, y, z]) and cluster.agree())
    assert not any(status["alarms"] for status in cluster.statuses().values())
    for node in (x, y, z):
        assert kv(node, "put", "after", node.name) == 0


def test_a_node_that_lost_its_disk_is_started_anew_under_its_name(cluster):
    x, z = cluster["X"], cluster["Z"]
    kill(z)
    z.start()
    until("it is ready", lambda: kv(z, "ping", "--ready") == 0)
    assert has_all([z])
    until("it is a member as before", lambda: alive(x) == list("XYZ"))
    until("all agree", cluster.agree)


# --- word for word


@pytest.fixture
def play(cluster, tmp_path):
    """Types lines where a node runs, as they are but for places: its own address is 10.0.0.9, and
    where none is given; X's is 10.0.0.1. The test does what `systemctl` would; `pip` is left to the
    tests of packaging."""
    running = []

    def play(lines, node, **places):
        x = cluster["X"]
        places = {
            "10.0.0.9:7411": node.listen,
            "10.0.0.9:7412": node.gossip,
            "10.0.0.1:7411": x.listen,
            "/var/lib/private/kvnode": str(node.data),
            **places,
        }
        for line in lines:
            for there, here in places.items():
                line = line.replace(there, here)
            if line == "systemctl stop kvnode":
                assert node.stop() == 0
            elif line == "systemctl start kvnode":
                node.start()
            elif line.startswith("kvnode serve "):
                running.append(typed(f"exec {line}", node))
            elif not line.startswith("/opt/kvnode/bin/pip "):
                done = typed(line, node)
                output, _ = done.communicate(timeout=PLAYED_S)
                assert done.returncode == 0, f"{line}\n{output}"

    def typed(line, node):
        path = os.pathsep.join((str(ROOT / "bin"), os.environ["PATH"]))
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "KVNODE_NODE": node.listen},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    yield play
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [0, 1], ids=["as a rule", "with a new format of directories"])
def test_a_node_that_is_upgraded_has_all_when_the_lines_are_typed(number, cluster, play):
    play(blocks(section("Upgrades"))[number], cluster["Z"])
    assert has_all([cluster["Z"]])


def test_a_node_that_is_added_has_all_when_the_lines_are_typed(cluster, play, tmp_path):
    added = LocalNode("N", tmp_path, FLAGS)  # for its addresses
    (lines,) = (it for it in blocks(section("Scaling out")) if it[0].startswith("kvnode serve "))
    play(lines, added)
    assert has_all([added])
    until("the others know it", lambda: alive(cluster["Y"]) == list("NXYZ"))


def test_a_node_that_is_taken_away_leaves_all_that_it_had(cluster, play):
    x, y, z = cluster.nodes.values()
    with z.client() as client:
        client.put("by the last", "Z")
    play(blocks(section("Scaling in"))[0], z, **{"forget N": "forget Z"})
    shutil.rmtree(z.data)
    assert has_all([x, y])
    for node in (x, y):
        with node.client() as client:
            assert client.get("by the last") == "Z"
    until("no log is kept for it", lambda: kv(y, "lag", "--max", "0") == 0)


def test_a_node_whose_disk_is_replaced_has_all_when_the_lines_are_typed(cluster, play):
    z = cluster["Z"]
    play(blocks(section("A damaged disk"))[0], z)
    assert has_all([z])
    assert z.data.with_name("Z.damaged").is_dir()


def test_a_backup_is_made_carried_away_and_restored(cluster, play, tmp_path):
    x = cluster["X"]
    away = {"rsync -a ": "cp -r ", "backups.example:kvnode/": "."}
    play(blocks(section("Backups"))[0], x, **away)
    assert not list((x.data / "backups").iterdir())
    play(blocks(section("Restoring one node"))[0], x)
    assert has_all([x])


def test_a_directory_that_a_node_uses_is_not_moved_from_beneath_it(cluster, tmp_path):
    """As the restore of a whole cluster on Kubernetes has it done, in a pod."""
    (line,) = (it for it in blocks(section("Restoring a whole cluster"))[0] if " flock " in it)
    z = cluster["Z"]
    words = shlex.split(line.partition(" -- ")[2].replace("/data/node", str(z.data)))
    assert subprocess.run(words, check=False).returncode == 1
    assert z.data.is_dir() and has_all([z])
    assert z.stop() == 0
    assert subprocess.run(words, check=False).returncode == 0
    assert not z.data.exists() and z.data.with_name("Z.before").is_dir()
