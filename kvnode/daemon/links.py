"""Links from peers that can be held or cut, for demonstrations and tests.

What a peer sends comes through here, decoded; by default it passes at once.
"""

from __future__ import annotations

from typing import Final

from kvnode.codec.server import DROP, GOSSIP, HOLD, PASS, REPAIR, Fault
from kvnode.core.batch import Batch
from kvnode.core.messages import Chunk, Claim, Inputs, Progress, Pulled, Report
from kvnode.core.vector import Dot

#: What comes from a peer: by gossip, where a report counts too, or in answer to pulls.
Item = Batch | Claim | Dot | Report | Pulled | Chunk | Progress

#: Messages that one held link keeps; what comes beyond is dropped, as a network would.
HELD_MESSAGES_MAX: Final = 10_000


class Links:
    """What may pass from which peer."""

    def __init__(self) -> None:
        self._actions: dict[tuple[str, str], str] = {}
        self._held: dict[tuple[str, str], list[Item]] = {}

    def set(self, fault: Fault, inputs: Inputs) -> None:
        """Hold, drop or pass from now on; passing lets go what was held, in its order."""
        link = (fault.peer, fault.channel)
        if fault.action == PASS:
            self._actions.pop(link, None)
            for item in self._held.pop(link, []):
                _add(fault.peer, item, inputs)
            return
        self._actions[link] = fault.action
        if fault.action == DROP:
            self._held.pop(link, None)

    def receive(self, peer: str, item: Item, inputs: Inputs) -> None:
        """Something came from a peer."""
        if not self._actions:
            _add(peer, item, inputs)
            return
        link = (peer, REPAIR if isinstance(item, Pulled | Chunk | Progress) else GOSSIP)
        action = self._actions.get(link, PASS)
        if action == PASS:
            _add(peer, item, inputs)
        elif action == HOLD:
            held = self._held.setdefault(link, [])
            if len(held) < HELD_MESSAGES_MAX:
                held.append(item)

    def shown(self) -> dict[str, str]:
        """For status: `{"X gossip": "hold"}`."""
        return {f"{peer} {channel}": action for (peer, channel), action in self._actions.items()}


def _add(peer: str, item: Item, inputs: Inputs) -> None:
    if not isinstance(item, Report):  # anybody may say that he has synced something
        inputs.heard.add(peer)
    if isinstance(item, Batch):
        inputs.batches.append(item)
    elif isinstance(item, Claim):
        inputs.claims.append(item)
    elif isinstance(item, Dot):
        inputs.awaited.append(item)
    elif isinstance(item, Report):
        inputs.reports.append(item)
    elif isinstance(item, Chunk):
        inputs.chunks.append(item)
    elif isinstance(item, Progress):
        inputs.progress.append(item)
    else:
        inputs.pulled.append(item)
