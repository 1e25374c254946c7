"""Values: what was put comes back, or is refused; and what can't be read hides nothing else."""

from __future__ import annotations

import asyncio
import collections
import datetime
import enum
import pickle

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode import AsyncClient, InvalidRequest, UnreadableValue
from kvnode.client.values import packed_value, readable, unpacked_value
from kvnode.codec import client as ask
from tests.daemon.raw import Raw


def nested(levels, innermost=None, hull=lambda inner: [inner]):
    value = innermost
    for _ in range(levels):
        value = hull(value)
    return value


class Number(enum.IntEnum):
    ONE = 1


class Color(str, enum.Enum):  # noqa: UP042  # as StrEnum it would be its own text
    RED = "red"


class Text(str):
    def __str__(self):
        return "something else"


class Hashable(dict):
    def __hash__(self):
        return 1


Point = collections.namedtuple("Point", "x y")

REFUSED = {
    "a tuple as key": ({(1, 2): "a"}, "a list or a map as a key"),
    "an empty tuple as key": ({(): 1}, "a list or a map as a key"),
    "a tuple as key deep inside": ([{"a": {("x",): 1}}], "a list or a map as a key"),
    "a tuple in a key": ({((1, 2), 3): 0}, "a list or a map as a key"),
    "a named tuple as key": ({Point(1, 2): 0}, "a list or a map as a key"),
    "a map as key": ({Hashable(): 0}, "a list or a map as a key"),
    "an empty list too deep": (nested(1024, []), "nested too deep"),
    "an empty map too deep": (nested(1024, {}), "nested too deep"),
    "lists too deep": (nested(1024), "nested too deep"),
    "maps too deep": (nested(1024, 1, lambda inner: {"a": inner}), "nested too deep"),
    "tuples too deep": (nested(1024, (), lambda inner: (inner,)), "nested too deep"),
    "a date": (datetime.date(2026, 1, 1), r"isoformat\(\)"),
    "a time": (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), r"timestamp\(\)"),
    "a set": ({1}, "'set'"),
    "an object": (object(), "'object'"),
    "half a character": (["\ud800"], "no Unicode text"),
    "a number too large": (1 << 64, "too large"),
}

