"""`kvnode demo --nodes`: the story on three nodes that run already, which nothing disturbs.

No link is held there. But writes that are too large for gossip have to be fetched, one after the
other, and what is written after them comes at once: so for a moment, longer than it takes to look,
an effect is there before its cause, and must not be seen. Where the moment was missed, the scene is
played again.

All keys have a prefix of their own, and are deleted in the end; or expire, should it come to none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

from kvnode.cli.cluster import PATIENCE_S, NotSeen, until
from kvnode.cli.exits import interrupted_once
from kvnode.cli.narration import Narration, dot_text, expect, held_in
from kvnode.client.pipeline import Pending, Pipeline
from kvnode.client.session import Written
from kvnode.client.sync import Client, ClientSession
from kvnode.core.limits import MIB
from kvnode.core.vector import Dot, name_of
from kvnode.errors import Delayed, InvalidRequest, Unreachable

#: A pull brings one of these. To fetch all takes some hundred milliseconds; a question and its
#: answer take one or two.
_PHOTO: Final = bytes(MIB)
_PHOTOS: Final = 8

#: How often a scene is played until its moment is seen.
_TAKES_MAX: Final = 50

#: Between two looks whether a node listens.
_LOOK_AGAIN_S: Final = 0.2

#: When what an interrupted story has left is gone.
_TTL_S: Final = 600.0


def visit(addresses: Sequence[str], *, as_json: bool) -> int:
    """Play the story at these nodes; the exit code."""
    narration = Narration(as_json=as_json)
    with interrupted_once(), narration.told(), ExitStack() as stack:
        clients = [
            stack.enter_context(Client(address, timeout_s=PATIENCE_S, wait_s=PATIENCE_S))
            for address in addresses
        ]
        Visit(clients, narration).play()
    return narration.end()


def _name_at(client: Client) -> str:
    """The name of the node there. It may be starting, and refuse connections until it listens."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.ping()
        except Unreachable:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(_LOOK_AGAIN_S)


