"""What is served in pieces is kept at hand, within bounds."""

from __future__ import annotations

from kvnode.core.pieces import Begun, digest_of
from kvnode.core.vector import Dot, new_origin
from kvnode.daemon.kept import KEPT_BYTES_MAX, KEPT_IDLE_US, Kept, PartOf

DOT = Dot(new_origin("X", 1, 1), 1)
WHOLE = bytes(range(100))


def wanted(of):
    return True


def test_the_first_piece_is_of_the_start_and_the_next_of_what_was_kept():
    kept = Kept()
    piece = kept.cut(WHOLE, DOT, [], 60, 0)
    assert (piece.offset, piece.data) == (0, WHOLE[:60])
    begun = [Begun(digest_of(b"another"), 1), Begun(piece.digest, 60)]
    assert kept.goes_on(begun, 60, wanted, 0) == (DOT, piece._replace(offset=60, data=WHOLE[60:]))


def test_what_is_cut_for_who_has_begun_goes_on_where_that_is():
    piece = Kept().cut(WHOLE, DOT, [Begun(digest_of(WHOLE), 60)], 10, 0)
    assert (piece.offset, piece.data) == (60, WHOLE[60:70])


def test_nothing_goes_on_that_is_not_at_hand_or_not_wanted_any_more():
    kept = Kept()
    begun = [Begun(digest_of(WHOLE), 60)]
    assert kept.goes_on(begun, 60, wanted, 0) is None
    kept.cut(WHOLE, DOT, [], 60, 0)
    asked = []
    assert kept.goes_on(begun, 60, lambda of: asked.append(of), 0) is None
    assert asked == [DOT]


def test_what_nobody_asks_on_is_let_go():
    kept = Kept()
    kept.cut(WHOLE, DOT, [], 60, 0)
    kept.cut(b"another one", PartOf(1, b"o"), [], 6, 0)
    kept.goes_on([Begun(digest_of(WHOLE), 60)], 60, wanted, 1)
    kept.let_go_of_the_idle(KEPT_IDLE_US)
    assert len(kept) == 1
    assert kept.goes_on([Begun(digest_of(WHOLE), 60)], 60, wanted, 1) is not None
    kept.clear()
    assert len(kept) == 0


def test_beyond_its_bytes_what_was_asked_for_longest_ago_goes_but_never_the_latest():
    kept = Kept()
    wholes = [bytes([number]) * (KEPT_BYTES_MAX // 2) for number in range(3)]
    for whole in wholes[:2]:
        kept.cut(whole, DOT, [], 60, 0)
    kept.goes_on([Begun(digest_of(wholes[0]), 60)], 60, wanted, 0)
    kept.cut(wholes[2], DOT, [], 60, 0)
    at_hand = [bool(kept.goes_on([Begun(digest_of(it), 60)], 60, wanted, 0)) for it in wholes]
    assert at_hand == [True, False, True]
    kept.cut(bytes(2 * KEPT_BYTES_MAX), DOT, [], 60, 0)
    assert len(kept) == 1
