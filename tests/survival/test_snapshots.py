"""Snapshots between real nodes: killed half-way on either side, while clients write and delete."""

from __future__ import annotations

import random
import signal
import threading
from contextlib import contextmanager, suppress

import pytest

from kvnode.cli.cluster import until
from kvnode.client.sync import Client
from kvnode.errors import KvnodeError
from tests.survival.survivors import (
    TINY_LOG,
    all_agree,
    expect_sound_disks,
    read_many,
    write_many,
)

#: Together with as many keys, more than can come between two looks.
VALUE = "v" * 10_000


@contextmanager
def changing(node, expected):
    """A client that puts and deletes at a node all the time; it notes what must be there then."""
    done = threading.Event()

    def change():
        rng = random.Random(1)
        count = 0
        with Client(node.listen, timeout_s=1) as client:
            while not done.is_set():
                count += 1
                key = f"changing/{rng.randrange(200)}"
                with suppress(KvnodeError):  # its node may be killed: then nobody knows
                    expected.pop(key, None)
                    if rng.random() < 0.4:
                        client.delete(key)
                        expected[key] = None
                    else:
                        client.put(key, count)
                        expected[key] = count

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def fetched_by(node):
    """From whom it fetches a snapshot; from nobody any more, if it has one."""
    with suppress(KvnodeError):
        status = node.status()
        return "nobody" if status["snapshots_taken"] else status["fetching_from"]
    return None


@pytest.mark.parametrize("victim", ["who fetches", "who serves"])
def test_a_snapshot_that_is_killed_half_way_comes_whole_in_the_end(victim, make_cluster):
    cluster = make_cluster("XYZ", *TINY_LOG)
    x, _, z = (cluster[name] for name in "XYZ")
    expected = {f"kept/{n}": VALUE for n in range(6_000)}
    with cluster:
        cluster.wait_for_mesh()
        write_many(x, {"resurrected?": "old", **dict.fromkeys(map("gone/{}".format, range(50)), 1)})
        all_agree(cluster)
        unseen = {f"unseen/{n}": n for n in range(50)}
        assert z.stop() == 0
        for name in "XY":  # what Z writes now, none of them hears
            assert cluster[name].stop() == 0
        z.start()
        write_many(z, unseen)
        assert z.stop(signal.SIGKILL) == -signal.SIGKILL
        for name in "XY":
            cluster[name].start()
        write_many(x, expected)
        write_many(x, dict.fromkeys(["resurrected?", *map("gone/{}".format, range(50))]))
        changed: dict[str, int | None] = {}
        with changing(x, changed):
            z.start()
            kills = 0
            while kills < 3 and (server := until("Z fetches", lambda: fetched_by(z))) != "nobody":
                killed = z if victim == "who fetches" else cluster[server]
                killed.stop(signal.SIGKILL)
                killed.start()
                kills += 1
            assert kills, "it came before it could be cut off"
        statuses = all_agree(cluster)
        assert statuses["Z"]["snapshots_taken"] >= 1
        for node in cluster.nodes.values():
            for keys in (expected, unseen, changed):
                assert read_many(node, list(keys)) == keys
            assert read_many(node, ["resurrected?", "gone/7"]) == {
                "resurrected?": None,
                "gone/7": None,
            }
    expect_sound_disks(cluster)
