"""What is printed for people, for pipes, and as JSON."""

from __future__ import annotations

import json
import math
import sys

import pytest

from kvnode.cli.output import Output, status_lines
from kvnode.client.scans import Entry
from kvnode.client.session import Version
from kvnode.core.vector import Dot, new_origin
from kvnode.errors import CommitFailed, Compacted, Delayed, Unreplicated

X, Y = (new_origin(name, 1, 1) for name in "XY")
STATUS = {
    "name": "X",
    "listen": "tcp://x:1",
    "gossip": "tcp://x:2",
    "cluster": "c",
    "vector": {X: 3},
    "digest": "0f",
    "durability": "always",
    "uptime_s": 5,
    "storage": {"serving": True, "writable": True, "failures": 0, "last_error": None},
    "held": [],
    "held_batches": 0,
    "held_bytes": 0,
    "parked": [],
    "parked_requests": 0,
    "peers": [],
    "clocks_ahead_ms": {},
    "faults": {},
    "complaints": {},
    "alarms": [],
    "joining": False,
    "caught_up": True,
    "folding": False,
    "fetching_from": None,
    "log": {"bytes": 100, "floor": {}, "pinned": None},
}
PEER = {
    "address": "y:1",
    "name": "Y",
    "member": True,
    "refusal": None,
    "silent_ms": 7,
    "lag_updates": 2,
}


def versions(*values):
    return [Version(value, Dot(X, seq), 7) for seq, value in enumerate(values, 1)]


def lines(**changes):
    return [" ".join(line.split()) for line in status_lines(STATUS | changes)]


@pytest.mark.parametrize(
    ("value", "raw"),
    [("ä\n", "ä\n".encode()), (b"\xff\0", b"\xff\0"), ({"a": [1, None]}, b'{"a": [1, null]}')],
)
def test_a_piped_value_is_raw_and_alone(capsysbinary, value, raw):
    Output(as_json=False).value("k", versions(value, "sibling"))
    assert capsysbinary.readouterr() == (raw, b"")


