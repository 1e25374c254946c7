"""A table that a disk damaged: its own node finds it, and so do the others."""

from __future__ import annotations

from kvnode.cli.cluster import until
from tests.storage.sound import families_of
from tests.survival.survivors import all_agree, write_many


def test_a_damaged_table_is_found_by_the_scrub_and_by_the_digests(make_cluster):
    cluster = make_cluster("XY", "--scrub-interval-s", "1")
    x, y = cluster["X"], cluster["Y"]
    with cluster:
        cluster.wait_for_mesh()
        write_many(x, {f"key {at}": at for at in range(10)})
        all_agree(cluster)
        assert y.stop() == 0
        with families_of(y.data) as families:
            live = "table0" if families["table0"].get(b"key 5") else "table1"
            del families[live][b"key 5"]
        y.start()
        (alarm,) = until("the scrub finds it", lambda: y.status()["alarms"])
        assert alarm.startswith("the table of Y is damaged: its digest is ")
        assert x.status()["alarms"] == [], "X can not know: the digest counts what Y wrote"

        write_many(x, {"key 5": "again"})  # Y subtracts from its digest what it does not find
        alarms = until("X is alarmed", lambda: x.status()["alarms"])
        assert alarms[0].startswith("X and Y have delivered the same writes and hold different")
        until("so is Y", lambda: any("Y and X have" in it for it in y.status()["alarms"]))
        for node in (x, y):
            told = [line for line in node.log.read_text().splitlines() if "ALARM: " in line]
            assert sum("hold different" in line for line in told) == 1, told
