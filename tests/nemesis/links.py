"""Faults of the network: cuts, loss, links that are down or slow.

Cuts are made where packets arrive, so that each direction is its own. A one-way cut of packets
stalls a TCP connection in both directions sooner or later, since acknowledgements are lost; a
cut of data alone lets them pass, so one side is heard and the other not, as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Final

from tests.nemesis.cluster import PEOPLE
from tests.nemesis.field import Field

#: Longer than any packet that only acknowledges: IP and TCP headers, and 40 bytes of options.
_DATA: Final = ("-p", "tcp", "-m", "length", "--length", "81:65535")

_LOSS: Final = ("-m", "statistic", "--mode", "random", "--probability", "0.25")

#: About what a bad mobile connection gives, and less than the gossip of a busy node.
_SLOW: Final = ("rate", "128kbit", "burst", "4kb", "limit", "256kb")

_chains: Final = count(1)


@contextmanager
def cut_off(field: Field, victim: str) -> Iterator[None]:
    """A node and all others do not hear each other; the people hear all."""
    others = field.others(victim)
    with _deaf(field, "cut_off", victim, others), _all_deaf(field, "cut_off", others, victim):
        yield


@contextmanager
def one_way(field: Field, source: str, target: str) -> Iterator[None]:
    """The target gets no packet from the source, which gets all of the target's."""
    with _deaf(field, "one_way", target, [source]):
        yield


@contextmanager
def one_way_data(field: Field, source: str, target: str) -> Iterator[None]:
    """The target gets no data from the source: gossip, questions and answers are lost."""
    with _deaf(field, "one_way_data", target, [source], _DATA):
        yield


@contextmanager
def deaf(field: Field, victim: str) -> Iterator[None]:
    """A node gets no data from any other, and is heard by all."""
    with _deaf(field, "deaf", victim, field.others(victim), _DATA):
        yield


@contextmanager
def mute(field: Field, victim: str) -> Iterator[None]:
    """No node gets data from this one, which hears all."""
    with _all_deaf(field, "mute", field.others(victim), victim, _DATA):
        yield


@contextmanager
def unanswered(field: Field, victim: str) -> Iterator[None]:
    """The people's requests arrive and no answer comes: every outcome is unknown to them."""
    with _deaf(field, "unanswered", PEOPLE, [victim], _DATA):
        yield


@contextmanager
def ring(field: Field, *order: str) -> Iterator[None]:
    """Each node and only its two neighbours hear each other; it takes four to matter."""
    with ExitStack() as stack:
        for place, name in enumerate(order):
            neighbours = {order[place - 1], order[(place + 1) % len(order)]}
            far = [other for other in order if other != name and other not in neighbours]
            stack.enter_context(_deaf(field, "ring", name, far))
        yield


@contextmanager
def loss(field: Field, *victims: str) -> Iterator[None]:
    """A quarter of what comes to these nodes is lost."""
    with ExitStack() as stack:
        for victim in victims:
            sources = [*field.others(victim), PEOPLE]
            stack.enter_context(_deaf(field, "loss", victim, sources, _LOSS))
        yield


@contextmanager
def link_down(field: Field, victim: str) -> Iterator[None]:
    """A node's cable is out: its own sends fail, too."""
    field.network.run(victim, "ip", "link", "set", "eth0", "down")
    try:
        yield
    finally:
        field.network.run(victim, "ip", "link", "set", "eth0", "up")
        field.toll["link_down"] += 1


@contextmanager
def slow_link(field: Field, victim: str) -> Iterator[None]:
    """What a node sends goes through a narrow pipe, and what overfills it is lost."""
    device = ("dev", "eth0", "root")
    field.network.run(victim, "tc", "qdisc", "add", *device, "tbf", *_SLOW)
    try:
        yield
    finally:
        told = field.network.run(victim, "tc", "-s", "qdisc", "show", "dev", "eth0")
        field.network.run(victim, "tc", "qdisc", "delete", *device)
        field.toll["slow_link"] += int(told.partition("overlimits ")[2].split()[0])


@contextmanager
def _deaf(
    field: Field, fault: str, target: str, sources: Iterable[str], which: Iterable[str] = ()
) -> Iterator[None]:
    """Drop what comes to the target from the sources; count what was dropped."""
    iptables = ("iptables", "-w")
    chain = f"fault{next(_chains)}"
    field.network.run(target, *iptables, "-N", chain)
    for source in sources:
        rule = ("-s", field.network.address(source), *which, "-j", "DROP")
        field.network.run(target, *iptables, "-A", chain, *rule)
    field.network.run(target, *iptables, "-I", "INPUT", "-j", chain)
    try:
        yield
    finally:
        field.network.run(target, *iptables, "-D", "INPUT", "-j", chain)
        rules = field.network.run(target, *iptables, "-L", chain, "-v", "-x", "-n").splitlines()[2:]
        field.toll[fault] += sum(int(rule.split()[0]) for rule in rules)
        field.network.run(target, *iptables, "-F", chain)
        field.network.run(target, *iptables, "-X", chain)


@contextmanager
def _all_deaf(
    field: Field, fault: str, targets: Iterable[str], source: str, which: Iterable[str] = ()
) -> Iterator[None]:
    """Drop what comes from the source at all targets."""
    with ExitStack() as stack:
        for target in targets:
            stack.enter_context(_deaf(field, fault, target, [source], which))
        yield
