"""Whatever is given to a client that can't be: an error of ours tells what should be there."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from kvnode import AsyncClient, Client, InvalidRequest, KvnodeError
from kvnode.client import arguments
from kvnode.client.calls import Calls

NO_TIMEOUTS = [
    *(None, 0, -3, "5", b"5", True, math.nan, math.inf, -math.inf),
    *(10**12, 86_401, [5], Decimal(5), timedelta(seconds=5)),
]


@pytest.mark.parametrize("value", NO_TIMEOUTS, ids=lambda value: f"{type(value).__name__}")
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_timeout_is_refused_when_the_client_is_made(kind, value):
    expected = "timeout_s must be a number of seconds from 0.001 to 86400; not "
    with pytest.raises(InvalidRequest, match=expected):
        kind(timeout_s=value)
    if value not in (0, None):
        with pytest.raises(
            InvalidRequest, match="wait_s must be a number of seconds from 0 to 600"
        ):
            kind(wait_s=value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"token": 5}, "session token"),
        ({"token": "no token"}, "session token"),
        ({"retry_writes": "yes"}, "retry_writes must be True or False; not 'yes'"),
        ({"retry_writes": None}, "retry_writes must be True or False"),
        ({"resolver": "max"}, "resolver must be a function .*; not 'max'"),
    ],
)
def test_what_else_can_be_no_client_is_refused_when_it_is_made(kind, given, expected):
    with pytest.raises(InvalidRequest, match=expected):
        kind("127.0.0.1:1", **given)


def test_what_is_set_later_is_looked_at_with_the_next_call():
    with Client("127.0.0.1:1") as client:
        client.timeout_s = "5"
        with pytest.raises(InvalidRequest, match="timeout_s must be"):
            client.get("k")


@pytest.mark.parametrize("value", [0.001, 1, 86_400, 2.5])
def test_what_is_a_timeout_is_taken(value):
    assert arguments.timeout_s(value) == value


@pytest.mark.parametrize("value", [0, 11, True, "1", 1.0, None, 10**12])
def test_a_number_out_of_bounds_is_told_with_these(value):
    with pytest.raises(InvalidRequest, match="page must be an integer from 1 to 10"):
        arguments.count(value, 1, 10, "page")


# --- every argument of every call

#: What is sound for each argument that a call must have.
SOUND = {
    "key": "k",
    "value": 1,
    "items": {"k": 1},
    "keys": ["k"],
    "ttl_s": 1,
    "name": "X",
    "peer": "X",
    "channel": "gossip",
    "action": "hold",
}

#: Of no use to most arguments.
STRANGE = [5.5, object(), {"a": object()}, "\ud800", [object()], -1, math.nan, 10**5000, [[]], b""]


def arguments_of_calls():
    """Each argument of each call, with what must be there beside it."""
    for name, method in inspect.getmembers(Calls, inspect.isfunction):
        if not name.startswith("_"):
            parameters = list(inspect.signature(method).parameters.values())[1:]
            needed = {it.name: SOUND[it.name] for it in parameters if it.default is it.empty}
            for it in parameters:
                beside = {"replicas": 1} if it.name == "timeout_s" else {}
                yield pytest.param(name, needed | beside, it.name, id=f"{name}-{it.name}")


@pytest.fixture(scope="module")
def client(trio):
    with trio["X"].client() as client:
        yield client


def made(call):
    """What comes of it, all of it."""
    result = call()
    return list(result) if isinstance(result, Iterator) else result


@pytest.mark.parametrize(("name", "beside", "argument"), list(arguments_of_calls()))
def test_whatever_an_argument_is_no_error_is_of_others(name, beside, argument, client):
    """Not one of msgpack, of a socket, or of Python's arithmetic."""
    method, is_refused = getattr(client, name), False
    for value in STRANGE:
        try:
            made(lambda value=value: method(**beside | {argument: value}))
        except InvalidRequest:
            is_refused = True
        except KvnodeError:
            pass  # some take some of these
    assert is_refused or argument == "default"


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.watch(5),
        lambda it: it.watch("a", since=5),
        lambda it: it.watch().poll("1"),
        lambda it: it.watch().poll(-1),
        lambda it: it.watch().poll(math.nan),
        lambda it: it.session(5),
        lambda it: it.session("no token"),
        lambda it: it.mapping(5),
        lambda it: it.mapping("a")[5],
        lambda it: 5 in it.mapping("a"),
        lambda it: it.mapping("a").update({b"k": 1}),
        lambda it: it.mapping(b"a")["k"],
        lambda it: it.pipeline(wait_s="1"),
        lambda it: it.pipeline(replicas="1"),
        lambda it: it.pipeline(timeout_s=1),
        lambda it: it.pipeline(replicas=2, timeout_s="1"),
        lambda it: it.touch("k", None),
        lambda it: it.put("k", 1, timeout_s=1),
        lambda it: it.put("k", 1, if_absent=["k"]),
        lambda it: it.get_many(None),
        lambda it: it.get_many(5),
    ],
)
def test_what_has_arguments_beside_calls_refuses_them_too(call, client):
    with pytest.raises(InvalidRequest):
        call(client)


def test_asyncio_refuses_the_same(trio):
    async def refused():
        async with AsyncClient(trio["X"].listen) as client:
            for call in (
                lambda: client.get("k", wait_s="5"),
                lambda: client.put("k", 1, replicas=2, timeout_s="5"),
                lambda: client.watch().poll("1"),
                lambda: client.members(5),
            ):
                with pytest.raises(InvalidRequest):
                    await call()

    asyncio.run(refused())
