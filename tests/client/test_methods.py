"""A method looks to a person as the call that it makes."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import kvnode
from kvnode.client.call import Call
from kvnode.client.methods import as_method


class Calls:
    def call(self, key: str, *, wait_s: float | None = None) -> Call[int | None]:
        """What it does."""


class Client:
    def _method(self, *arguments, **named):
        return arguments, named

    method = as_method(_method, Calls.call)


def test_it_has_the_name_the_words_and_the_signature_of_its_call() -> None:
    assert Client.method.__name__ == "call" and Client.method.__doc__ == "What it does."
    assert list(inspect.signature(Client.method).parameters) == ["self", "key", "wait_s"]
    assert list(inspect.signature(Client().method).parameters) == ["key", "wait_s"]
    assert Client().method("k", wait_s=1) == (("k",), {"wait_s": 1})


def test_it_shows_what_it_returns_itself() -> None:
    shown = "(key: str, *, wait_s: float | None = None) -> int | None"
    assert str(inspect.signature(Client().method)) == shown
    assert str(inspect.signature(Calls().call)).endswith("-> 'Call[int | None]'"), (
        "that of the call"
    )


@pytest.mark.parametrize(
    ("of", "shown"),
    [
        (kvnode.Client.put, "-> Written"),
        (kvnode.Client.put_many, "-> Written | None"),
        (kvnode.Client.read, "-> tuple[Version, ...]"),
        (kvnode.Client.scan, "-> Iterator[tuple[Any, Any]]"),
        (kvnode.Client.entries, "-> Iterator[Entry]"),
        (kvnode.AsyncClient.put, "-> Written"),
        (kvnode.AsyncClient.keys, "-> AsyncIterator[Any]"),
        (kvnode.Pipeline.put, "-> Pending[Written]"),
        (kvnode.AsyncPipeline.get_many, "-> Pending[list[Any]]"),
    ],
)
def test_every_kind_of_client_shows_what_its_methods_return(of, shown: str) -> None:
    assert str(inspect.signature(of)).endswith(shown)
    assert shown in pydoc.plain(pydoc.render_doc(of))


def test_those_of_asyncio_are_coroutines() -> None:
    assert inspect.iscoroutinefunction(kvnode.AsyncClient.put)
    assert not inspect.iscoroutinefunction(kvnode.Client.put)
