"""What must hold when all faults have stopped: agreement, no loss, no order broken."""

from __future__ import annotations

from pathlib import Path
from pprint import pprint
from typing import Any, Final

from kvnode.cli.cluster import NotSeen, until
from tests.judge import Operation, as_text, dump, get, judge
from tests.nemesis.cluster import NamespacedCluster
from tests.nemesis.field import Field
from tests.nemesis.load import HOT_KEYS

#: Connections that were cut wait ever longer before they try again, and a dead one is
#: noticed after 15 s.
_HEALING_S: Final = 120.0

#: Causal memory is only reported: a few seconds are enough for it.
_CM_WORK_MAX: Final = 30_000_000

#: What strangers, full disks, clocks, and calls to a node that has just started cause. All other
#: complaints are about us.
_EXCUSED: Final = {
    "dropped_answers",
    "failed_pulls",
    "clocks_ahead",
    "failed_calls",
    "refused_calls",
}


def pronounce(field: Field, history_file: Path) -> list[Operation]:
    """Wait for the nodes to agree, and hold all that was seen against the models. The whole
    history is in the file, also when this fails."""
    history = field.load.history()
    _write(history_file, history)
    if field.load.error is not None:
        raise field.load.error
    try:
        statuses = until("all nodes agree", lambda: _settled(field.cluster), _HEALING_S)
    except NotSeen:
        pprint(field.cluster.statuses())
        print(as_text(judge(history, cm_work_max=0)))
        raise
    history += _audit(field)
    _write(history_file, history)
    _check_canaries(field, history)
    _check_complaints(field, statuses)
    judgement = judge(history, cm_work_max=_CM_WORK_MAX)
    print(as_text(judgement))
    assert judgement.ok, f"{history_file}:\n{as_text(judgement)}"
    return history


def _settled(cluster: NamespacedCluster) -> dict[str, dict[str, Any]] | None:
    """The statuses, when the nodes agree, take writes, and nothing waits any more."""
    statuses = cluster.agree()
    if statuses is None or not all(s["storage"]["writable"] for s in statuses.values()):
        return None
    waiting = [s["held_batches"] + s["parked_requests"] for s in statuses.values()]
    return None if any(waiting) else statuses


def _audit(field: Field) -> list[Operation]:
    """What a new session at each node reads of all keys."""
    keys = [*HOT_KEYS, *field.load.canaries]
    seen = []
    for name, node in field.cluster.nodes.items():
        with node.client() as client:
            seen += [get(f"audit-{name}", key, client.get(key)) for key in keys]
    return seen


def _check_canaries(field: Field, history: list[Operation]) -> None:
    audits = [op for op in history if op.session.startswith("audit-")]
    canaries = field.load.canaries
    lost = [str(op) for op in audits if op.key in canaries and op.value != canaries[op.key]]
    assert not lost, f"acknowledged canaries that are not there: {lost}"


def _check_complaints(field: Field, statuses: dict[str, dict[str, Any]]) -> None:
    for name, status in statuses.items():
        assert set(status["complaints"]) <= _EXCUSED, f"{name} complains: {status['complaints']}"
        assert not any(peer["refusal"] for peer in status["peers"]), f"{name}: {status['peers']}"
    assert not (faults := field.cluster.our_faults()), "\n".join(faults)


def _write(file: Path, history: list[Operation]) -> None:
    file.write_text("".join(f"{dump(operation)}\n" for operation in history))
