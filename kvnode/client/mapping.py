"""A dictionary over the keys with a prefix."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kvnode.client.session import Version
from kvnode.client.values import readable
from kvnode.codec.packing import told
from kvnode.errors import Conflict, InvalidRequest, UnreadableValue

if TYPE_CHECKING:
    from kvnode.client.sync import ClientSession

K = TypeVar("K", str, bytes)

#: Keys that `clear` deletes as one write.
_CLEARED_TOGETHER: Final = 1000

_NONE: Final = object()


class KeyMapping(MutableMapping[K, Any]):
    """Keys without their prefix, and their values, as a `dict` would have them.

    Each access is a request to the node. Iterating, `items` and `values` go through the keys in the
    order of their bytes, and show one moment; `len` has the node count. Of siblings the value is
    the winner's, and to set a key settles them. `update` is one write and takes what `put_many`
    does; `clear` is several. `pop`, `popitem`, `del` and `setdefault` are judged by the node that
    answers: of its clients only one gets what `pop` gives, but it is no consensus with others.
    A value that can't be read is raised as UnreadableValue, and stands among those of `items` and
    `values`.
    """

    def __init__(self, client: ClientSession, prefix: K) -> None:
        if not isinstance(prefix, str | bytes):
            raise InvalidRequest(f"a prefix is a string, or bytes; not {told(prefix)}")
        self._client = client
        self._prefix: K = prefix

    def __repr__(self) -> str:
        return f"<keys with {self._prefix!r} at {self._client.address}>"

    def __getitem__(self, key: K) -> Any:
        value = self._client.get(self._whole(key), _NONE)
        if value is _NONE:
            raise KeyError(key)
        return value

    def __setitem__(self, key: K, value: Any) -> None:
        self._client.put(self._whole(key), value)

    def __delitem__(self, key: K) -> None:
        if self._deleted(key) is None:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        try:
            return super().__contains__(key)
        except UnreadableValue:
            return True

    def __iter__(self) -> Iterator[K]:
        return (self._own(key) for key in self._client.keys(self._prefix))

    def __len__(self) -> int:
        return self._client.count(self._prefix)

    def items(self) -> ItemsView[K, Any]:
        """See `dict.items`."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """See `dict.values`."""
        return _Values(self)

    def pop(self, key: K, default: Any = _NONE) -> Any:
        """See `dict.pop`. What can't be read stays there, and `del` takes it away."""
        winner = self._deleted(key, lambda it: readable(it.value))
        if winner is not None:
            return winner.value
        if default is _NONE:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, Any]:
        """See `dict.popitem`; it takes the first key."""
        while keys := list(self._client.keys(self._prefix, limit=1)):
            value = self.pop(self._own(keys[0]), _NONE)
            if value is not _NONE:
                return self._own(keys[0]), value
        raise KeyError("there are no keys")

    def setdefault(self, key: K, default: Any = None) -> Any:
        """See `dict.setdefault`."""
        while True:
            try:
                self._client.put(self._whole(key), default, if_version=())
                return default
            except Conflict:
                value = self._client.get(self._whole(key), _NONE)
                if value is not _NONE:
                    return value

    def update(self, *others: Any, **values: Any) -> None:
        """See `dict.update`."""
        items = {self._whole(key): value for key, value in dict(*others, **values).items()}
        if items:
            self._client.put_many(items)

    def clear(self) -> None:
        """Delete what is there now; what is written meanwhile may stay."""
        keys = self._client.keys(self._prefix)
        while together := list(islice(keys, _CLEARED_TOGETHER)):
            self._client.delete_many(together)

    def _scanned(self) -> Iterator[tuple[K, Any]]:
        """The items as the node has them at one moment."""
        pages = self._client.scan(self._prefix)
        return ((self._own(key), value) for key, value in pages)

    def _deleted(self, key: K, look: Callable[[Version], object] = bool) -> Version | None:
        """Delete a key, after a look at its winner, which may raise; that winner, if there was."""
        while seen := self._client.read(self._whole(key)):
            look(seen[0])
            try:
                self._client.delete(self._whole(key), if_version=seen)
                return seen[0]
            except Conflict:
                pass  # somebody was faster
        return None

    def _whole(self, key: Any) -> K:
        kind = str if isinstance(self._prefix, str) else bytes
        if not isinstance(key, kind):
            raise InvalidRequest(
                f"the keys here are {kind.__name__}, as the prefix is; not {told(key)}"
            )
        whole: K = self._prefix + key
        return whole

    def _own(self, key: K) -> K:
        return key[len(self._prefix) :]


class _Items(ItemsView[K, Any]):
    _mapping: KeyMapping[K]

    def __iter__(self) -> Iterator[tuple[K, Any]]:
        return self._mapping._scanned()


class _Values(ValuesView[Any]):
    _mapping: KeyMapping[Any]

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._scanned())
