"""`kvnode demo`: three real nodes play the story that this project exists for.

Every step is observed on real sockets; the demo fails at the first that is not seen.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from kvnode.cli.cluster import LocalCluster, LocalNode, NotSeen, until
from kvnode.cli.exits import FAILED, OK, interrupted_once
from kvnode.core.vector import Dot, name_of, shown
from kvnode.errors import Delayed, KvnodeError

NAMES: Final = ("X", "Y", "Z")

#: Short, so that the story is: repair acts on heartbeats.
_HEARTBEAT_MS: Final = 100


def demo(*, as_json: bool) -> int:
    """Play the story; the exit code."""
    # Asked to stop in whatever way, it stops its nodes and removes their data.
    with interrupted_once(), tempfile.TemporaryDirectory(prefix="kvnode-demo-") as directory:
        flags = ("--allow-faults", "--heartbeat-ms", str(_HEARTBEAT_MS))
        story = Story(LocalCluster(NAMES, Path(directory), *flags), quiet=as_json)
        try:
            with story.cluster:
                story.play()
        except KvnodeError as error:
            story.failure = str(error)
        except KeyboardInterrupt:
            story.failure = "interrupted"
        if as_json:
            print(json.dumps(story.document()))
        elif story.failure is None:
            print("All steps were observed.")
        if story.failure is not None:
            print(f"kvnode demo: step {len(story.steps) + 1}: {story.failure}", file=sys.stderr)
            return FAILED
        return OK


class Story:
    """The steps, what was observed in each, and how it ended."""

    def __init__(self, cluster: LocalCluster, *, quiet: bool) -> None:
        self.cluster = cluster
        self.steps: list[dict[str, Any]] = []
        self.final: dict[str, Any] = {}
        self.failure: str | None = None
        self._quiet = quiet

    def document(self) -> dict[str, Any]:
        """The transcript."""
        return {
            "ok": self.failure is None,
            "final": self.final,
            "steps": self.steps,
            "error": self.failure,
        }

    def play(self) -> None:
        """All scenes, each on what the one before left."""
        self._say("Three nodes, each its own process, disk and loopback ports.\n")
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
            self._tell("at X, alice writes x=100", {"dot": _shown(cause)})
            with y.client(alice.token) as bob:
                _expect("what bob reads at Y", bob.get("x"), 100)
                effect = bob.put("x", 200)
                token = bob.token
            dependent = {"dot": _shown(effect), "depends_on": _shown(cause)}
            self._tell("at Y, bob reads x=100 and writes x=200, which depends on it", dependent)

        held = until("Z holds back Y's write", lambda: _held_at(z, effect))
        _expect("what Z waits for", held["waits_for"], list(cause))
        waiting = {"holds_back": _shown(effect), "waits_for": _shown(cause)}
        title = "Z has received Y's write first, and holds it back"
        self._tell(title, waiting, f"{_shown(effect)} waits for {_shown(cause)}")

        with z.client() as stranger:
            _expect("what Z answers meanwhile", stranger.get("x"), None)
        self._tell("Z still answers at once, from its old causal cut: there is no x", {"x": None})

        delayed = _delayed_at(z, token)
        missing = [[name_of(origin), first, last] for origin, first, last in delayed.missing]
        _expect("what Z says it lacks", missing, [["X", 2, 2], ["Y", 2, 2]])
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
            f"{delayed.reason}: it has {_vector_text(shown(delayed.incoming))}, "
            f"Z has {_vector_text(shown(delayed.local))}, "
            f"missing are {' and '.join(f'{name}:{first}' for name, first, _ in missing)}",
        )

        _pass_at(z, gossip_from=[x], repair_from=[x, y])
        with z.client(token) as bob:
            _expect("what the session reads at Z", bob.get("x"), 200)
        self._tell("the link is released; Z drains in order: x=100, then x=200", {"x": 200})

        statuses = until("all three agree", self.cluster.agree)
        self.final = {
            name: {
                "x": self._value_at(name, "x"),
                "vector": shown(status["vector"]),
                "digest": status["digest"],
            }
            for name, status in statuses.items()
        }
        _expect("x on each node", [at["x"] for at in self.final.values()], [200, 200, 200])
        digest = f"digest {self.final['X']['digest']}"
        self._tell("all three show x=200, with equal vectors and digests", self.final, digest)

    # --- concurrent writes are kept, not hidden

    def _play_siblings(self) -> None:
        x, y, z = (self.cluster[name] for name in NAMES)
        self._cut(x, y)
        with x.client() as alice, y.client() as bob:
            alice.put("colour", "red")
            bob.put("colour", "blue")
            self._tell("the link X - Y is cut; X writes colour=red, Y writes colour=blue", {})
            _expect("what X shows", alice.get("colour"), "red")
            _expect("what Y shows", bob.get("colour"), "blue")
        self._heal(x, y)
        until("all three agree", self.cluster.agree)
        siblings = {name: self._values_at(name, "colour") for name in NAMES}
        _expect("the siblings", sorted(siblings["X"]), ["blue", "red"])
        _expect("the siblings and winner at Y and Z", [siblings["Y"], siblings["Z"]],
                2 * [siblings["X"]])  # fmt: skip
        observed = {"winner": siblings["X"][0], "siblings": siblings["X"]}
        winner = f"siblings {' and '.join(siblings['X'])}; the winner is {siblings['X'][0]}"
        self._tell("healed, all three keep both and pick the same winner", observed, winner)

        with z.client() as carol:
            carol.put("colour", "green")
        until("all three agree", self.cluster.agree)
        settled = {name: self._values_at(name, "colour") for name in NAMES}
        _expect("what each node shows", settled, {name: ["green"] for name in NAMES})
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
            _expect("what X shows", alice.get("cart"), None)
        self._heal(x, y)
        until("all three agree", self.cluster.agree)
        kept = {name: self._values_at(name, "cart") for name in NAMES}
        _expect("what each node shows", kept, {name: ["pears"] for name in NAMES})
        self._tell("healed: the delete did not erase the write that it had not seen", kept)

    # --- telling

    def _tell(self, title: str, observed: dict[str, Any], detail: str | None = None) -> None:
        """A step came out as it should: note it, with each node's vector."""
        statuses = self.cluster.statuses()
        vectors = {name: shown(status["vector"]) for name, status in statuses.items()}
        number = len(self.steps) + 1
        self.steps.append(
            {"step": number, "title": title, "observed": observed, "vectors": vectors}
        )
        self._say(f"{number:2}. {title}")
        if detail is not None:
            self._say(f"      {detail}")
        clocks = (f"{name} {_vector_text(vector):<16}" for name, vector in vectors.items())
        self._say(f"      {'  '.join(clocks).rstrip()}")

    def _say(self, line: str) -> None:
        if not self._quiet:
            print(line, flush=True)

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


def _held_at(node: LocalNode, dot: Dot) -> dict[str, Any] | None:
    for held in node.status()["held"]:
        if (held["origin"], held["first"]) == dot:
            return dict(held)
    return None


def _delayed_at(node: LocalNode, token: bytes | None) -> Delayed:
    with node.client(token) as client:
        try:
            value = client.get("x", wait_s=0)
        except Delayed as delayed:
            return delayed
    raise NotSeen(f"{node.name} should have answered delayed; it answered {value!r}")


def _expect(what: str, seen: Any, wanted: Any) -> None:
    if seen != wanted:
        raise NotSeen(f"{what} should be {wanted!r}; it is {seen!r}")


def _shown(dot: Dot) -> str:
    return f"{name_of(dot.origin)}:{dot.seq}"


def _vector_text(vector: dict[str, int]) -> str:
    return "{" + " ".join(f"{name}:{seq}" for name, seq in vector.items()) + "}"
