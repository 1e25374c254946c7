"""How a call becomes a method of a client."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final, TypeVar

from kvnode.codec.packing import told

Method = TypeVar("Method", bound=Callable[..., Any])
Items = TypeVar("Items")

#: What a call is annotated to return, of which a client returns what is in it.
_HULLS: Final = (("Call[Page[", "]]"), ("Call[", "]"))


class _Shown(str):
    """An annotation that help() and inspect.signature show without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def as_method(method: Method, call: Callable[..., object], returns: str = "{}") -> Method:
    """Give a method the name, the words and the signature of the call that it makes; what that
    brings, it returns as `returns` says."""
    functools.update_wrapper(method, call)
    assert isinstance(call, FunctionType)
    # inspect looks for a signature where __wrapped__ is: there is a copy of the call, which tells
    # what the method returns. To make a signature itself would load inspect whenever `kv` starts.
    shown = FunctionType(
        call.__code__, _names(method, call), call.__name__, call.__defaults__, call.__closure__
    )
    shown.__kwdefaults__ = call.__kwdefaults__
    annotations = call.__annotations__ | {"return": returns.format(_inside(call))}
    shown.__annotations__ = {name: _Shown(text) for name, text in annotations.items()}
    method.__annotations__ = shown.__annotations__
    method.__wrapped__ = shown  # type: ignore[attr-defined]
    return method


#: By the modules of a method and of its call.
_names_of: Final[dict[tuple[str, str], dict[str, Any]]] = {}


def _names(method: Callable[..., object], call: FunctionType) -> dict[str, Any]:
    """Where `typing.get_type_hints` looks up what `as_method` annotates with: the names of the
    call's module, and of the method's, which knows what it returns."""
    assert isinstance(method, FunctionType)
    modules = str(method.__globals__["__name__"]), str(call.__globals__["__name__"])
    if modules not in _names_of:
        _names_of[modules] = {**method.__globals__, **call.__globals__}
    return _names_of[modules]


def _inside(call: FunctionType) -> str:
    """The annotation of what a call brings."""
    returned = str(call.__annotations__["return"])
    for start, end in _HULLS:
        if returned.startswith(start):
            return returned.removeprefix(start).removesuffix(end)
    return returned


def called(items: Items, text: str, address: str) -> Items:
    """A generator that shows what was asked for, and where, instead of a function of ours."""
    items.__qualname__ = f"{text} at {address}"  # type: ignore[attr-defined]  # generators have it
    return items


def written(call: Callable[..., object], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """A call as it stands in a program."""
    given = [*map(told, args), *(f"{name}={told(value)}" for name, value in kwargs.items())]
    return f"{call.__name__}({', '.join(given)})"
