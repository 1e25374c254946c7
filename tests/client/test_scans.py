"""What a scan's words mean as a range, and iterators at a sound cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode import AsyncClient, Client, CutGone, InvalidRequest
from kvnode.cli.cluster import PATIENCE_S
from kvnode.client.scans import Range, range_of, successor
from kvnode.codec.answers import encode_answer
from kvnode.core.limits import KEY_BYTES_MAX
from tests.client.fake_node import FakeNode

# --- ranges


@pytest.mark.parametrize(
    ("prefix", "start", "end", "range_"),
    [
        ("", None, None, Range(None, None, True)),
        (b"", None, None, Range(None, None, False)),
        ("a", None, None, Range(b"a", b"b", True)),
        (b"a\xff\xff", None, None, Range(b"a\xff\xff", b"b", False)),
        (b"\xff\xff", None, None, Range(b"\xff\xff", None, False)),
        ("ä", None, None, Range("ä".encode(), b"\xc3\xa5", True)),
        ("", "b", "d", Range(b"b", b"d", True)),
        ("", b"b", None, Range(b"b", None, False)),
        (b"", "b", None, Range(b"b", None, True)),
        ("", "", "", Range(b"", b"", True)),
        ("a", "b", None, Range(b"b", b"b", True)),
        ("a", "ab", "ac", Range(b"ab", b"ac", True)),
        ("a", "A", "z", Range(b"a", b"b", True)),
        ("a", None, "A", Range(b"a", b"A", True)),
        ("\udcff", None, None, Range(b"\xff", None, True)),
    ],
)
def test_words_become_a_range(prefix: Any, start: Any, end: Any, range_: Range) -> None:
    assert range_of(prefix, start, end) == range_


@pytest.mark.parametrize(
    ("prefix", "start", "end"),
    [
        ("a", b"b", None),
        (b"a", None, "b"),
        ("", "a", b"b"),
        (5, None, None),
        (None, None, None),
        ("", 5, None),
        (["a"], None, None),
        ("a" * (KEY_BYTES_MAX + 1), None, None),
        ("", None, b"a" * (KEY_BYTES_MAX + 1)),
        ("\ud800", None, None),
    ],
)
def test_other_words_are_invalid(prefix: Any, start: Any, end: Any) -> None:
    with pytest.raises(InvalidRequest):
        range_of(prefix, start, end)


@given(st.binary(min_size=1, max_size=4), st.binary(max_size=5))
def test_the_successor_of_a_prefix_is_after_all_that_start_so_and_before_all_others(
    prefix: bytes, other: bytes
) -> None:
    following = successor(prefix)
    in_range = prefix <= other and (following is None or other < following)
    assert in_range == other.startswith(prefix)


@given(st.binary(min_size=1))
def test_any_key_comes_back_as_a_string_that_is_taken_back_as_that_key(key: bytes) -> None:
    as_text = Range(None, None, is_text=True).key(key)
    assert isinstance(as_text, str)
    assert range_of("", as_text, None).start == key[:KEY_BYTES_MAX]
    assert Range(None, None, is_text=False).key(key) == key


# --- at a node


@pytest.fixture(scope="module")
def x(trio):
    with trio["X"].client() as client:
        client.put_many({f"scan/{at:02}": at for at in range(50)})
        yield client


def test_keys_come_in_order_and_with_their_values(x):
    assert list(x.scan("scan/")) == [(f"scan/{at:02}", at) for at in range(50)]
    assert list(x.keys("scan/", reverse=True)) == [f"scan/{at:02}" for at in range(49, -1, -1)]
    assert x.count("scan/") == 50


@pytest.mark.parametrize("page", [1, 7, 50, 1000])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_is_the_same_whatever_its_pages(x, page, reverse):
    found = list(x.keys("scan/", page=page, reverse=reverse))
    assert found == sorted(x.keys("scan/"), reverse=reverse) and len(found) == 50


@pytest.mark.parametrize("limit", [1, 7, 8, 49, 50, 51])
def test_no_more_come_than_the_limit(x, limit):
    assert len(list(x.scan("scan/", limit=limit, page=7))) == min(limit, 50)
    last = list(x.keys("scan/", limit=limit, page=7, reverse=True))[-1]
    assert last == f"scan/{max(0, 50 - limit):02}"


def test_start_and_end_narrow_the_prefix(x):
    assert list(x.keys("scan/", start="scan/10", end="scan/13")) == [
        "scan/10",
        "scan/11",
        "scan/12",
    ]
    assert x.count("scan/", start="scan/48", end="zzz") == 2
    assert list(x.scan("scan/", end="a")) == []


def test_keys_of_bytes_come_as_bytes_and_those_that_are_no_text_are_taken_back(x):
    x.put_many({b"raw/\xff\xfe": 1, "raw/ä": 2})
    assert list(x.keys(b"raw/")) == ["raw/ä".encode(), b"raw/\xff\xfe"]
    texts = list(x.keys("raw/"))
    assert texts == ["raw/ä", "raw/\udcff\udcfe"]
    assert [x.get(text) for text in texts] == [2, 1]
    x.delete_many(texts)
    assert list(x.keys("raw/")) == []


def test_kvnodes_own_keys_do_not_show(x):
    assert not any(key.startswith("\0kvnode/") for key, _ in x.scan())
    assert x.count("\0kvnode/") == 0 and list(x.keys("\0kvnode/member/")) == []


def test_all_pages_show_one_moment_though_the_session_writes_on(x):
    x.put_many({f"moment/{at}": "before" for at in range(9)})
    scanned = x.scan("moment/", page=2)
    found = [next(scanned), next(scanned)]
    x.put_many({f"moment/{at}": "after" for at in range(0, 9, 2)} | {"moment/99": "after"})
    x.delete("moment/5")
    found += scanned
    assert found == [(f"moment/{at}", "before") for at in range(9)]
    assert x.count("moment/") == 9 and dict(x.scan("moment/"))["moment/8"] == "after"


def test_siblings_show_as_their_winner(trio, x):
    with trio["Y"].client() as y:
        for peer in "XZ":
            y.fault(peer, "gossip", "hold")
            y.fault(peer, "repair", "hold")
        x.put("siblings", "x")
        y.put("siblings", "y")
        for peer in "XZ":
            y.fault(peer, "gossip", "pass")
            y.fault(peer, "repair", "pass")
    with Client(trio["X"].listen, token=y.token, wait_s=PATIENCE_S) as both:
        winner = both.read("siblings")[0].value
        assert len(both.read("siblings")) == 2
        assert list(both.scan("siblings")) == [("siblings", winner)]


def test_nothing_is_asked_before_the_first_is_wanted_but_mistakes_are_told_at_once(x):
    x.delete("lazy")
    scanned = x.keys("lazy")
    x.put("lazy", 1)
    assert list(scanned) == ["lazy"]
    with pytest.raises(InvalidRequest):
        x.keys("lazy", limit=-1)


def test_a_scan_waits_for_what_its_session_has_seen(trio, x):
    x.put("scan-session", 1)
    with Client(trio["Z"].listen, token=x.token, wait_s=PATIENCE_S) as z:
        assert list(z.keys("scan-session")) == ["scan-session"]


def test_a_count_goes_into_a_pipeline(x):
    with x.pipeline() as pipeline:
        pipeline.put("piped/1", 1)
        counted = pipeline.count("piped/")
    assert counted.result() == 1


def test_the_asyncio_client_scans_likewise(trio, x):
    async def play():
        async with AsyncClient(trio["X"].listen, token=x.token) as client:
            keys = [key async for key in client.keys("scan/", page=7)]
            pairs = [pair async for pair in client.scan("scan/", reverse=True, limit=20, page=7)]
            counts = await asyncio.gather(*(client.count("scan/") for _ in range(9)))
        return keys, pairs, counts

    keys, pairs, counts = asyncio.run(play())
    assert keys == list(x.keys("scan/"))
    assert pairs == list(x.scan("scan/", reverse=True, limit=20))
    assert counts == [50] * 9


# --- when the node has let go of what it showed


def gone_after_one_page(asked):
    (operation,) = asked.operations
    page = ("ok", 9, [b"a"], b"b")
    gone = ("error", "cut_gone", "begin the scan anew", False)
    return [encode_answer(asked.id, None, [gone if operation.cut else page])]


def test_a_cut_that_is_gone_is_told_where_the_page_is_asked_for():
    with FakeNode(gone_after_one_page) as node, Client(node.listen, timeout_s=PATIENCE_S) as client:
        keys = client.keys()
        assert next(keys) == "a"
        with pytest.raises(CutGone, match="anew"):
            next(keys)