class Visit:
    """The scenes, at three nodes by their names: the first, the second and the third."""

    def __init__(self, clients: Sequence[Client], narration: Narration) -> None:
        self._nodes = {_name_at(client): client for client in clients}
        if len(self._nodes) != len(clients):
            raise InvalidRequest("these addresses are not of three nodes; name each node once")
        self._first, self._second, self._third = self._nodes
        self._prefix = f"demo/{secrets.token_hex(4)}/"
        self._narration = narration

    def play(self) -> None:
        """All scenes."""
        until("each node hears the two others", self._hear_each_other)
        who = f"{self._first}, {self._second} and {self._third}"
        self._narration.tell(f"{who} run, and hear each other", {}, self._statuses())
        self._play("a message that overtakes its photos", self._causality)
        self._play("two titles that are concurrent", self._siblings)
        self._play("a delete that is concurrent with a put", self._delete)
        self._tidy_up()

    def _play(self, moment: str, scene: Callable[[str], bool]) -> None:
        """Until the moment was seen; each take has keys of its own."""
        for take in range(_TAKES_MAX):
            if scene(f"{self._prefix}{scene.__name__.strip('_')}/{take}/"):
                return
        raise NotSeen(f"not within {_TAKES_MAX} takes: {moment}")

    # --- an effect is never shown before its cause

    def _causality(self, prefix: str) -> bool:
        alice = self._at(self._first)
        causes, effect = _after_photos(
            alice, prefix, lambda sent: sent.put(prefix + "message", "look", ttl_s=_TTL_S)
        )
        keys = [prefix + f"photo/{_PHOTOS - 1}", prefix + "message"]
        delayed = _delayed(self._at(self._third, alice.token), keys)
        status = self._nodes[self._third].status()
        photo, message = self._at(self._third).get_many(keys)
        if message is not None:
            expect("the last photo, where the message about it is shown,", photo, _PHOTO)
        held = held_in(status, effect)
        if held is None or photo is not None or delayed is None:
            return False

        cause = Dot(*held["waits_for"])
        expect("that the message waits for a photo", cause in causes, True)
        statuses = self._statuses() | {self._third: status}
        shown = {"holds_back": dot_text(effect), "waits_for": dot_text(cause)}
        self._narration.tell(
            f"at {self._first}, alice puts {_PHOTOS} photos and a message about them; at "
            f"{self._third} the message is there before them, and is held back",
            shown,
            statuses,
            f"{shown['holds_back']} waits for {shown['waits_for']}",
        )
        missing = [[name_of(origin), first, last] for origin, first, last in delayed.missing]
        self._narration.tell(
            f"{self._third} does not show it; a session that saw it, deadline 0, is told: delayed",
            {"status": "delayed", "reason": delayed.reason, "missing": missing},
            statuses,
            delayed.reason,
        )
        photo, message = self._at(self._third, alice.token).get_many(keys)
        expect("what the session reads in the end", [photo, message], [_PHOTO, "look"])
        title = f"with time to wait, the session reads it at {self._third}, and the photos"
        self._narration.tell(title, {"message": message}, self._statuses())
        return True

    # --- concurrent writes are kept, not hidden

    def _siblings(self, prefix: str) -> bool:
        key = prefix + "title"
        alice, bob = self._at(self._first), self._at(self._second)
        _after_photos(alice, prefix, lambda sent: sent.put(key, "sunrise", ttl_s=_TTL_S))
        bob.put(key, "sunset", ttl_s=_TTL_S)
        kept = self._everywhere(key, alice, bob)
        if any(len(values) == 1 for values in kept.values()):
            return False

        values = kept[self._first]
        expect("the titles", sorted(values), ["sunrise", "sunset"])
        expect("the titles and winner at each node", kept, dict.fromkeys(self._nodes, values))
        self._narration.tell(
            f"{self._first} writes title=sunrise while {self._second} writes title=sunset: all "
            "three keep both, and pick the same winner",
            {"winner": values[0], "siblings": values},
            self._statuses(),
            f"siblings {' and '.join(values)}; the winner is {values[0]}",
        )
        carol = self._at(self._third)
        carol.put(key, "one day", ttl_s=_TTL_S)
        settled = self._everywhere(key, carol)
        expect("what each node shows", settled, {name: ["one day"] for name in self._nodes})
        title = f"{self._third}, which sees both, writes title='one day': that settles them"
        self._narration.tell(title, settled, self._statuses())
        return True

    # --- a delete does not erase what it did not see

    def _delete(self, prefix: str) -> bool:
        key = prefix + "cart"
        alice = self._at(self._first)
        alice.put(key, "apples", ttl_s=_TTL_S)
        bob = self._at(self._second, alice.token)
        expect(f"what bob reads at {self._second}", bob.get(key), "apples")
        _after_photos(alice, prefix, lambda sent: sent.delete(key))
        if bob.get(key) is None:
            return False

        bob.put(key, "pears", ttl_s=_TTL_S)
        kept = self._everywhere(key, alice, bob)
        expect("what each node shows", kept, {name: ["pears"] for name in self._nodes})
        self._narration.tell(
            f"{self._first} deletes the cart of apples while {self._second} puts pears into it: "
            "the delete did not erase the write that it had not seen",
            kept,
            self._statuses(),
        )
        return True

    def _tidy_up(self) -> None:
        alice = self._at(self._first)
        keys = list(alice.keys(self._prefix))
        alice.delete_many(keys)
        left = {name: self._at(name, alice.token).count(self._prefix) for name in self._nodes}
        expect("the demo's keys at each node", left, dict.fromkeys(self._nodes, 0))
        title = (
            f"{self._first} deletes all {len(keys)} keys of this story: they are gone everywhere"
        )
        self._narration.tell(title, left, self._statuses())
        self._narration.final = left

    # --- looking

    def _at(self, name: str, token: bytes | None = None) -> ClientSession:
        """A new session at a node, or one that goes on there."""
        return self._nodes[name].session(token)

    def _everywhere(self, key: str, *writers: ClientSession) -> dict[str, list[Any]]:
        """The values of a key at each node, once that has what the writers have seen."""
        values: dict[str, list[Any]] = {}
        for name in self._nodes:
            for writer in writers:
                versions = self._at(name, writer.token).read(key)
            values[name] = [version.value for version in versions]
        return values

    def _statuses(self) -> dict[str, Any]:
        """What each node says of itself."""
        return {name: client.status() for name, client in self._nodes.items()}

    def _hear_each_other(self) -> bool:
        """Whether each is a member, and alive, by what each of them says."""
        for client in self._nodes.values():
            heard = {it["name"] for it in client.members() if it["alive"] and it["origin"]}
            if not heard.issuperset(self._nodes):
                return False
        return True


def _after_photos(
    alice: ClientSession, prefix: str, add: Callable[[Pipeline], Pending[Written]]
) -> tuple[list[Dot], Dot]:
    """Photos and a write after them, sent together: only that write is gossiped."""
    with alice.pipeline() as sent:
        photos = [
            sent.put(prefix + f"photo/{number}", _PHOTO, ttl_s=_TTL_S) for number in range(_PHOTOS)
        ]
        effect = add(sent)
    return [photo.result() for photo in photos], effect.result()


def _delayed(session: ClientSession, keys: Sequence[str]) -> Delayed | None:
    """What a node tells a session that can't wait; None if it has all by now."""
    try:
        session.get_many(keys, wait_s=0)
    except Delayed as delayed:
        return delayed
    return None