#: What is put, and what comes back.
KEPT = {
    "a tuple": ((1, (2, ())), [1, [2, []]]),
    "a named tuple": (Point(1, 2), [1, 2]),
    "an enumeration of numbers": ({Number.ONE: Number.ONE}, {1: 1}),
    "an enumeration of strings": ({Color.RED: Color.RED}, {"red": "red"}),
    "a string of another class": (Text("text"), "text"),
    "a map of another class": (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    "a counter": (collections.Counter("aa"), {"a": 2}),
    "a byte array": (bytearray(b"a"), b"a"),
    "a view of bytes": ({"v": memoryview(b"ab")}, {"v": b"ab"}),
    "true as key": ({True: 1, 2: False}, {True: 1, 2: False}),
    "keys of many kinds": (
        {None: 1, 1.5: 2, b"b": 3, msgpack.Timestamp(1, 2): 4, msgpack.ExtType(5, b"x"): 5},
    )
    * 2,
    "a time of msgpack": (msgpack.Timestamp(1, 2),) * 2,
    "an extension": (msgpack.ExtType(5, b"x"),) * 2,
    "the greatest numbers": ([2**64 - 1, -(2**63)],) * 2,
}

#: What no client of this package puts; a node takes it from any other.
UNREADABLE = {
    "a list as key": (b"\x81\x90\x01", "a list or a map as a key"),
    "a map as key": (b"\x81\x80\x01", "a list or a map as a key"),
    "too deep": (1024 * b"\x91" + b"\x90", "nested too deep"),
    "no text": (b"\xa1\xff", "no Unicode text"),
    "no format": (b"\xc1", "no msgpack"),
    "half of a list": (b"\x92\x01", "incomplete"),
    "two values": (b"\x01\x02", "extra data"),
    "nothing": (b"", "incomplete"),
    "an extension of nobody": (b"\xd4\xfe\x00", "code must be"),
    "a time that is none": (b"\xd4\xff\x00", "timestamp"),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_be_read_again_is_refused_by_the_name_of_its_key(value, reason):
    with pytest.raises(InvalidRequest, match=f"the value of 'a/1' can't be stored: .*{reason}"):
        packed_value(value, "a/1")


@pytest.mark.parametrize(("value", "comes_back"), KEPT.values(), ids=KEPT)
def test_what_is_packed_comes_back_as_plain_types(value, comes_back):
    assert unpacked_value(packed_value(value), "k") == comes_back


@pytest.mark.parametrize("innermost", [None, [], {}, ()], ids=repr)
def test_what_is_nested_as_deep_as_can_be_comes_back(innermost):
    packed = packed_value(nested(1023, innermost))
    assert packed == 1023 * b"\x91" + msgpack.packb(innermost)
    assert packed_value(unpacked_value(packed, "k")) == packed, "it is too deep for Python's =="


def shown(value):
    """With the types, in which 1, True and 1.0 differ."""
    if isinstance(value, dict):
        return {repr(key): shown(it) for key, it in value.items()}
    return [shown(it) for it in value] if isinstance(value, list) else repr(value)


plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)


@given(
    st.recursive(
        plain, lambda inner: st.lists(inner) | st.dictionaries(plain, inner), max_leaves=20
    )
)
def test_plain_types_come_back_as_they_were(value):
    assert shown(unpacked_value(packed_value(value), "k")) == shown(value)


tuples = st.recursive(plain, lambda inner: st.tuples(inner, inner) | st.tuples(), max_leaves=5)


@given(
    st.recursive(
        plain | tuples,
        lambda inner: st.lists(inner) | st.dictionaries(plain | tuples, inner),
        max_leaves=20,
    )
)
def test_whatever_is_packed_can_be_unpacked(value):
    try:
        packed = packed_value(value)
    except InvalidRequest:
        return
    assert not isinstance(unpacked_value(packed, "k"), UnreadableValue)


@given(st.binary(max_size=20))
def test_any_bytes_are_a_value_or_an_unreadable_one(packed):
    value = unpacked_value(packed, b"k")
    assert not isinstance(value, UnreadableValue) or value.packed == packed


@pytest.mark.parametrize(("packed", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_can_not_be_read_tells_its_key_its_bytes_and_why(packed, reason):
    value = unpacked_value(packed, "a/1")
    assert isinstance(value, UnreadableValue) and (value.key, value.packed) == ("a/1", packed)
    with pytest.raises(UnreadableValue, match=f"the value of 'a/1' can't be read: .*{reason}"):
        readable(value)
    copy = pickle.loads(pickle.dumps(value))
    assert (copy.key, copy.packed, str(copy)) == (value.key, value.packed, str(value))


# --- at a node


@pytest.fixture
def client(trio):
    with trio["X"].client() as client:
        yield client


@pytest.mark.parametrize(
    "put",
    [
        lambda client, value: client.put("r/1", value),
        lambda client, value: client.put("r/1", value, if_version=()),
        lambda client, value: client.put_many({"r/0": 0, "r/1": value}),
        lambda client, value: client.transact(puts={"r/1": value}, reads=["r/0"]),
        lambda client, value: client.pipeline().__enter__().put("r/1", value),
        lambda client, value: client.pipeline().__enter__().put_many({"r/1": value}),
        lambda client, value: client.mapping("r/").__setitem__("1", value),
        lambda client, value: client.mapping("r/").update({"1": value}),
        lambda client, value: client.mapping("r/").setdefault("1", value),
    ],
    ids=["put", "if", "put_many", "transact", "pipeline", "many", "mapping", "update", "default"],
)
def test_every_way_in_refuses_it_and_writes_nothing(put, client):
    client.delete_many(["r/0", "r/1"])
    with pytest.raises(InvalidRequest, match="the value of 'r/1'"):
        put(client, {(): 1})
    assert client.get_many(["r/0", "r/1"]) == [None, None]


UNREAD, _ = UNREADABLE["a list as key"]


@pytest.fixture
def unread(trio, client):
    """Another client has put what this one can't read, between what it can."""
    client.put_many({"u/0": 0, "u/2": 2})
    with Raw(trio["X"]) as other:
        assert other.ask(ask.put(b"u/1", UNREAD)).results[0][0] == "ok"
    yield
    client.mapping("u/").clear()


def is_unread(value, key="u/1"):
    return isinstance(value, UnreadableValue) and (value.key, value.packed) == (key, UNREAD)


@pytest.mark.usefixtures("unread")
def test_one_value_that_can_not_be_read_is_raised_by_its_key(client):
    for get in (lambda: client.get("u/1", "default"), lambda: client.mapping("u/")["1"]):
        with pytest.raises(UnreadableValue, match="'u/1'") as raised:
            get()
        assert is_unread(raised.value)


@pytest.mark.usefixtures("unread")
def test_among_others_it_stands_in_its_place_and_hides_none(client):
    for zero, one, two in (
        client.get_many(["u/0", "u/1", "u/2"]),
        client.transact(puts={"other": 1}, reads=["u/0", "u/1", "u/2"]).values,
        [value for _, value in client.scan("u/")],
        [value for _, value in client.scan("u/", page=1)],
        [entry.version.value for entry in client.entries("u/")],
        list(client.mapping("u/").values()),
    ):
        assert (zero, two) == (0, 2) and is_unread(one)
    assert list(client.keys("u/")) == ["u/0", "u/1", "u/2"] and client.count("u/") == 3
    (version,) = client.read("u/1")
    assert is_unread(version.value) and version.dot.seq
    assert is_unread(dict(client.scan(b"u/"))[b"u/1"], b"u/1")


@pytest.mark.usefixtures("unread")
def test_in_a_pipeline_it_is_the_outcome_of_its_own_operation(client):
    with client.pipeline() as pipeline:
        zero, one, many = pipeline.get("u/0"), pipeline.get("u/1"), pipeline.get_many(["u/1"])
    assert zero.result() == 0 and is_unread(many.result()[0])
    with pytest.raises(UnreadableValue):
        one.result()


def test_in_a_watch_it_is_the_value_of_its_own_change(client, request):
    with client.watch("u/") as watch:
        request.getfixturevalue("unread")
        values = [next(watch).value for _ in range(3)]
    assert values[:2] == [0, 2] and is_unread(values[2])


@pytest.mark.usefixtures("unread")
def test_asyncio_has_it_in_the_same_places(trio):
    async def read():
        async with AsyncClient(trio["X"].listen) as client:
            with pytest.raises(InvalidRequest, match="'u/1'"):
                await client.put("u/1", {(): 1})
            with pytest.raises(UnreadableValue, match="'u/1'"):
                await client.get("u/1")
            return dict([item async for item in client.scan("u/")])

    zero, one, two = asyncio.run(read()).values()
    assert (zero, two) == (0, 2) and is_unread(one)


def repaired(packed):
    return msgpack.unpackb(packed, strict_map_key=False, use_list=False)[()]


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    "repair",
    [
        lambda client: client.put("u/1", 1),
        lambda client: client.put("u/1", 1, if_version=client.read("u/1")),
        lambda client: client.mapping("u/").__setitem__("1", 1),
        lambda client: client.put("u/1", repaired(client.read("u/1")[0].value.packed)),
    ],
    ids=["put", "if", "mapping", "by its bytes"],
)
def test_it_can_be_overwritten(repair, client):
    repair(client)
    assert dict(client.scan("u/")) == {"u/0": 0, "u/1": 1, "u/2": 2}


@pytest.mark.usefixtures("unread")
def test_a_dictionary_has_its_key_and_gives_it_to_nobody_but_del(client):
    mapping = client.mapping("u/")
    assert "1" in mapping and list(mapping) == ["0", "1", "2"]
    for take in (lambda: mapping.pop("1"), lambda: mapping.setdefault("1", 0)):
        with pytest.raises(UnreadableValue):
            take()
    assert mapping.popitem() == ("0", 0)
    with pytest.raises(UnreadableValue, match="'u/1'"):
        mapping.popitem()
    del mapping["1"]
    assert dict(mapping) == {"2": 2}


def test_it_can_not_be_put_back_as_if_it_were_a_value(client):
    with pytest.raises(InvalidRequest, match="'UnreadableValue"):
        client.put("copy", UnreadableValue("u/1", UNREAD, "why"))
