"""`kvnode demo`: three real nodes play the story that this project exists for.

Every step is observed on real sockets; the demo fails at the first that is not seen.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

from kvnode.cli.cluster import LocalCluster, LocalNode, NotSeen, until
from kvnode.cli.exits import interrupted_once
from kvnode.cli.narration import Narration, dot_text, expect, held_in, vector_text
from kvnode.core.vector import name_of, shown
from kvnode.errors import Delayed

NAMES: Final = ("X", "Y", "Z")

#: Short, so that the story is: repair acts on heartbeats.
_HEARTBEAT_MS: Final = 100


def demo(*, as_json: bool) -> int:
    """Play the story; the exit code."""
    narration = Narration(as_json=as_json)
    # Asked to stop in whatever way, it stops its nodes and removes their data.
    with (
        interrupted_once(),
        tempfile.TemporaryDirectory(prefix="kvnode-demo-") as directory,
        narration.told(),
    ):
        flags = ("--allow-faults", "--heartbeat-ms", str(_HEARTBEAT_MS))
        with LocalCluster(NAMES, Path(directory), *flags) as cluster:
            Story(cluster, narration).play()
    return narration.end()


class Story:
    """The scenes, on three nodes whose links may be held."""

    def __init__(self, cluster: LocalCluster, narration: Narration) -> None:
        self.cluster = cluster
        self._narration = narration

    def play(self) -> None:
        """All scenes, each on what the one before left."""
        self._narration.say("Three nodes, each its own process, disk and loopback ports.\n")
        self.cluster.wait_for_mesh()
        until("all three agree", self.cluster.agree)
        self._tell("X, Y and Z run, hear each other, and each has written who it is", {})
        self._play_causality()
        self._play_siblings()
        self._play_delete()

    # --- an effect is never shown before its cause

    def _play_causality(self) -> None:
        x, y, z = (self.cluster[name] for name in NAMES)
        _hold_at(z, gossip_from=[x], repair_from=[x, y])
        self._tell("the link X -> Z is held, and with it Z's repair", {"Z": z.status()["faults"]})

        with x.client() as alice:
            cause = alice.put("x", 100)
            self._tell("at X, alice writes x=100", {"dot": dot_text(cause)})
            with y.client(alice.token) as bob:
                expect("what bob reads at Y", bob.get("x"), 100)
                effect = bob.put("x", 200)
                token = bob.token
            dependent = {"dot": dot_text(effect), "depends_on": dot_text(cause)}
            self._tell("at Y, bob reads x=100 and writes x=200, which depends on it", dependent)

        held = until("Z holds back Y's write", lambda: held_in(z.status(), effect))
        expect("what Z waits for", held["waits_for"], list(cause))
        waiting = {"holds_back": dot_text(effect), "waits_for": dot_text(cause)}
        title = "Z has received Y's write first, and holds it back"
        self._tell(title, waiting, f"{dot_text(effect)} waits for {dot_text(cause)}")

        with z.client() as stranger:
            expect("what Z answers meanwhile", stranger.get("x"), None)
        self._tell("Z still answers at once, from its old causal cut: there is no x", {"x": None})

        delayed = _delayed_at(z, token)
        missing = [[name_of(origin), first, last] for origin, first, last in delayed.missing]
        expect("what Z says it lacks", missing, [["X", 2, 2], ["Y", 2, 2]])
        observed: dict[str, Any] = {
            "status": "delayed",
            "reason": delayed.reason,
            "incoming": shown(delayed.incoming),
            "local": shown(delayed.local),
            "missing": missing,
        }
        self._tell(
            "a session that saw x=200 asks Z, deadline 0, and is told: delayed",
            observed,
            f"{delayed.reason}: it has {vector_text(shown(delayed.incoming))}, "
            f"Z has {vector_text(shown(delayed.local))}, "
            f"missing are {' and '.join(f'{name}:{first}' for name, first, _ in missing)}",
        )

        _pass_at(z, gossip_from=[x], repair_from=[x, y])
        with z.client(token) as bob:
            expect("what the session reads at Z", bob.get("x"), 200)
        self._tell("the link is released; Z drains in order: x=100, then x=200", {"x": 200})

        statuses = until("all three agree", self.cluster.agree)
        self._narration.final = {
            name: {
                "x": self._value_at(name, "x"),
                "vector": shown(status["vector"]),
                "digest": status["digest"],
            }
            for name, status in statuses.items()
        }
        expect(
            "x on each node", [at["x"] for at in self._narration.final.values()], [200, 200, 200]
        )
        digest = f"digest {self._narration.final['X']['digest']}"
        self._tell(
            "all three show x=200, with equal vectors and digests", self._narration.final, digest
        )

    # --- concurrent writes are kept, not hidden

    def _play_siblings(self) -> None:
        x, y, z = (self.cluster[name] for name in NAMES)
        self._cut(x, y)
        with x.client() as alice, y.client() as bob:
            alice.put("colour", "red")
            bob.put("colour", "blue")
            self._tell("the link X - Y is cut; X writes colour=red, Y writes colour=blue", {})
            expect("what X shows", alice.get("colour"), "red")
            expect("what Y shows", bob.get("colour"), "blue")
        self._heal(x, y)
        until("all three agree", self.cluster.agree)
        siblings = {name: self._values_at(name, "colour") for name in NAMES}
        expect("the siblings", sorted(siblings["X"]), ["blue", "red"])
        expect("the siblings and winner at Y and Z", [siblings["Y"], siblings["Z"]],
                2 * [siblings["X"]])  # fmt: skip
        observed = {"winner": siblings["X"][0], "siblings": siblings["X"]}
        winner = f"siblings {' and '.join(siblings['X'])}; the winner is {siblings['X'][0]}"
        self._tell("healed, all three keep both and pick the same winner", observed, winner)

        with z.client() as carol:
            carol.put("colour", "green")
        until("all three agree", self.cluster.agree)
        settled = {name: self._values_at(name, "colour") for name in NAMES}
        expect("what each node shows", settled, {name: ["green"] for name in NAMES})
        self._tell("Z, which sees both, writes colour=green: that settles them", settled)

    # --- a delete does not erase what it did not see

    def _play_delete(self) -> None:
        x, y, _ = (self.cluster[name] for name in NAMES)
        with x.client() as alice:
            alice.put("cart", "apples")
        until("all three agree", self.cluster.agree)
        self._cut(x, y)
        with x.client() as alice, y.client() as bob:
            alice.delete("cart")
            bob.put("cart", "pears")
            self._tell("cut again: X deletes the cart of apples, Y puts pears into it", {})
            expect("what X shows", alice.get("cart"), None)
        self._heal(x, y)
        until("all three agree", self.cluster.agree)
        kept = {name: self._values_at(name, "cart") for name in NAMES}
        expect("what each node shows", kept, {name: ["pears"] for name in NAMES})
        self._tell("healed: the delete did not erase the write that it had not seen", kept)

    # --- telling

    def _tell(self, title: str, observed: dict[str, Any], detail: str | None = None) -> None:
        self._narration.tell(title, observed, self.cluster.statuses(), detail)

    # --- acting and looking

    def _cut(self, one: LocalNode, other: LocalNode) -> None:
        """Nothing of either reaches the other, directly or through the third's repair."""
        everyone = list(self.cluster.nodes.values())
        _hold_at(one, gossip_from=[other], repair_from=everyone)
        _hold_at(other, gossip_from=[one], repair_from=everyone)

    def _heal(self, one: LocalNode, other: LocalNode) -> None:
        everyone = list(self.cluster.nodes.values())
        _pass_at(one, gossip_from=[other], repair_from=everyone)
        _pass_at(other, gossip_from=[one], repair_from=everyone)

    def _value_at(self, name: str, key: str) -> Any:
        with self.cluster[name].client() as client:
            return client.get(key)

    def _values_at(self, name: str, key: str) -> list[Any]:
        with self.cluster[name].client() as client:
            return [version.value for version in client.read(key)]


def _hold_at(
    node: LocalNode, *, gossip_from: list[LocalNode], repair_from: list[LocalNode]
) -> None:
    _set_links(node, gossip_from, repair_from, "hold")


def _pass_at(
    node: LocalNode, *, gossip_from: list[LocalNode], repair_from: list[LocalNode]
) -> None:
    _set_links(node, gossip_from, repair_from, "pass")


def _set_links(
    node: LocalNode, gossip_from: list[LocalNode], repair_from: list[LocalNode], action: str
) -> None:
    with node.client() as admin:
        for peer in gossip_from:
            admin.fault(peer.name, "gossip", action)
        for peer in repair_from:
            admin.fault(peer.name, "repair", action)


def _delayed_at(node: LocalNode, token: bytes | None) -> Delayed:
    with node.client(token) as client:
        try:
            value = client.get("x", wait_s=0)
        except Delayed as delayed:
            return delayed
    raise NotSeen(f"{node.name} should have answered delayed; it answered {value!r}")
