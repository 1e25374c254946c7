"""The fold: a snapshot and a node's own state become one, in slices.

It runs beside the table that is in use, into the one that is staged; the switch at its
end is the one commit that counts. While it runs the node changes nothing, since what it
would write could be folded already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kvnode.core.expiry import due_of
from kvnode.core.messages import Due, Snapshot
from kvnode.core.snapshot import merged_state, merged_versions
from kvnode.core.versions import DIGEST_MODULUS, Versions, digest_change
from kvnode.errors import StorageError
from kvnode.storage.store import Store


class SwitchFailedError(StorageError):
    """Nobody knows which of the two states the disk has now. Until then it is the old one."""


def fold(store: Store, theirs: Snapshot, keys_max: int) -> Iterator[None]:
    """Fold what is staged in `store` with what it has, then switch; a slice of so many keys
    for each `next`."""
    mine = store.load()
    my_entries = {origin: state.delivered for origin, state in mine.origins.items()}
    their_entries = theirs.entries
    digest = theirs.digest
    if any(their_entries.get(origin, 0) < seq for origin, seq in my_entries.items()):

        def folded(held: Versions, staged: Versions) -> Versions:
            return merged_versions(held, staged, my_entries, their_entries)

        for changes in (_into_theirs(store, folded, keys_max), _from_mine(store, folded, keys_max)):
            for change in changes:
                digest += change
                yield
    try:
        store.switch(merged_state(mine, theirs, digest % DIGEST_MODULUS))
    except StorageError as error:
        raise SwitchFailedError(str(error)) from error


#: Ours and theirs to what becomes of them.
_Folded = Callable[[Versions, Versions], Versions]


def _into_theirs(store: Store, folded: _Folded, keys_max: int) -> Iterator[int]:
    """For all keys that are staged; what each slice adds to the digest."""
    last = b""
    while page := store.staged_page(last, keys_max):
        changed: dict[bytes, Versions] = {}
        settled: list[Due] = []
        added = 0
        for key, staged in page.items():
            after = folded(store.versions(key), staged)
            if after != staged:
                changed[key] = after
                settled += due_of(key, staged) - due_of(key, after)
                added += digest_change(key, staged, after)
        store.stage(changed, settled)
        last = key
        yield added


def _from_mine(store: Store, folded: _Folded, keys_max: int) -> Iterator[int]:
    """For all keys that only the table in use has; those of both are folded already."""
    last = b""
    while page := store.page(b"", last, keys_max):
        changed: dict[bytes, Versions] = {}
        added = 0
        for key, held in page.items():
            if not store.staged_versions(key) and (after := folded(held, ())):
                changed[key] = after
                added += digest_change(key, (), after)
        store.stage(changed)
        last = key
        yield added
