"""Members as a table, and `kv members` and `kv forget` at real nodes."""

from __future__ import annotations

import json
import re
import sys

import pytest

from kvnode.cli.members import duration, is_late, lag_lines, member_lines, size
from kvnode.cli.output import Output
from kvnode.core.vector import Dot, new_origin

X = new_origin("X", 1, 1)
MEMBER = {
    "name": "X",
    "self": False,
    "origin": X,
    "addresses": ["tcp://x:1"],
    "peer": "tcp://x:1",
    "alive": True,
    "silent_ms": 7,
    "lag_updates": 0,
    "pins": None,
}


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({}, [X, "tcp://x:1", "alive", "0", "-"]),
        ({"self": True}, [X, "tcp://x:1", "this node", "0", "-"]),
        (
            {"self": True, "origin": None, "addresses": []},
            ["X", "-", "this node, no member yet", "0", "-"],
        ),
        (
            {"alive": False, "silent_ms": 62_000, "lag_updates": 37},
            [X, "tcp://x:1", "silent for 1 min 2 s", "37", "-"],
        ),
        (
            {"alive": False, "silent_ms": None, "lag_updates": None},
            [X, "tcp://x:1", "not heard yet", "?", "-"],
        ),
        (
            {"addresses": ["x:1", "x:2"], "pins": {"bytes": 1536, "for_ms": 5_000}},
            [X, "x:1, x:2", "alive", "0", "1.5 KiB of log for 5 s"],
        ),
    ],
)
def test_each_member_has_a_line(changes, cells):
    head, line, *explained = member_lines([MEMBER | changes])
    assert head.split() == ["MEMBER", "ADDRESS", "STATE", "LAG", "PINS"]
    assert re.split(" {2,}", line) == cells
    assert [it.partition(":")[0] for it in explained] == (["PINS"] if "pins" in changes else [])


def test_the_lag_of_each_member_has_a_line():
    silent = {"name": "Y", "alive": False, "silent_ms": 62_000, "lag_updates": 37}
    unheard = {"name": "long-name", "alive": False, "silent_ms": None, "lag_updates": None}
    nowhere = [{"address": "tcp://z:1", "reason": "never answered"}]
    assert lag_lines([MEMBER | {"self": True}, MEMBER | silent, MEMBER | unheard], nowhere) == [
        "MEMBER     LAG  STATE",
        "X          0    this node",
        "Y          37   silent for 1 min 2 s",
        "long-name  ?    not heard yet",
        "not heard: tcp://z:1: never answered",
    ]


@pytest.mark.parametrize(
    ("changes", "limit", "late"),
    [
        ({}, None, False),
        ({"lag_updates": 10**6}, None, False),
        ({"lag_updates": 5}, 5, False),
        ({"lag_updates": 6}, 5, True),
        ({"lag_updates": None}, 5, True),
        ({"alive": False}, None, True),
        ({"alive": False, "self": True}, 0, False),
        ({"self": True, "origin": None}, 0, True),
        ({"self": True, "origin": None}, None, False),
    ],
)
def test_who_is_silent_or_lacks_more_than_is_told_or_has_not_joined_is_late(changes, limit, late):
    assert is_late(MEMBER | changes, limit) is late


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min 0 s"),
        (3_600_000, "1 h 0 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(ms, shown):
    assert duration(ms) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (5 << 30, "5.0 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_have_the_unit_that_fits(count, shown):
    assert size(count) == shown


def test_a_terminal_is_told_who_was_forgotten_and_a_pipe_is_not(capsys, monkeypatch):
    Output(as_json=False).forgotten("X", Dot(X, 1))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Output(as_json=False).forgotten("X", Dot(X, 1))
    assert capsys.readouterr().out == "X is no member any more\n"


def test_the_members_of_a_cluster(at_x, trio):
    code, output, errors = at_x("members")
    assert (code, errors) == (0, "")
    head, *rows = output.decode().splitlines()[:4]  # below may stand what PINS means
    assert head.startswith("MEMBER ")
    assert [row.partition("~")[0] for row in rows] == ["X", "Y", "Z"]
    for row, node in zip(rows, trio.nodes.values(), strict=True):
        assert node.listen in row
        assert (" this node " if node.name == "X" else " alive ") in row
    code, output, errors = at_x("members", "--json")
    assert (code, errors) == (0, "")
    assert [member["name"] for member in json.loads(output)["members"]] == ["X", "Y", "Z"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("X", "X is alive; stop it first"),
        ("Y", "Y is alive; stop it first"),
        ("W", "W is no member"),
    ],
)
def test_who_is_alive_or_no_member_is_not_forgotten(name, reason, at_x):
    assert at_x("forget", name) == (4, b"", f"kv: {reason}\n")
    code, output, errors = at_x("--json", "forget", name)
    assert (code, errors) == (4, "")
    assert json.loads(output) == {"error": "Refused", "message": reason, "maybe": False}
