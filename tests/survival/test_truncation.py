"""A member that is away pins the log, until the log is too long; then it gets a snapshot."""

from __future__ import annotations

import signal

from kvnode.cli.cluster import until
from kvnode.core.limits import MIB
from tests.survival.survivors import (
    TINY_LOG,
    all_agree,
    cut_off,
    expect_sound_disks,
    members_at,
    read_many,
    write_many,
)

VALUE = "v" * 2_000


def pinned_by(node, name):
    """What status tells of the pin, if that member is it."""
    pinned = node.status()["log"]["pinned"]
    return pinned if pinned and pinned["by"] == name else None


def log_bytes(node):
    return node.status()["log"]["bytes"]


def test_the_log_waits_for_a_dead_member_up_to_its_limit_and_it_comes_back(make_cluster):
    cluster = make_cluster("XYZ", *TINY_LOG)
    x, y, z = (cluster[name] for name in "XYZ")
    with cluster:
        cluster.wait_for_mesh()
        write_many(x, {f"before/{n}": VALUE for n in range(100)})
        write_many(x, {"both": "old", "deleted": "old", "kept": "old"})
        all_agree(cluster)
        until("all of the log is dropped", lambda: log_bytes(x) == 0)
        with cut_off(cluster, "Z"):
            own = {f"unseen/{n}": n for n in range(100)} | {"both": "Z's"}
            write_many(z, own)
            z.stop(signal.SIGKILL)
        write_many(x, {"both": "X's", "deleted": None})

        first = until("Z pins the log", lambda: pinned_by(x, "Z"))
        assert 0 < first["bytes"] == first["bytes_beyond_what_is_kept"] == log_bytes(x)
        write_many(x, {f"while-away/{n}": VALUE for n in range(200)})
        until("the log grows", lambda: log_bytes(x) > 400_000)
        later = pinned_by(x, "Z")
        assert later["for_ms"] > first["for_ms"]
        until("Y says so as well", lambda: pinned_by(y, "Z"))
        until("Z is known to be away", lambda: not members_at(x)["Z"]["alive"])
        assert members_at(x)["Z"]["pins"]["by"] == "Z"

        write_many(x, {f"beyond/{n}": VALUE for n in range(2_000)})
        until("the cap holds at X", lambda: log_bytes(x) <= MIB)
        until("the cap holds at Y", lambda: log_bytes(y) <= MIB)
        assert pinned_by(x, "Z")["for_ms"] >= later["for_ms"]

        z.start()
        statuses = all_agree(cluster)
        assert statuses["Z"]["snapshots_taken"] == 1
        assert statuses["X"]["snapshots_taken"] == statuses["Y"]["snapshots_taken"] == 0
        for node in cluster.nodes.values():
            assert read_many(node, [key for key in own if key != "both"]) == {
                key: value for key, value in own.items() if key != "both"
            }
            assert read_many(node, ["deleted", "kept"]) == {"deleted": None, "kept": "old"}
            with node.client() as client:
                assert sorted(v.value for v in client.read("both")) == ["X's", "Z's"]
        for node in cluster.nodes.values():
            until("nothing is pinned", lambda node=node: node.status()["log"]["pinned"] is None)
            until("all of the log is dropped", lambda node=node: log_bytes(node) == 0)
    expect_sound_disks(cluster)
