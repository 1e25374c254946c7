"""What the arguments of several commands take."""

from __future__ import annotations

import argparse

import pytest

from kvnode.cli.commands.command import add_replicas, number, standard_input, typed
from kvnode.errors import InvalidRequest


@pytest.mark.parametrize("text", ["1", "7", "07", "9"])
def test_a_number_within_its_bounds_is_taken(text):
    assert number(1, 9)(text) == int(text)


@pytest.mark.parametrize("text", ["0", "10", "-1", "1.5", "", "two", "9" * 10_000, "²"])
def test_another_is_not(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no number from 1 to 9") as raised:
        number(1, 9)(text)
    assert len(str(raised.value)) < 120


def test_what_was_typed_is_the_very_bytes():
    assert typed("ä\udcff") == b"\xc3\xa4\xff"


def test_replicas_have_defaults_of_their_own():
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_replicas(parser)
    assert vars(parser.parse_args([])) == {"replicas": None, "replicas_timeout": None}
    given = parser.parse_args(["--replicas", "2", "--replicas-timeout", "0.5"])
    assert (given.replicas, given.replicas_timeout) == (2, 0.5)


def test_in_a_shell_standard_input_is_the_shells():
    with pytest.raises(InvalidRequest, match="for its commands"):
        standard_input(argparse.Namespace(in_shell=True))
