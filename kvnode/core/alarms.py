"""Alarms: what must not be, and mostly only a person can mend."""

from __future__ import annotations

from kvnode.core.chain import ChainOf, checks_differ, checks_of
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot, Vector, name_of


class Alarms:
    """What is wrong now, by what it concerns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.raised: dict[str, str] = {}

    def compare(self, claim: Claim, delivered: Vector, digest: int, chain_of: ChainOf) -> None:
        """Equal vectors must mean equal states, here and at the peer that claims; but where they
        are of different histories they don't: a machine went back in time, and mends that."""
        if claim.delivered != delivered:
            return
        if checks_differ(claim.checks, checks_of(claim.delivered, chain_of)):
            return
        about = f"digest {claim.name}"
        if claim.digest == digest:
            self.raised.pop(about, None)
            return
        self.raised[about] = (
            f"{self._name} and {claim.name} have delivered the same writes and hold different "
            f"states: digests {digest:032x} and {claim.digest:032x}; one has a damaged table, or "
            f"the machine of one went back in time"
        )

    def doubled(self, dot: Dot) -> None:
        """A node has given one dot to two writes: one of them is here, and the other one came."""
        name = name_of(dot.origin)
        self.raised[f"doubled {name}"] = (
            f"{self._name} was sent two different writes as {dot.origin}:{dot.seq}: the machine "
            f"of {name} went back in time as it ran, or runs twice; it mends that once it hears of "
            f"it; until then what it acknowledged just then may be nowhere else"
        )

    def goes_on_anew(self, name: str) -> None:
        """A node goes on as a new incarnation, as it does when it has mended that."""
        self.raised.pop(f"doubled {name}", None)

    def parted(self, dot: Dot) -> None:
        """This node's own past is another one than its peers have, and is too long to be mended."""
        self.raised["parted"] = (
            f"the machine of {self._name} went back in time, and what {self._name} wrote after "
            f"{dot.origin}:{dot.seq} is too much to be moved, or not in its log any more: it tells "
            f"nobody of it; see OPERATIONS.md"
        )

    def settled(self, name: str) -> None:
        """A peer is gone: nothing of it is wrong any more."""
        self.raised.pop(f"digest {name}", None)
        self.raised.pop(f"snapshot {name}", None)
        self.raised.pop(f"doubled {name}", None)

    def damaged_snapshot(self, name: str) -> None:
        """A peer's state does not have the digest that it says, or contradicts itself."""
        self.raised[f"snapshot {name}"] = (
            f"{name} sent {self._name} a state that has not the digest that it says, or that no "
            f"node can have; its disk is damaged"
        )

    def sound_snapshot(self, name: str) -> None:
        """A peer's state has the digest that it says."""
        self.raised.pop(f"snapshot {name}", None)

    def damaged_table(self, why: str) -> None:
        """A scrub could not read the table, or found another digest than that of the commits."""
        self.raised["table"] = f"the table of {self._name} is damaged: {why}"

    def sound_table(self) -> None:
        """A scrub found what it should."""
        self.raised.pop("table", None)

    def clock(self, jump_us: int, held_us: int) -> None:
        """The machine's clock says another time than is believed, by so much; or it does not."""
        if jump_us == 0:
            self.raised.pop("clock", None)
            return
        self.raised["clock"] = (
            f"the clock of {self._name} has jumped by {jump_us / 1_000_000:+.0f} s; if that was no "
            f"mistake, it is believed after {held_us // 1_000_000} s"
        )

    def descriptors(self, limit: int, *, are_few: bool) -> None:
        """Whether nearly all are in use, of what the process may have."""
        self.raised.pop("descriptors", None)
        if are_few:
            self.raised["descriptors"] = (
                f"nearly all of the {limit} file descriptors of {self._name} are in use; "
                f"without any it takes no clients, and its store can open no files"
            )

    def alone(self, why: str) -> None:
        """There are peers, and none of them was ever heard, or some refuse this node."""
        self.raised["peers"] = f"{self._name} does not hear those that it should: {why}"

    def in_company(self) -> None:
        """Its peers are heard, one of them at least."""
        self.raised.pop("peers", None)

    def forgotten(self) -> None:
        """A peer says that this node is no member any more."""
        self.raised["forgotten"] = f"{self._name} was forgotten while it was away; it joins anew"

    def joined(self) -> None:
        """It is a member again."""
        self.raised.pop("forgotten", None)
