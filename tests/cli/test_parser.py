"""Mistakes on a command line are told in one line."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from kvnode.cli.exits import USAGE
from kvnode.cli.parser import Parser, duration, lifetime, seconds, timeout


@pytest.fixture
def parser():
    made = Parser(prog="tool")
    made.add_argument("--count", type=int)
    commands = made.add_subparsers(required=True, dest="command")
    commands.add_parser("get").add_argument("key")
    return made


def test_a_sound_command_line_is_parsed(parser):
    parsed = parser.parse_args(["--count", "2", "get", "k"])
    assert (parsed.count, parsed.command, parsed.key) == (2, "get", "k")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--count", "two", "get", "k"], "--count"),
        (["--what", "get", "k"], "--what"),
        (["--cou=2", "get", "k"], "--cou"),
        (["steal"], "steal"),
        ([], "command"),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_where_help_is(parser, capsys, arguments, named):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (USAGE, "")
    assert err.startswith("tool: ") and err.endswith("; see tool --help\n")
    assert named in err and err.count("\n") == 1


def test_a_mistake_in_a_command_points_to_the_help_of_that_command(parser, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["get"])
    assert ended.value.code == USAGE
    assert capsys.readouterr().err.endswith("; see tool get --help\n")


def test_help_is_a_success_on_standard_output(parser, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: tool")


@pytest.mark.parametrize(
    ("text", "value_s"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("15m", 900),
        ("1.5h", 5400),
        ("7d", 604_800),
    ],
)
def test_a_time_is_value_sor_has_a_unit(text, value_s):
    assert duration(text) == value_s


@pytest.mark.parametrize("text", ["", "s", "soon", "1w", "1 hour", "h1", "1h30m"])
def test_what_is_no_time_is_told_with_the_right_way(text):
    with pytest.raises(ArgumentTypeError, match=r"90s, 15m, 1\.5h, 7d"):
        duration(text)


@pytest.mark.parametrize("text", ["-1", "601", "11m", "1h", "nan", "infd"])
def test_nobody_waits_for_longer_than_a_node_may(text):
    with pytest.raises(ArgumentTypeError, match="is not from 0 to 600 seconds"):
        seconds(text)
    assert seconds("10m") == 600


@pytest.mark.parametrize("text", ["0", "0.0009", "-1", "601", "nan"])
def test_an_answer_always_takes_a_while(text):
    with pytest.raises(ArgumentTypeError, match=r"is not from 0\.001 to 600 seconds"):
        timeout(text)
    assert (timeout("0.001"), timeout("10m")) == (0.001, 600)


@pytest.mark.parametrize("text", ["0", "0s", "-1", "0.0009", "36501d", "nan", "infd"])
def test_a_value_lives_for_a_while_and_not_for_ever(text):
    with pytest.raises(ArgumentTypeError, match=r"is not from 0\.001s to 36,500 days"):
        lifetime(text)
    assert (lifetime("0.001"), lifetime("36500d")) == (0.001, 36_500 * 86_400)