def test_a_terminal_gets_a_line_and_hears_of_siblings(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Output(as_json=False).value("k", versions("v", "sibling"))
    out, err = capsys.readouterr()
    assert out == "v\n" and "1 concurrent sibling" in err


@pytest.mark.parametrize(
    ("value", "shown"), [("v", "v"), ([1, None], [1, None]), (b"\xff", {"base64": "/w=="})]
)
def test_a_value_as_json_has_its_dot_and_the_number_of_siblings(capsys, value, shown):
    Output(as_json=True).value("k", versions(value, "sibling"))
    document = json.loads(capsys.readouterr().out)
    assert document == {"key": "k", "value": shown, "siblings": 1, "dot": [X, 1]}


def test_a_value_that_json_cannot_hold_is_msgpack_alone_as_among_others(capsys):
    output = Output(as_json=True)
    output.value("k", versions(math.nan))
    output.entry(Entry(b"k", versions(math.nan)[0], 0))
    alone, among = map(json.loads, capsys.readouterr().out.splitlines())
    assert alone["value"] == among["value"] == {"msgpack": "y3/4AAAAAAAA"}
    assert output.code == 0


def test_errors_as_json_say_whether_it_may_have_happened(capsys):
    output = Output(as_json=True)
    output.error(CommitFailed("why"))
    output.error(Delayed("why", {X: 2}, {X: 1}, [(X, 2, 2)]))
    failed, delayed = map(json.loads, capsys.readouterr().out.splitlines())
    assert failed == {"error": "CommitFailed", "message": "why", "maybe": True}
    assert (delayed["maybe"], delayed["missing"]) == (False, [[X, 2, 2]])


def test_errors_as_json_have_what_a_program_needs(capsys):
    output = Output(as_json=True)
    output.error(Compacted({X: 2}))
    output.error(Unreplicated("why", Dot(X, 7), 3, ["X"]))
    compacted, unreplicated = map(json.loads, capsys.readouterr().out.splitlines())
    assert (compacted["status"], compacted["floor"]) == ("compacted", {X: 2})
    assert unreplicated.items() >= {
        *(("status", "unreplicated"), ("maybe", True), ("wanted", 3), ("replicas", 1))
    }
    assert (unreplicated["dot"], unreplicated["names"]) == ([X, 7], ["X"])


def test_the_status_of_a_quiet_node_is_a_few_lines():
    assert lines() == [
        "node X at tcp://x:1, gossip at tcp://x:2",
        "cluster c",
        "vector X:3",
        "digest 0f",
        "durability always, up 5 s",
        "storage ok",
        "held back 0 batches, 0 bytes",
        "parked 0 requests",
        "log 100 bytes",
    ]
    assert "vector (nothing)" in lines(vector={})


def test_the_status_tells_what_waits_and_what_is_wrong():
    held = {"origin": Y, "first": 3, "last": 4}
    told = lines(
        storage={"serving": False, "writable": False, "failures": 1, "last_error": "full"},
        held=[held | {"waits_for": (Y, 2)}, held | {"waits_for": None}],
        parked=[{"id": 1, "waits_for": (Y, 4)}],
        faults={"Y gossip": "hold"},
        complaints={"bad_frame": 2},
        clocks_ahead_ms={"Y": 3_600_999},
    )
    assert {"storage failing: full", "Y:3 waits for Y:2", "Y:3 is ready"} <= set(told)
    assert {"waits for Y:4", "fault Y gossip: hold", "complaint bad frame: 2"} <= set(told)
    assert "clock of Y is ahead by 3600 s, or ours is behind" in told


def test_the_status_says_what_its_words_mean_where_that_matters():
    told = lines(held_batches=2, held_bytes=7, parked_requests=1)
    assert "held back 2 batches, 7 bytes: they came before what they build on" in told
    assert "parked 1 requests: they wait for what their sessions have seen" in told


def test_the_status_tells_incarnations_apart():
    before = new_origin("X", 1, 2)
    held = {"origin": before, "first": 3, "last": 3, "waits_for": (before, 2)}
    told = lines(held=[held], parked=[{"id": 1, "waits_for": (X, 4)}])
    assert {f"vector {X}:3", f"{before}:3 waits for {before}:2", f"waits for {X}:4"} <= set(told)


def test_versions_that_json_has_no_form_for_are_shown_all_the_same(capsys):
    odd = {1: "a", "1": "b"}
    Output(as_json=False).versions("k", versions(odd, "v"))
    assert capsys.readouterr().out.splitlines() == [f"{X}:1  {odd!r}", f'{X}:2  "v"']
    Output(as_json=True).versions("k", versions(odd, "v"))
    first, second = json.loads(capsys.readouterr().out)["versions"]
    assert first["value"].keys() == {"msgpack"} and second["value"] == "v"


def test_the_status_tells_that_a_node_only_reads():
    storage = {"serving": True, "writable": False, "failures": 1, "last_error": "full"}
    assert "storage takes no writes, reads go on: full" in lines(storage=storage)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"alarms": ["X and Y differ"]}, "ALARM X and Y differ"),
        ({"joining": True}, "joining its disk was empty, and it has not yet what its peers have"),
        ({"fetching_from": "Y"}, "snapshot is being fetched from Y"),
        ({"folding": True}, "snapshot is being put in place; requests must go elsewhere"),
        (
            {"log": {"bytes": 3 << 20, "pinned": {"by": "Z", "for_ms": 90_000}}},
            "log 3.0 MiB, kept for Z for 1 min 30 s",
        ),
    ],
)
def test_the_status_tells_of_snapshots_logs_and_alarms(changes, line):
    assert line in lines(**changes)


def test_the_status_tells_where_nobody_is_heard():
    unheard = {"address": "y:1", "reason": "never answered"}
    assert lines(unheard=[unheard])[-1] == "not heard y:1: never answered"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "peer Y at y:1, silent for 7 ms, lacks 2"),
        ({"lag_updates": None}, "peer Y at y:1, silent for 7 ms, has said nothing"),
        ({"member": False}, "peer Y at y:1, silent for 7 ms, is no member"),
        ({"name": None}, "peer y:1 has not answered yet"),
        ({"name": None, "trouble": "it is a trap"}, "peer y:1 has not answered yet: it is a trap"),
        (
            {"heard_by": "gossip", "asked_by": "link"},
            "peer Y at y:1, silent for 7 ms, lacks 2",
        ),
        (
            {"heard_by": "gossip", "asked_by": "calls"},
            "peer Y at y:1, which calls this node, silent for 7 ms, lacks 2",
        ),
        ({"refusal": "is of another cluster"}, "peer y:1 is of another cluster"),
    ],
)
def test_the_status_tells_how_each_peer_does(changes, line):
    assert lines(peers=[PEER | changes])[-1] == line
