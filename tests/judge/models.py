"""The judge: from operations to a judgement.

Bouajjani, Enea, Guerraoui, Hamza: On Verifying Causal Consistency, POPL 2017 ("the paper" in
this package), theorems 3 to 5: a differentiated history is causally consistent if and only if
it has none of CyclicCO, WriteCOInitRead, ThinAirRead and WriteCORead, is causally convergent if
moreover it has no CyclicCF, and is a causal memory if moreover, instead, it has neither
WriteHBInitRead nor CyclicHB.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.judge.consistency import Consistency
from tests.judge.convergence import cyclic_conflicts
from tests.judge.happened_before import Work, WorkExceededError
from tests.judge.history import History
from tests.judge.memory import memory_violation
from tests.judge.operation import Operation
from tests.judge.verdict import Judgement

#: Vector entries compared for causal memory before it is left undecided: about a minute.
CM_WORK_MAX: Final = 500_000_000


def judge(operations: Iterable[Operation], cm_work_max: int = CM_WORK_MAX) -> Judgement:
    """Judge what the clients saw: any interleaving that keeps each session's order.

    Raises HistoryError if two puts write the same value to a key, or one writes None. With
    cm_work_max=0 causal memory is not checked.
    """
    history = History(operations)
    judged = len(history.numbers)
    counts = (judged, len(history.operations) - 1 - judged, history.sessions())
    consistency = Consistency(history)
    if conviction := consistency.conviction:
        return Judgement(*counts, conviction, conviction, conviction)
    ccv = cyclic_conflicts(history, consistency.conflicts)
    try:
        cm = memory_violation(history, consistency.causal, Work(cm_work_max))
    except WorkExceededError:
        return Judgement(*counts, None, None, ccv, cm_undecided=True)
    return Judgement(*counts, None, cm, ccv)
