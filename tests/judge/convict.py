"""Putting a conviction together: each conflict gets its reason, all operations are listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.judge.history import History
from tests.judge.verdict import Conviction, Edge, Pattern, Reason, Why

#: The chain from a conflict's source to its read.
Explain = Callable[[Edge], tuple[Edge, ...]]


def convict(
    history: History,
    pattern: Pattern,
    finding: str,
    chain: Iterable[Edge],
    explain: Explain | None = None,
    also: Iterable[int] = (),
) -> Conviction:
    """The conviction by this chain; `also` names operations that no edge touches."""
    chain = tuple(chain)
    reasons: dict[Edge, Reason] = {}
    conflicts = [edge for edge in chain if edge.why is Why.CONFLICT]
    while conflicts:
        conflict = conflicts.pop(0)
        if conflict in reasons:
            continue
        assert explain is not None, "a conflict without a reason"
        reason = Reason(conflict, explain(conflict))
        reasons[conflict] = reason
        conflicts += [edge for edge in reason.chain if edge.why is Why.CONFLICT]
    edges = [*chain, *(edge for reason in reasons.values() for edge in reason.chain)]
    numbers = {*also, *(n for edge in edges for n in (edge.source, edge.target, edge.read) if n)}
    return Conviction(
        pattern,
        finding,
        chain,
        tuple(reasons.values()),
        {number: history.operations[number] for number in sorted(numbers)},
    )
