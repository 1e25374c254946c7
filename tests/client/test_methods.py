"""A method looks to a person as the call that it makes."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import AsyncIterator, Iterator
from types import FunctionType
from typing import Any, get_type_hints

import pytest

import kvnode
from kvnode.client.call import Call
from kvnode.client.calls import Calls
from kvnode.client.mapping import KeyMapping
from kvnode.client.methods import as_method
from kvnode.codec.token import encode_token


class Own:
    def call(self, key: str, *, wait_s: float | None = None) -> Call[int | None]:
        """What it does."""


class Client:
    def _method(self, *arguments, **named):
        return arguments, named

    method = as_method(_method, Own.call)


def test_it_has_the_name_the_words_and_the_signature_of_its_call() -> None:
    assert Client.method.__name__ == "call" and Client.method.__doc__ == "What it does."
    assert list(inspect.signature(Client.method).parameters) == ["self", "key", "wait_s"]
    assert list(inspect.signature(Client().method).parameters) == ["key", "wait_s"]
    assert Client().method("k", wait_s=1) == (("k",), {"wait_s": 1})


def test_it_shows_what_it_returns_itself() -> None:
    shown = "(key: str, *, wait_s: float | None = None) -> int | None"
    assert str(inspect.signature(Client().method)) == shown
    assert str(inspect.signature(Own().call)).endswith("-> 'Call[int | None]'"), "that of the call"


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


def test_no_public_method_shows_a_call() -> None:
    for kind in (kvnode.Client, kvnode.AsyncClient, kvnode.Pipeline, kvnode.AsyncPipeline):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            assert name.startswith("_") or "Call[" not in str(inspect.signature(method)), name


#: Made by clients alone, whose module knows theirs only while types are checked.
MADE_BY_CLIENTS = {
    *(kvnode.Pipeline, kvnode.AsyncPipeline, kvnode.Watch, kvnode.AsyncWatch, KeyMapping),
}


def public_functions() -> Iterator[tuple[str, FunctionType]]:
    """All that a program may call, and how it makes what it may make."""
    for of in (*(getattr(kvnode, name) for name in kvnode.__all__), KeyMapping):
        if inspect.isfunction(of):
            yield of.__name__, of
        elif inspect.isclass(of):
            for name, member in inspect.getmembers(of):
                is_public = not name.startswith("_")
                is_maker = name == "__init__" and of not in MADE_BY_CLIENTS
                method = member.fget if isinstance(member, property) else member
                if (is_public or is_maker) and inspect.isfunction(method):
                    yield f"{of.__name__}.{name}", method


def test_programs_can_read_the_types_of_all_that_they_may_call() -> None:
    found = {name: get_type_hints(function) for name, function in public_functions()}
    assert found["Client.scan"]["return"] == Iterator[tuple[Any, Any]]
    assert found["AsyncClient.keys"]["return"] == AsyncIterator[Any]
    assert found["Pipeline.put"]["return"] == kvnode.Pending[kvnode.Written]
    assert found["Client.put"]["return"] == kvnode.Written
    assert found["ClientSession.token"]["return"] == bytes | None
    assert len(found) > 100


def test_those_of_asyncio_are_coroutines() -> None:
    assert inspect.iscoroutinefunction(kvnode.AsyncClient.put)
    assert not inspect.iscoroutinefunction(kvnode.Client.put)


# --- what people see


def public(of: object) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")}


def test_completion_offers_what_is_for_users_alone() -> None:
    calls = public(Calls)
    own = {"address", "close", "pipeline", "session", "token", "watch"}
    settings = {"timeout_s", "wait_s", "retry_writes"}
    with kvnode.Client("127.0.0.1:1") as client:
        assert public(client) == calls | own | settings | {"mapping"}
        assert public(kvnode.AsyncClient("127.0.0.1:1")) == calls | own | settings
        assert public(client.session()) == public(client) - {"session"}
        assert public(client.pipeline()) < calls | {"results"}
        assert public(client.watch(since=encode_token("c", {}))) == {"close", "poll", "token"}
        assert public(client.mapping("a")) == public(dict) - {"copy", "fromkeys"}
    assert public(kvnode.Pending) == {"is_settled", "result"}


def test_each_kind_tells_where_it_is_and_what_it_follows() -> None:
    here = "tcp://127.0.0.1:1"
    since = encode_token("c", {})
    with kvnode.Client(here) as client, kvnode.Client(here, "localhost:2") as other:
        assert repr(client) == f"<Client at {here}>"
        assert repr(other) == f"<Client at {here}, one of 2 nodes>"
        assert repr(client.session()) == f"<ClientSession at {here}>"
        assert repr(client.watch("a/", since=since)) == f"<Watch of keys with 'a/' at {here}>"
        assert repr(client.watch(since=since)) == f"<Watch of all keys at {here}>"
        assert repr(client.mapping("a/")) == f"<keys with 'a/' at {here}>"
        assert repr(client.pipeline()) == f"<Pipeline at {here}: not begun, operations: 0>"
        assert f"scan('a/', limit=2) at {here} " in repr(client.scan("a/", limit=2))
    many = kvnode.AsyncClient(here)
    assert repr(many) == f"<AsyncClient at {here}>"
    assert repr(many.session()) == f"<AsyncClientSession at {here}>"
    assert repr(many.watch("a/", since=since)) == f"<AsyncWatch of keys with 'a/' at {here}>"
    assert f"keys() at {here} " in repr(many.keys())
    assert repr(kvnode.Pending()) == "<Pending: not sent yet>"
