"""Errors that tell what is the matter."""

from __future__ import annotations

import inspect

from kvnode import errors
from kvnode.errors import Delayed, KvnodeError


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn, path = dict[str, str](), list[str]()
    for line in (errors.__doc__ or "").splitlines():
        if "Error" not in line and "──" not in line:
            continue
        branch = line[4:].split("  ")[0] if "──" not in line else line[4:]
        depth = (len(branch) - len(branch.lstrip("│├└─ "))) // 4
        name = branch.lstrip("│├└─ ").split()[0]
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else "Exception"
    defined = {
        name: value.__base__.__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, KvnodeError)
    }
    assert drawn == defined


def test_a_delay_says_what_is_missing() -> None:
    error = Delayed("why", {"X~1": 5}, {"X~1": 2}, [("X~1", 3, 5), ("Y~1", 1, 1)])
    assert str(error) == "delayed: why; missing X~1:3-5, Y~1:1"
    assert (error.reason, error.incoming, error.local) == ("why", {"X~1": 5}, {"X~1": 2})
    assert error.missing == [("X~1", 3, 5), ("Y~1", 1, 1)]
