"""Over which link nodes ask and tell each other."""

from __future__ import annotations

from typing import Final

from tests.simulation.mutants.mutant import mutant

_CONTACTS: Final = "kvnode/daemon/contacts.py"

MUTANTS: Final = (
    mutant(
        "call nobody",
        _CONTACTS,
        "            if not contact.is_due or is_busy:\n",
        "            if True:\n",
    ),
    mutant(
        "want no calls of who can't be asked",
        _CONTACTS,
        "        return not self.hears(steady_us) or not self.is_open(steady_us)\n",
        "        return not self.hears(steady_us)\n",
    ),
    mutant(
        "want no calls of who is not heard",
        _CONTACTS,
        "        return not self.hears(steady_us) or not self.is_open(steady_us)\n",
        "        return not self.is_open(steady_us)\n",
    ),
    mutant(
        "ask nothing in answer to a call",
        _CONTACTS,
        "        if not contact.is_open(steady_us) and contact.visits(steady_us):\n",
        "        if False:\n",
    ),
    mutant(
        "claim nothing in answer to a call",
        _CONTACTS,
        "        if contact.is_deaf and not contact.is_open(steady_us):\n",
        "        if False:\n",
    ),
    mutant(
        "call a silent one only once",
        _CONTACTS,
        "            is_busy = _is_recent(contact.called_us, steady_us, patience_us)\n",
        "            is_busy = contact.called_us is not None\n",
    ),
)
