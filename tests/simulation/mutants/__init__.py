"""Deliberate faults, each a small change to the sources. The simulator must catch every one."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants import (
    clients,
    contacts,
    continuity,
    delivery,
    members,
    mending,
    ranges,
    repair,
    slow_links,
    turns,
)

MUTANTS: Final = (
    *delivery.MUTANTS,
    *turns.MUTANTS,
    *clients.MUTANTS,
    *ranges.MUTANTS,
    *repair.MUTANTS,
    *members.MUTANTS,
    *contacts.MUTANTS,
    *continuity.MUTANTS,
    *mending.MUTANTS,
    *slow_links.MUTANTS,
)
