"""The log: lines for people or JSON, and complaints that can't flood it."""

from __future__ import annotations

import json
import logging
import re
from types import SimpleNamespace

import pytest

from kvnode.cli.cluster import PATIENCE_S
from kvnode.daemon import logs
from kvnode.daemon.logs import LOGGER, REPEAT_S, Complaints


@pytest.fixture
def logged(capfd):
    """Configure the log, then read its lines."""
    before = LOGGER.handlers, LOGGER.propagate, LOGGER.level

    def lines(log_format, level="info"):
        sink = logs.configure("X", log_format, level)

        def read():
            sink.flush(PATIENCE_S)
            return capfd.readouterr().err.splitlines()

        return read

    yield lines
    LOGGER.handlers, LOGGER.propagate, LOGGER.level = before


@pytest.fixture
def clock(monkeypatch):
    """The time that complaints see."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_each_json_line_parses_whatever_it_says(logged):
    lines = logged("json")
    said = 'a "quoted"\nnew line, \x1b[31m, \N{SNOWMAN} and %s'
    LOGGER.info(said)
    LOGGER.warning("peer %s lacks %d", "Y", 3)
    first, second = (json.loads(line) for line in lines())
    assert first["message"] == said
    assert (second["level"], second["node"]) == ("warning", "X")
    assert second["message"] == "peer Y lacks 3"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", second["time"])


def test_a_json_line_holds_the_whole_exception(logged):
    lines = logged("json")
    try:
        raise OSError("the disk is gone")
    except OSError:
        LOGGER.exception("failed")
    (line,) = lines()
    assert "OSError: the disk is gone" in json.loads(line)["exception"]


def test_a_line_for_people_has_time_level_and_node(logged):
    lines = logged("human")
    LOGGER.error("disk full")
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERROR   X: disk full", line)


def test_what_is_below_the_level_is_not_logged(logged):
    lines = logged("human", "warning")
    LOGGER.info("small talk")
    LOGGER.warning("danger")
    (line,) = lines()
    assert line.endswith("danger")


def test_configuring_twice_does_not_double_the_lines(logged):
    logged("human")
    lines = logged("json")
    LOGGER.info("once")
    assert len(lines()) == 1


def complaints_logged(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_kind_of_complaint_is_logged_at_once_then_now_and_then(clock, caplog, monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    complaints = Complaints()
    for number in range(1000):
        complaints.add("bad_requests", f"number {number}")
    assert complaints_logged(caplog) == ["bad requests: number 0"]
    clock.now += REPEAT_S - 0.1
    complaints.add("bad_requests", "too early")
    clock.now += 0.1
    complaints.add("bad_requests", "in time")
    more = "bad requests: in time (1000 more of this kind since the last line)"
    assert complaints_logged(caplog)[1:] == [more]
    clock.now += REPEAT_S
    complaints.add("bad_requests", "alone")
    assert complaints_logged(caplog)[2:] == ["bad requests: alone"]
    assert complaints.counts == {"bad_requests": 1003}


def test_each_kind_of_complaint_has_its_own_turn(clock, caplog, monkeypatch):
    monkeypatch.setattr(LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, LOGGER.name)
    complaints = Complaints()
    complaints.add("bad_requests", "a")
    complaints.add("malformed_gossip", "b")
    assert complaints_logged(caplog) == ["bad requests: a", "malformed gossip: b"]


@pytest.mark.parametrize("booted_s", [0.0, 0.1, 3.3, 4.999999, 123456.789])
def test_the_first_complaint_is_logged_however_young_the_machine_is(
    booted_s, clock, caplog, monkeypatch
):
    monkeypatch.setattr(LOGGER, "propagate", True)
    clock.now = booted_s
    caplog.set_level(logging.INFO, LOGGER.name)
    Complaints().add("bad_requests", "first")
    assert complaints_logged(caplog) == ["bad requests: first"]


def test_lines_that_were_dropped_are_told_in_the_form_of_the_log(logged):
    lines = logged("json")
    (handler,) = LOGGER.handlers
    handler.sink.put(handler._notice(12))
    (line,) = lines()
    told = json.loads(line)
    assert (told["level"], told["node"]) == ("warning", "X")
    assert told["message"].startswith("12 lines of the log were dropped here")


def test_a_line_that_is_no_unicode_is_logged_all_the_same(logged):
    lines = logged("human")
    LOGGER.info("a name \udc80")
    assert lines()[0].endswith(r"a name \udc80")
