"""What a node answers to who pulls from it: as much as was asked for."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import decode_batch
from kvnode.codec.packing import pack, unpack
from kvnode.codec.pieces import decode_piece
from kvnode.codec.server import Since, Snapshot
from kvnode.codec.snapshots import decode_chunk
from kvnode.core.limits import MIB
from kvnode.core.pieces import Pieces
from kvnode.daemon.serving import fetched, pulled
from kvnode.daemon.snapshots import SNAPSHOT_IDLE_US
from kvnode.errors import StorageError
from tests.daemon.recorded import Recorded

LARGE = "v" * 10_000


@pytest.fixture
def node():
    node = Recorded()
    node.turn(node.put("a", LARGE))
    return node


def in_pieces(node, ask, pieces=None):
    """Ask on until all is there: what has come, and how many answers that took."""
    pieces = pieces or Pieces()
    for answers in range(1, 1000):
        piece = decode_piece(unpack(pack(ask(tuple(pieces.begun)))))
        is_news, whole = pieces.take(piece, 0)
        assert is_news, "nothing comes twice"
        if whole is not None:
            return whole, answers
    raise AssertionError("it never comes")


def since(node, bytes_max, vector=None):
    return lambda begun: pulled(node.node, Since(vector or {}, bytes_max, begun), node.now_us)


def test_what_fits_comes_at_once(node):
    node.turn(node.put("b", "2"))
    status, batches = pulled(node.node, Since({}, MIB), node.now_us)
    assert (status, [decode_batch(it).first for it in batches]) == ("ok", [1, 2])
    assert pulled(node.node, Since(dict(node.node.vector), 1), node.now_us) == ("ok", [])


def test_a_batch_that_does_not_fit_comes_in_pieces_and_is_read_once(node, monkeypatch):
    reads = []
    monkeypatch.setattr(
        node.node,
        "since",
        lambda *asked, real=node.node.since: (reads.append(asked), real(*asked))[1],
    )
    whole, answers = in_pieces(node, since(node, 1000))
    assert decode_batch(whole).first == 1
    assert (answers, len(reads)) == (11, 1)


def test_another_node_that_has_it_goes_on_with_it(node):
    other = Recorded()
    other.turn(batches=(decode_batch(node.node.since({}, 1)[0]),))
    pieces = Pieces()
    ask = since(node, 6000)
    pieces.take(decode_piece(list(ask(()))), 0)
    whole, answers = in_pieces(other, since(other, 6000), pieces)
    assert decode_batch(whole).first == 1 and answers == 1


def test_what_came_otherwise_meanwhile_is_not_sent_on(node):
    piece = decode_piece(list(since(node, 1000)(())))
    node.turn(node.put("b", "2"))
    begun = ((piece.digest, 1000),)
    status, batches = pulled(node.node, Since({node.origins[0]: 1}, MIB, begun), node.now_us)
    assert (status, [decode_batch(it).first for it in batches]) == ("ok", [2])


def test_a_store_that_does_not_answer_sends_nothing_on(node):
    piece = decode_piece(list(since(node, 1000)(())))
    node.gone = True
    node.disk.fail_next_commit = False
    node.turn(node.put("b", "2"))
    assert not node.node.health.serving
    with pytest.raises(StorageError):
        pulled(node.node, Since({}, 1000, ((piece.digest, 1000),)), node.now_us)


def fetch(node, bytes_max, number=None, after=b""):
    asked = lambda begun: Snapshot(number, after, bytes_max, begun)  # noqa: E731
    return lambda begun: fetched(node.node, asked(begun), node.now_us)


def test_a_snapshot_comes_in_parts_of_the_size_that_is_asked_for(node):
    for key in "bcd":
        node.turn(node.put(key, "v" * 300))
    number, after, keys = None, b"", []
    while after is not None:
        result = fetch(node, 700, number, after)(())
        if result[0] == "piece":
            whole, _ = in_pieces(node, fetch(node, 700, number, after))
            result = unpack(whole)
        chunk = decode_chunk("X", unpack(pack(result)))
        number, after = chunk.number, chunk.next
        keys.append(list(chunk.table))
    assert [it for it in keys if it] == [[b"a"], [b"b", b"c"], [b"d"]]


def test_a_record_that_does_not_fit_comes_in_pieces_and_its_snapshot_is_kept(node):
    origins = decode_chunk("X", list(fetch(node, MIB)(())))
    ask = fetch(node, 1000, origins.number, origins.next)
    pieces = Pieces()
    for _ in range(20):
        piece = decode_piece(list(ask(tuple(pieces.begun))))
        _, whole = pieces.take(piece, 0)
        if whole is not None:
            break
        node.now_us += SNAPSHOT_IDLE_US // 2
        node.turn()
    assert whole is not None
    chunk = decode_chunk("X", unpack(whole))
    (version,) = chunk.table[b"a"]
    assert version.value == LARGE.encode()
    end = decode_chunk("X", list(fetch(node, MIB, chunk.number, chunk.next)(())))
    assert end.next is None


def test_pieces_are_of_the_part_that_was_asked_for(node):
    origins = decode_chunk("X", list(fetch(node, MIB)(())))
    piece = decode_piece(list(fetch(node, 1000, origins.number, origins.next)(())))
    begun = ((piece.digest, 1000),)
    assert fetch(node, MIB, origins.number, b"")(begun)[0] == "ok"
