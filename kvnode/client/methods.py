"""How a call becomes a method of a client."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def as_method(method: Method, call: Callable[..., object]) -> Method:
    """Give a method the name, the words and the signature of the call that it makes."""
    functools.update_wrapper(method, call)
    return method
