"""A judgement for a person, and as data for `--json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from tests.judge.verdict import Conviction, Edge, Judgement, Why


def as_text(judgement: Judgement) -> str:
    """The verdicts, and each conviction with its proof."""
    counts = f"{judgement.operations} operations of {judgement.sessions} sessions"
    lines = [f"judged {counts}, left out {judgement.left_out}"]
    convictions: list[Conviction] = []
    for model, name, conviction, undecided in _verdicts(judgement):
        verdict = "holds"
        if undecided:
            verdict = "undecided: too much work"
        if conviction:
            verdict = f"violated: {conviction.pattern}"
            if conviction not in convictions:
                convictions.append(conviction)
        lines.append(f"{model:<4} {name:<19}  {verdict}")
    for conviction in convictions:
        lines += ["", *_proof(conviction)]
    return "\n".join(lines)


def as_json(judgement: Judgement) -> dict[str, object]:
    """Counts, then per model whether it holds (null: undecided) and the conviction."""
    data: dict[str, object] = {
        "operations": judgement.operations,
        "left_out": judgement.left_out,
        "sessions": judgement.sessions,
    }
    for model, _, conviction, undecided in _verdicts(judgement):
        verdict: dict[str, object] = {"holds": None if undecided else conviction is None}
        data[model] = verdict | (_conviction_as_json(conviction) if conviction else {})
    return data


def _verdicts(judgement: Judgement) -> Iterator[tuple[str, str, Conviction | None, bool]]:
    yield "CC", "causal consistency", judgement.cc, False
    yield "CM", "causal memory", judgement.cm, judgement.cm_undecided
    yield "CCv", "causal convergence", judgement.ccv, False


def _proof(conviction: Conviction) -> Iterator[str]:
    yield f"{conviction.pattern}: {conviction.finding}"
    width = max(len(_operation(conviction, number)) for number in conviction.operations)
    if not conviction.chain:
        yield from (f"     {_operation(conviction, number)}" for number in conviction.operations)
    yield from _told(conviction, conviction.chain, width)
    for reason in conviction.reasons:
        conflict = reason.conflict
        yield f"  #{conflict.source} is before #{conflict.read}:"
        yield from _told(conviction, reason.chain, width)


def _told(conviction: Conviction, chain: Iterable[Edge], width: int) -> Iterator[str]:
    """A line for each operation, with why the one above comes before it."""
    for place, edge in enumerate(chain):
        if not place:
            yield f"     {_operation(conviction, edge.source)}"
        why = str(edge.why)
        if edge.why is Why.CONFLICT:
            why += f": #{edge.source} is before #{edge.read}, which reads from #{edge.target}"
        yield f"  -> {_operation(conviction, edge.target):<{width}}  ({why})"


def _operation(conviction: Conviction, number: int) -> str:
    return f"#{number} {conviction.operations[number]}"


def _conviction_as_json(conviction: Conviction) -> dict[str, object]:
    return {
        "pattern": conviction.pattern,
        "finding": conviction.finding,
        "operations": [
            {"line": number, **asdict(operation)}
            for number, operation in conviction.operations.items()
        ],
        "chain": _edges(conviction.chain),
        "reasons": [
            {"conflict": asdict(reason.conflict), "chain": _edges(reason.chain)}
            for reason in conviction.reasons
        ],
    }


def _edges(chain: Iterable[Edge]) -> list[dict[str, object]]:
    return [asdict(edge) for edge in chain]
