"""Lost dots: writes that nobody has any more, and that must not be waited for.

A disk that did not sync can lose writes that others have seen traces of. Its node then goes
on as an incarnation that ends the one before at a lower seq. From when on is it sure that
nobody has the rest? When every member has such a successor, and this node all that they
claim: had one of them the dot, its claim would cover it. All, and not only what is of that name:
a node that lacks anything may not know yet who else is a member. For the verdict to stay true, an
ended incarnation's batches are taken from logs only. Where no end is known see `doubts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kvnode.core.messages import Claim
from kvnode.core.results import Lost
from kvnode.core.succession import Cut
from kvnode.core.vector import Dot, Missing, Vector


def is_lost(dot: Dot, cut: Cut, claims: Sequence[Claim | None]) -> bool:
    """Whether no member can have this write.

    `claims` has the latest claim of every other member, None where there is none.
    """
    origin, seq = dot
    enders = [k for k, last in cut.succession.ended_by(origin).items() if last < seq]
    if not enders or cut.entries.get(origin, 0) >= seq:
        return False
    return all(claim is not None and _rules_out(claim, enders, cut) for claim in claims)


def lost_of(token: Vector, cut: Cut, is_lost: Callable[[Dot], bool]) -> Lost | None:
    """What of a session's past is lost, if something is."""
    entries = cut.entries
    lost = {
        origin: seq
        for origin, seq in token.items()
        if seq > entries.get(origin, 0) and is_lost(Dot(origin, seq))
    }
    if not lost:
        return None
    missing = tuple(Missing(o, entries.get(o, 0) + 1, lost[o]) for o in sorted(lost))
    left = {o: entries.get(o, 0) if o in lost else seq for o, seq in token.items()}
    return Lost(missing, {origin: seq for origin, seq in left.items() if seq})


def _rules_out(claim: Claim, enders: list[str], cut: Cut) -> bool:
    has_all = cut.covers(claim.delivered) and not claim.is_not_all
    return has_all and any(cut.succession.value(claim.delivered, k) >= 1 for k in enders)
