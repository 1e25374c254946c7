"""docs/OPERATIONS.md tells of all that a node may raise, and its commands are ones."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from kvnode.cli import kvnode as kvnode_program
from kvnode.cli.kv import parser_of
from kvnode.core import alarms
from kvnode.core.alarms import Alarms
from kvnode.core.limits import Limits
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot, new_origin
from tests.deploy.document import OPERATIONS, ROOT, blocks, section

#: By its own schema, and by what `docker stack config` warns of.
SWARM_DOES_OTHERWISE = {
    *("build", "container_name", "cpus", "mem_limit", "mem_reservation", "network_mode"),
    *(
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "restart",
        "security_opt",
        "userns_mode",
        "volumes",
    ),
}


def raised():
    """An alarm of each kind."""
    found = Alarms("X")
    found.compare(Claim("Y", 1, {}, {}, 1, {}, 0), {}, 2, lambda origin: b"")
    found.doubled(Dot(new_origin("Y", 1, 1), 1))
    found.parted(Dot(new_origin("X", 1, 1), 1))
    found.damaged_snapshot("Y")
    found.damaged_table("it has not the digest of its commits")
    found.alone("tcp://y:1: never answered")
    found.clock(-3_600_000_000, Limits().clock_held_us)
    found.descriptors(1024, are_few=True)
    found.forgotten()
    return list(found.raised.values())


def test_every_alarm_is_among_those_that_are_looked_for():
    assert len(re.findall(r"self\.raised\[.*\] = ", inspect.getsource(alarms))) == len(raised())


@pytest.mark.parametrize("alarm", raised(), ids=lambda it: it[:30])
def test_it_tells_what_to_do_about_every_alarm(alarm):
    told = re.findall(r"^\| `([^`]*)` \|", OPERATIONS, re.MULTILINE)
    patterns = [re.escape(it).replace(r"\.\.\.", ".*") for it in told]
    assert [it for it in patterns if re.fullmatch(it, alarm)]


def test_it_tells_what_every_complaint_means():
    sources = "".join(path.read_text() for path in (ROOT / "kvnode").rglob("*.py"))
    kinds = set(re.findall(r"complaints\.add\(\s*\"(\w+)\"", sources))
    assert len(kinds) > 10
    assert kinds == set(re.findall(r"^\| `(\w+)` \|", OPERATIONS, re.MULTILINE)) & kinds


def test_it_tells_what_swarm_makes_of_the_compose_file():
    """Of each property there that Swarm refuses, ignores or reads otherwise."""
    swarm = section("On Docker Swarm")
    properties = set(re.findall(r"^ +(\w+):", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    told = {word for row in re.findall(r"^\| (.*?) \|", swarm, re.M) for word in code(row)}
    assert properties & SWARM_DOES_OTHERWISE <= told


def code(row):
    return re.findall(r"`(\w+)`", row)


def lines():
    """All that it would have one type."""
    return [line for block in blocks(OPERATIONS) for line in block]


def commands():
    """What of that is for kv and kvnode, as words; some of it in a pod, or until it succeeds."""
    for line in lines():
        repeated = re.fullmatch("until (.*); do sleep 1; done", line)
        typed = repeated[1] if repeated else line
        _, is_in_pod, inner = typed.partition(" -- ")
        words = shlex.split(inner if is_in_pod else typed)
        if Path(words[0]).name in ("kv", "kvnode"):
            yield words


def test_it_has_commands():
    assert len(list(commands())) > 10


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_its_commands_are_read(words):
    program, *arguments = words
    if Path(program).name == "kv":
        assert parser_of(in_shell=False).parse_args(arguments).command
    else:
        assert kvnode_program._parser().parse_args(arguments).command


def test_whatever_waits_for_kubernetes_gives_up():
    waiting = [it for it in lines() if "kubectl wait" in it or "kubectl rollout" in it]
    assert len(waiting) > 5
    assert [it for it in waiting if "--timeout=" not in it] == []


def test_what_takes_pods_away_is_followed_by_a_wait_for_their_end():
    """`kubectl scale` and `kubectl apply` return before anything has stopped."""
    typed = lines()
    downs = [at for at, line in enumerate(typed) if "--replicas=0" in line]
    assert downs
    for at in downs:
        assert typed[at + 1].startswith("kubectl wait --for=delete pod ")
