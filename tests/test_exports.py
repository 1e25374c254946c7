"""The public surface is one short file, and every name in it is explained."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import kvnode
from kvnode import errors

SURFACE = Path(kvnode.__file__).read_text(encoding="utf-8")

#: What `from kvnode import ...` gives, beside the errors of operations.
PROMISED = {
    *("AsyncClient", "AsyncPipeline", "Client", "Dot", "Pending", "Pipeline", "Transacted"),
    *("AsyncClientSession", "ClientSession", "Version", "Written", "printable"),
    *("AsyncWatch", "Change", "Entry", "Watch"),
}

#: Errors of a daemon that can't start or save: a client never sees them.
NOT_OF_OPERATIONS = {"StorageError", "ConfigError"}


def errors_of_operations() -> set[str]:
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    return {
        name
        for name in raised - NOT_OF_OPERATIONS
        if issubclass(getattr(errors, name), errors.KvnodeError)
    }


def test_the_surface_is_the_client_and_the_errors_of_operations() -> None:
    assert set(kvnode.__all__) == PROMISED | errors_of_operations()
    assert len(kvnode.__all__) == len(set(kvnode.__all__))


def test_everything_that_is_imported_there_is_exported() -> None:
    imported = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(SURFACE))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert imported == set(kvnode.__all__)


def test_the_surface_is_short() -> None:
    assert len(SURFACE.splitlines()) <= 95


@pytest.mark.parametrize("name", kvnode.__all__)
def test_every_public_name_is_explained(name: str) -> None:
    text = inspect.getdoc(getattr(kvnode, name))
    assert text and not text.startswith(f"{name}("), "it has no docstring of its own"


@pytest.mark.parametrize("name", sorted(errors_of_operations() - {"MalformedError", "KvnodeError"}))
def test_an_error_says_whether_the_operation_may_have_happened(name: str) -> None:
    error = getattr(kvnode, name)
    assert issubclass(error, kvnode.DefiniteError) != issubclass(error, kvnode.IndefiniteError)


def test_every_public_method_of_the_client_is_explained() -> None:
    methods = {
        name: value
        for name, value in inspect.getmembers(kvnode.Client, callable)
        if not name.startswith("_")
    }
    assert {"get", "put", "delete", "read"} <= methods.keys()
    assert all(method.__doc__ for method in methods.values())
