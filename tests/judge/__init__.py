"""The history checker: what clients saw, held against the models of causal consistency.

For put-only keys. Values are unique by key, so a put that is tried again carries a new value.
Deletes, expiry and multi-key writes need an oracle that knows each write. Time and memory grow
with operations times sessions, where a put of unknown outcome that was read counts as one.

    judgement = judge([put("s1", "k", "1"), get("s2", "k", None)])
    assert judgement.ok, as_text(judgement)
"""

from tests.judge.models import CM_WORK_MAX, judge
from tests.judge.operation import HistoryError, Operation, Value, dump, get, parse, put
from tests.judge.report import as_json, as_text
from tests.judge.verdict import Conviction, Edge, Judgement, Pattern, Reason, Why

__all__ = [
    # what clients saw
    "Operation",
    "Value",
    "put",
    "get",
    "parse",
    "dump",
    "HistoryError",
    # the verdicts
    "judge",
    "CM_WORK_MAX",
    "Judgement",
    "Conviction",
    "Pattern",
    "Edge",
    "Reason",
    "Why",
    "as_text",
    "as_json",
]
