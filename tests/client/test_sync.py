"""The client at a sound cluster: values, keys, and sessions that travel."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest

from kvnode import Client, Delayed, Dot, InvalidRequest
from kvnode.cli.cluster import until
from kvnode.codec.token import decode_token
from kvnode.core.limits import KEY_BYTES_MAX
from kvnode.core.vector import name_of

VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**64 - 1,
    -(2**63),
    1.5,
    -math.inf,
    "",
    "snowman \N{SNOWMAN}\0\n",
    b"",
    bytes(range(256)),
    [],
    [1, [2, [3, [None, "x", b"x"]]]],
    {},
    {"a": {"b": [1.5, {"c": None}]}},
    {1: "one", b"two": 2, None: 3, 1.5: 4},
    msgpack.Timestamp(1, 2),
    1000 * ["many"],
    bytes(3_000_000),
]


@pytest.fixture
def x(trio):
    with trio["X"].client() as client:
        yield client


@pytest.fixture
def z(trio):
    with trio["Z"].client() as client:
        yield client


@pytest.fixture
def set_links(trio):
    """Says whether what comes to Z shall pass or be held; in the end it passes."""

    def set_links(action):
        with trio["Z"].client() as client:
            for peer in "XY":
                client.fault(peer, "gossip", action)
                client.fault(peer, "repair", action)

    yield set_links
    set_links("pass")


@pytest.fixture
def heal(set_links):
    """Z hears nobody; called, it does again."""
    set_links("hold")
    return lambda: set_links("pass")


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_any_msgpack_value_comes_back_as_it_was(value, x):
    x.put("value", value)
    found = x.get("value", default="default")
    assert found == value and type(found) is type(value)


def test_nan_and_tuples_come_back_as_msgpack_has_them(x):
    x.put("value", (math.nan, (1, 2)))
    nan, inner = x.get("value")
    assert math.isnan(nan) and inner == [1, 2]


@pytest.mark.parametrize("key", ["k", "\N{SNOWMAN}", b"\xff\0", KEY_BYTES_MAX * "k"])
def test_a_key_is_its_bytes(key, x):
    x.put(key, "v")
    assert x.get(key.encode() if isinstance(key, str) else key) == "v"


def test_what_is_not_there_is_none_or_the_default(x):
    assert x.get("missing") is None
    assert x.get("missing", "default") == "default"
    assert x.get("missing", default=0) == 0
    assert x.read("missing") == ()


def test_none_is_a_value_like_others(x):
    x.put("none", None)
    assert x.get("none", "default") is None
    assert [version.value for version in x.read("none")] == [None]


def test_many_keys_are_read_at_once(x):
    x.put("many/1", 1)
    x.put("many/2", None)
    assert x.get_many(["many/2", "many/1", "many/0"], "absent") == [None, 1, "absent"]
    assert x.get_many([]) == []
    assert x.get_many(1024 * ["many/1"]) == 1024 * [1]
    with pytest.raises(InvalidRequest):
        x.get_many(1025 * ["many/1"])


def test_a_write_returns_its_dot_and_the_next_has_the_next(x):
    first, second, third = x.put("a", 1), x.put("b", 2), x.delete("a")
    assert isinstance(first, Dot) and name_of(first.origin) == "X"
    assert [dot.seq - first.seq for dot in (first, second, third)] == [0, 1, 2]


def test_a_deleted_key_is_gone_and_deleting_what_is_not_there_is_a_write_too(x):
    x.put("k", 1)
    x.delete("k")
    assert x.get("k", "gone") == "gone" and x.read("k") == ()
    assert x.delete("k").seq == x.delete("never was").seq - 1


def test_read_tells_the_write_that_put_a_version(x):
    dot = x.put("k", "v")
    (version,) = x.read("k")
    assert (version.value, version.dot) == ("v", dot)
    assert version.stamp_us > 1_700_000_000 * 1_000_000


def test_ping_and_status_tell_who_answers(x):
    assert x.ping() == "X" == x.status()["name"]


def test_a_closed_client_still_has_its_token(trio):
    with trio["X"].client() as client:
        assert client.token is None
        dot = client.put("k", "v")
    _, seen = decode_token(client.token)
    assert seen[dot.origin] >= dot.seq


def test_host_and_port_are_enough_of_an_address(trio):
    with Client(trio["X"].listen.removeprefix("tcp://")) as client:
        assert client.address == trio["X"].listen


# --- sessions


def test_a_session_reads_its_own_writes_at_every_node(trio):
    token = None
    for number in range(100):
        with trio["XYZ"[number % 3]].client(token) as client:
            assert client.get("counter", 0) == number
            client.put("counter", number + 1)
            token = client.token


def test_a_token_grows_by_what_its_session_sees(x, trio):
    before = x.put("one", 1)
    with trio["Y"].client(x.token) as y:
        after = y.put("two", 2)
        _, seen = decode_token(y.token)
    assert seen[before.origin] >= before.seq and seen[after.origin] >= after.seq


def test_a_token_merges_what_two_nodes_have_seen(x, heal, trio):
    mine = x.put("at X", 1)
    with trio["Z"].client() as z:
        theirs = z.put("at Z", 1)
        heal()
        with trio["Z"].client(x.token) as both:
            assert both.get("at X") == 1
            _, seen = decode_token(both.token)
    assert seen[mine.origin] >= mine.seq and seen[theirs.origin] >= theirs.seq


def test_a_node_that_is_behind_says_at_once_what_it_lacks(x, set_links, trio):
    local = until("all agree", trio.agree)["Z"]["vector"]
    set_links("hold")
    first, second = x.put("k", 1), x.put("k", 2)
    with trio["Z"].client(x.token) as z:
        with pytest.raises(Delayed) as raised:
            z.get("k", wait_s=0)
        assert z.token == x.token, "an error changes no token"
    delayed = raised.value
    assert delayed.incoming == decode_token(x.token)[1]
    assert delayed.local == local
    assert delayed.missing == [(first.origin, first.seq, second.seq)]
    assert delayed.reason == "the session is ahead of this node"
    assert f"{first.origin}:{first.seq}-{second.seq}" in str(delayed)


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_a_write_is_delayed_as_a_read_is_and_not_done(write, x, heal, trio):
    x.put("k", "new")
    with trio["Z"].client(x.token) as z, pytest.raises(Delayed):
        z.put("k", "lost", wait_s=0) if write else z.get("k", wait_s=0)
    heal()
    until("all agree", trio.agree)
    assert x.get("k") == "new"


def test_a_node_waits_so_long_and_then_says_what_it_lacks(x, heal, trio):
    dot = x.put("k", 1)
    with trio["Z"].client(x.token) as z, pytest.raises(Delayed, match="deadline passed") as raised:
        z.get("k", wait_s=0.2)
    assert (dot.origin, dot.seq) in [(origin, last) for origin, _, last in raised.value.missing]


def test_a_node_says_what_it_lacks_while_the_call_has_time_to_hear_it(x, heal, trio):
    x.put("k", 1)
    z = Client(trio["Z"].listen, timeout_s=3, wait_s=600, token=x.token)
    with z, pytest.raises(Delayed, match="deadline passed"):
        z.get("k")


def test_a_parked_request_is_answered_when_the_write_arrives(x, heal, trio):
    x.put("k", "awaited")
    with trio["Z"].client(x.token) as z, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(z.get, "k")
        until("it is parked", lambda: trio["Z"].status()["parked_requests"])
        assert not waiting.done()
        heal()
        assert waiting.result() == "awaited"


def test_a_parked_request_does_not_block_other_clients(x, z, heal, trio):
    x.put("k", "awaited")
    with trio["Z"].client(x.token) as behind, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(behind.get, "k")
        until("it is parked", lambda: z.status()["parked_requests"])
        z.put("meanwhile", 1)
        assert z.get("meanwhile") == 1 and not waiting.done()
        heal()
        waiting.result()


def test_concurrent_writes_are_both_read_with_the_later_first(x, z, heal, trio):
    x.put("colour", "red")
    z.put("colour", "blue")
    heal()
    until("all agree", trio.agree)
    versions = x.read("colour")
    assert sorted(version.value for version in versions) == ["blue", "red"]
    assert versions == z.read("colour") and x.get("colour") == versions[0].value
    x.put("colour", "green")
    assert [version.value for version in x.read("colour")] == ["green"]
