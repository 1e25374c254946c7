"""What is told of a story, for people and for programs."""

from __future__ import annotations

import json

import pytest

from kvnode.cli.cluster import NotSeen
from kvnode.cli.exits import Terminated
from kvnode.cli.narration import Narration, dot_text, expect, held_in, vector_text
from kvnode.core.vector import Dot
from kvnode.errors import Refused

X, Y = "X~0000001000000001", "Y~0000001000000001"
STATUSES = {"X": {"vector": {X: 3}}, "Y": {"vector": {X: 2, Y: 1}}}


def story(*, as_json, fails_with=None):
    """One that has a step, and then perhaps fails."""
    narration = Narration(as_json=as_json)
    with narration.told():
        narration.tell("X writes", {"dot": "X:3"}, STATUSES, "X:3 is new")
        if fails_with is not None:
            raise fails_with
    narration.final = {"X": 1}
    return narration


def test_people_are_told_each_step_with_the_vectors_and_that_it_is_over(capsys):
    assert story(as_json=False).end() == 0
    assert capsys.readouterr() == (
        " 1. X writes\n      X:3 is new\n      X {X:3}             Y {X:2 Y:1}\n"
        "All steps were observed.\n",
        "",
    )


def test_programs_are_told_all_of_it_in_one_document(capsys):
    assert story(as_json=True).end() == 0
    output, errors = capsys.readouterr()
    vectors = {"X": {"X": 3}, "Y": {"X": 2, "Y": 1}}
    step = {"step": 1, "title": "X writes", "observed": {"dot": "X:3"}, "vectors": vectors}
    assert json.loads(output) == {"ok": True, "final": {"X": 1}, "steps": [step], "error": None}
    assert errors == ""


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Refused("no"), 1, "no"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Terminated(), 143, "interrupted"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_fails_is_the_step_that_would_have_come_next(error, code, told, as_json, capsys):
    assert story(as_json=as_json, fails_with=error).end() == code
    output, errors = capsys.readouterr()
    assert errors == f"kvnode demo: step 2: {told}\n"
    if as_json:
        document = json.loads(output)
        assert (document["ok"], document["error"]) == (False, told)
    else:
        assert "observed" not in output


def test_what_is_not_as_it_should_be_is_told():
    expect("x", 1, 1)
    with pytest.raises(NotSeen, match=r"^x should be 1; it is 2$"):
        expect("x", 2, 1)


def test_a_batch_that_is_held_back_is_known_by_its_first_write():
    held = {"origin": X, "first": 4, "last": 6, "waits_for": [Y, 1]}
    assert held_in({"held": [held]}, Dot(X, 4)) == held
    assert held_in({"held": [held]}, Dot(X, 5)) is None


def test_dots_and_vectors_are_short():
    assert dot_text(Dot(X, 3)) == "X:3"
    assert vector_text({"X": 3, "Y": 1}) == "{X:3 Y:1}"
    assert vector_text({}) == "{}"
