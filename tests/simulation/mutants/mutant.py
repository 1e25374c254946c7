"""What a deliberate fault is: a small change to the sources."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """A text that stands in a file exactly once, and what to put in its place."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """One deliberate fault."""

    fault: str
    edits: tuple[Edit, ...]


def mutant(fault: str, file: str, old: str, new: str) -> Mutant:
    """One that a single edit makes."""
    return Mutant(fault, (Edit(file, old, new),))
