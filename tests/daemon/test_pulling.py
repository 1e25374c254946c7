"""How a node asks, and puts together what comes."""

from __future__ import annotations

import pytest

from kvnode.codec.batches import encode_batch
from kvnode.codec.packing import pack
from kvnode.core.batch import Change
from kvnode.core.messages import Chunk, Fetch, Progress, Pull, Pulled
from kvnode.core.pace import FIRST_BYTES
from kvnode.core.pieces import digest_of
from kvnode.core.vector import new_origin
from kvnode.daemon.pulling import OWED_MAX, Pulling, is_pull, is_question
from kvnode.errors import MalformedError

HEARTBEAT_US = 500_000
X = new_origin("X", 1, 1)
BATCH = encode_batch(X, 1, {}, 1, ((Change(b"key", bytes(1000)),),))
DIGEST = digest_of(BATCH)
PULL, FETCH = Pull("X", {X: 1}), Fetch("X", 7, b"o")
PART = ["ok", 7, b"o", 1, bytes(16), [], [], None]


class Asker:
    """Asks the processes 1 and 2."""

    def __init__(self):
        self.pulling = Pulling(heartbeat_us=HEARTBEAT_US)
        self.now_us = 0

    def ask(self, pull=PULL, instance=1):
        return self.pulling.question(pull, instance, self.now_us)

    def came(self, id_, result, instance=1):
        return self.pulling.came("X", instance, id_, result, self.now_us)


@pytest.fixture
def asker():
    return Asker()


def piece(start, end):
    return ["piece", DIGEST, len(BATCH), start, BATCH[start:end]]


def test_questions_can_be_told_apart(asker):
    pull, operation = asker.ask()
    assert operation == ["since", {X: 1}, FIRST_BYTES, []]
    fetch, operation = asker.ask(FETCH, instance=2)
    assert operation == ["snapshot", 7, b"o", FIRST_BYTES, []]
    assert is_pull(pull) and not is_pull(fetch)
    assert pull != asker.ask()[0]
    assert is_question(pull) and is_question(fetch)
    assert not any(map(is_question, (None, 0, 3, 5)))


def test_batches_and_parts_come_as_they_are(asker):
    id_, _ = asker.ask()
    pulled = asker.came(id_, ["ok", [BATCH]])
    assert isinstance(pulled, Pulled)
    assert [batch.encoded for batch in pulled.batches] == [BATCH]
    chunk = asker.came(asker.ask(FETCH)[0], PART)
    assert isinstance(chunk, Chunk) and chunk.start == b"o"


def test_pieces_make_a_batch_and_each_question_tells_how_far_it_is(asker):
    assert asker.came(asker.ask()[0], piece(0, 600)) == Progress("X", is_news=True)
    id_, operation = asker.ask(instance=2)
    assert operation[3] == [[DIGEST, 600]]
    pulled = asker.came(id_, piece(600, len(BATCH)), instance=2)
    assert [batch.encoded for batch in pulled.batches] == [BATCH]
    assert asker.ask()[1][3] == []


def test_pieces_make_a_part_of_a_snapshot(asker):
    part = pack(PART)
    for offset in (0, 10):
        result = ["piece", digest_of(part), len(part), offset, part[offset:][: 10 + 990 * offset]]
        came = asker.came(asker.ask(FETCH)[0], result)
    assert isinstance(came, Chunk) and came.number == 7


def test_a_piece_that_came_before_is_no_news(asker):
    for is_news in (True, False):
        id_, _ = asker.ask()
        assert asker.came(id_, piece(0, 600)) == Progress("X", is_news)


def test_a_refusal_brings_nothing(asker):
    assert asker.came(asker.ask()[0], ["error", "refused", "no", False]) is None


@pytest.mark.parametrize(
    "result",
    [["ok"], ["ok", [1]], ["ok", [b"x"]], ["piece"], ["piece", DIGEST, 1, 0, b"x"]],
)
def test_what_can_not_be_read_is_refused(asker, result):
    with pytest.raises(MalformedError):
        asker.came(asker.ask()[0], result)


def test_an_answer_that_comes_after_the_next_question_is_late_and_counts_all_the_same(asker):
    first, _ = asker.ask()
    second, operation = asker.ask()
    assert operation[2] < FIRST_BYTES, "none came in time: it is asked for less"
    assert asker.came(first, piece(0, 600)) == Progress("X", is_news=True, is_late=True)
    assert asker.came(second, piece(0, 300)) == Progress("X", is_news=False)
    third, _ = asker.ask()
    assert asker.came(third, piece(600, 700)) == Progress("X", is_news=True)


def test_what_could_not_be_asked_owes_no_answer(asker):
    id_, _ = asker.ask()
    asker.pulling.unasked(1, id_)
    assert asker.ask()[1][2] == FIRST_BYTES


def test_a_process_that_never_answers_costs_nothing(asker):
    ids = [asker.ask()[0] for _ in range(OWED_MAX + 5)]
    assert asker.came(ids[0], piece(0, 600)) == Progress("X", is_news=True, is_late=True)
    assert asker.came(ids[-1], piece(0, 600)) == Progress("X", is_news=False)


def test_each_process_has_a_pace_of_its_own_until_it_is_gone(asker):
    for _ in range(2):
        id_, operation = asker.ask()
        asker.came(id_, ["ok", [BATCH] * (operation[2] // len(BATCH))])
    fast = asker.ask()[1][2]
    assert fast > FIRST_BYTES
    assert asker.ask(instance=2)[1][2] == FIRST_BYTES
    asker.pulling.keep({2})
    assert asker.ask()[1][2] == FIRST_BYTES
