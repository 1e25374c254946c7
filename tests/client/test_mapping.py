"""A mapping is a dictionary: the same is done to both, and the same must come of it."""

from __future__ import annotations

from collections.abc import MutableMapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode import InvalidRequest

keys = st.sampled_from(["", "a", "b", "b/c", "ä", "\udcff"])
values = st.none() | st.integers(0, 9) | st.text(max_size=3)
steps = st.one_of(
    st.tuples(st.just("__setitem__"), keys, values),
    st.tuples(st.just("__getitem__"), keys),
    st.tuples(st.just("__delitem__"), keys),
    st.tuples(st.just("__contains__"), keys),
    st.tuples(st.just("get"), keys, values),
    st.tuples(st.just("pop"), keys),
    st.tuples(st.just("pop"), keys, values),
    st.tuples(st.just("setdefault"), keys, values),
    st.tuples(st.just("update"), st.dictionaries(keys, values)),
    st.tuples(st.just("clear")),
    st.tuples(st.just("__len__")),
)


@pytest.fixture(scope="module")
def client(trio):
    with trio["X"].client() as client:
        client.put_many({"before": 1, "m": 1, "m0": 1, "n": 1})
        yield client


@pytest.fixture
def mapping(client):
    mapping = client.mapping("m/")
    mapping.clear()
    return mapping


def done(mapping, step):
    name, *arguments = step
    try:
        return getattr(mapping, name)(*arguments)
    except KeyError as error:
        return error.args


@given(st.lists(steps, max_size=6))
def test_what_comes_of_a_mapping_comes_of_a_dictionary(client, taken) -> None:
    mapping, plain = client.mapping("m/"), {}
    mapping.clear()
    for step in taken:
        assert done(mapping, step) == done(plain, step), step
    assert dict(mapping.items()) == plain == mapping
    assert sorted(mapping.values(), key=repr) == sorted(plain.values(), key=repr)
    assert list(mapping) == sorted(plain, key=lambda key: key.encode("utf-8", "surrogateescape"))
    assert client.get_many(["before", "m", "m0", "n"]) == [1, 1, 1, 1], "others stay"


def test_it_is_a_mutable_mapping_of_the_type_of_its_prefix(client, mapping):
    assert isinstance(mapping, MutableMapping)
    mapping["a"] = 1
    assert list(client.mapping(b"m/")) == [b"a"]
    assert client.mapping(b"m/")[b"a"] == 1
    assert repr(mapping) == f"<keys with 'm/' at {client.address}>"


def test_popitem_takes_the_first_until_there_is_none(mapping):
    mapping.update({"b": 2, "a": 1})
    assert [mapping.popitem(), mapping.popitem()] == [("a", 1), ("b", 2)]
    with pytest.raises(KeyError):
        mapping.popitem()


def test_many_keys_are_cleared(client, mapping):
    mapping.update({f"{at:05}": at for at in range(2_500)})
    assert len(mapping) == 2_500
    mapping.clear()
    assert len(mapping) == 0 and client.get("n") == 1


def test_what_somebody_writes_in_between_is_what_pop_gives(trio, mapping):
    mapping["a"] = 1
    read, others = mapping._client.read, ["first", "second"]

    def meddled(key):
        seen = read(key)
        if others:
            with trio["X"].client() as other:
                other.put(key, others.pop(0))
        return seen

    mapping._client.read = meddled
    try:
        assert mapping.pop("a") == "second"
    finally:
        del mapping._client.read
    assert "a" not in mapping


def test_a_key_that_no_node_takes_is_refused(client, mapping):
    with pytest.raises(InvalidRequest):
        mapping["k" * 5000] = 1
    with pytest.raises(InvalidRequest):
        mapping[7] = 1
