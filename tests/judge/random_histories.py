"""Small histories at random, valid and not, in which each bad pattern is frequent."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from tests.judge.guilty import GUILTY
from tests.judge.operation import Operation, get, put
from tests.judge.store import Rule, run
from tests.judge.transcript import transcript
from tests.judge.verdict import Pattern

#: A value that no put writes.
THIN_AIR = 999


def scrambled(random: Random, length_max: int) -> list[Operation]:
    """Operations thrown together: gets return any value put to their key, before or after."""
    sessions, keys = random.randint(1, 4), random.randint(1, 3)
    operations = []
    for value in range(1, random.randint(3, length_max)):
        session, key = f"s{random.randrange(sessions)}", f"k{random.randrange(keys)}"
        if random.random() < 0.5:
            operations.append(put(session, key, value, ok=random.random() < 0.9))
        else:
            operations.append(get(session, key, None, ok=random.random() < 0.97))
    return [
        o if o.is_put else replace(o, value=_any_value(random, operations, o.key))
        for o in operations
    ]


def barely_causal(random: Random, length_max: int) -> list[Operation]:
    """Gets return any value that causal consistency allows, and it allows much."""
    sessions, keys = random.randint(2, 3), random.randint(1, 3)
    operations: list[Operation] = []
    #: By session, and by the place of each put: the puts that come before it, itself included.
    knows: dict[str, set[int]] = {f"s{number}": set() for number in range(sessions)}
    past: dict[int, set[int]] = {}
    for place in range(random.randint(4, length_max)):
        session, key = random.choice(list(knows)), f"k{random.randrange(keys)}"
        if random.random() < 0.4:
            operations.append(put(session, key, place + 1))
            knows[session].add(place)
            past[place] = knows[session].copy()
            continue
        rivals = [w for w in knows[session] if operations[w].key == key]
        allowed = [
            w
            for w in past
            if operations[w].key == key and not any(w in past[v] for v in rivals if v != w)
        ]
        if rivals or (allowed and random.random() < 0.5):
            write = random.choice(allowed)
            operations.append(get(session, key, operations[write].value))
            knows[session] |= past[write]
        else:
            operations.append(get(session, key, None))
    return operations


def mutated(random: Random, length_max: int) -> list[Operation]:
    """A history of the toy store, which is valid, with up to three faults put in."""
    operations = list(
        run(
            random,
            random.choice(list(Rule)),
            operations=random.randint(5, length_max),
            sessions=random.randint(2, 4),
            keys=random.randint(1, 3),
            pulls=random.randint(1, 4),
            unknown=random.choice([0, 0.2]),
        )
    )
    for _ in range(random.choice([0, 1, 1, 2, 3])):
        _mutate(random, operations)
    return operations


def near_guilty(random: Random, _length_max: int) -> list[Operation]:
    """A history made for one bad pattern, with sessions interleaved anew and up to two faults."""
    operations = transcript(GUILTY[random.choice(list(Pattern))])
    sessions = [operation.session for operation in operations]
    random.shuffle(sessions)
    turns = {s: iter([o for o in operations if o.session == s]) for s in sessions}
    operations = [next(turns[session]) for session in sessions]
    for _ in range(random.randrange(3)):
        _mutate(random, operations)
    return operations


def _mutate(random: Random, operations: list[Operation]) -> None:
    place = random.randrange(len(operations))
    operation = operations[place]
    fault = random.randrange(4)
    if fault <= 1 and not operation.is_put:
        value = _any_value(random, operations, operation.key)
        operations[place] = replace(operation, value=value)
    elif fault == 2:
        operations.insert(random.randrange(len(operations)), operations.pop(place))
    elif fault == 3:
        operations[place] = replace(operation, session=random.choice(operations).session)


def _any_value(random: Random, operations: list[Operation], key: str) -> int | str | None:
    if random.random() < 0.03:
        return THIN_AIR
    values = [o.value for o in operations if o.is_put and o.key == key]
    return random.choice([None, *values, *values])


KINDS: Final = (scrambled, barely_causal, mutated, near_guilty)
