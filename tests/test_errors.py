"""Errors that tell what is the matter."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from kvnode import errors
from kvnode.errors import Delayed, KvnodeError


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn, path = dict[str, str](), list[str]()
    for line in (errors.__doc__ or "").splitlines():
        if not line.startswith("    "):
            continue
        branch = line[4:].split("  ")[0] if "──" not in line else line[4:]
        depth = (len(branch) - len(branch.lstrip("│├└─ "))) // 4
        name = branch.lstrip("│├└─ ").split()[0]
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else "Exception"
    defined = {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, KvnodeError)
    }
    assert drawn == defined


@pytest.mark.parametrize(
    ("error", "of_python"),
    [
        (errors.InvalidRequest("why"), ValueError),
        (errors.Unreachable("why"), ConnectionError),
        (errors.TimedOut("why"), TimeoutError),
    ],
    ids=["invalid", "unreachable", "timed out"],
)
def test_what_python_has_an_error_for_is_one_of_these_too(
    error: KvnodeError, of_python: type[Exception]
) -> None:
    with pytest.raises(of_python) as raised:
        raise error
    assert raised.value is error
    again = pickle.loads(pickle.dumps(error))
    for copied in (again, copy.copy(error)):
        assert (type(copied), str(copied), copied.args) == (type(error), "why", ("why",))
    assert repr(error) == f"{type(error).__name__}('why')"
    assert getattr(error, "errno", None) is None


def test_an_error_that_no_python_has_is_none_of_its_own() -> None:
    of_python = (ValueError, OSError)
    for name in ("Conflict", "Delayed", "Unreplicated", "CommitFailed", "UnreadableValue"):
        assert not issubclass(getattr(errors, name), of_python)


def test_a_delay_says_what_is_missing() -> None:
    error = Delayed("why", {"X~1": 5}, {"X~1": 2}, [("X~1", 3, 5), ("Y~1", 1, 1)])
    assert str(error) == "delayed: why; missing X~1:3-5, Y~1:1"
    assert (error.reason, error.incoming, error.local) == ("why", {"X~1": 5}, {"X~1": 2})
    assert error.missing == [("X~1", 3, 5), ("Y~1", 1, 1)]
