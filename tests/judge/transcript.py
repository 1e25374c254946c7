"""Histories written down by hand, a line an operation; for the judge's tests."""

from __future__ import annotations

from tests.judge.operation import Operation, get, put


def transcript(text: str) -> list[Operation]:
    """Operations from lines like "s1 put x 1" and "s2 get x -" ("-": absent).

    A "?" at the end says that the outcome is unknown. Comments start with "|".
    """
    operations = []
    for line in text.strip().splitlines():
        session, op, key, word, *doubt = line.partition("|")[0].split()
        value = None if word == "-" else int(word)
        if op == "get":
            operations.append(get(session, key, value, ok=not doubt))
        else:
            assert op == "put" and value is not None
            operations.append(put(session, key, value, ok=not doubt))
    return operations
