"""Lines of a log on their way to whoever may not read them."""

from __future__ import annotations

import os
import time

import pytest

from kvnode.cli.cluster import until
from kvnode.daemon.sink import Sink, unwaited

PIPE_BYTES = 65_536
RETRY_S = 0.01


def notice(dropped: int) -> bytes:
    return b"%d are missing\n" % dropped


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    ends = {reading, writing}
    yield reading, writing, ends
    for end in ends:
        os.close(end)


def test_a_full_pipe_does_not_hold_up_what_is_written_unwaited(pipe):
    reading, writing, ends = pipe
    private = unwaited(writing)
    ends.add(private)
    assert private != writing and os.get_blocking(writing), "others who have it still wait"
    os.write(private, b"before")
    assert os.read(reading, PIPE_BYTES) == b"before"
    fill(writing)
    with pytest.raises(BlockingIOError):
        os.write(private, b"x")


def test_what_is_no_pipe_is_taken_as_it_is(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        assert unwaited(file.fileno()) == file.fileno()


def read_until(descriptor, end):
    read = b""
    while not read.endswith(end):
        read += os.read(descriptor, PIPE_BYTES)
    return read


def fill(descriptor):
    """So that a write waits; what was written."""
    os.set_blocking(descriptor, False)
    written = 0
    try:
        while True:
            written += os.write(descriptor, b"\n" * 4096)
    except BlockingIOError:
        os.set_blocking(descriptor, True)
    return written


def test_lines_come_in_their_order(pipe):
    sink = Sink(pipe[1], notice)
    for number in range(1000):
        sink.put(b"%d\n" % number)
    sink.flush()
    assert read_until(pipe[0], b"\n999\n") == b"".join(b"%d\n" % n for n in range(1000))
    assert sink.dropped == 0


def test_what_finds_no_room_is_counted_and_told_where_it_is_missing(pipe):
    reading, writing, _ = pipe
    filled = fill(writing)
    sink = Sink(writing, notice, waiting_bytes_max=6)
    sink.put(b"writes")
    until("that one waits for the pipe", lambda: sink._is_writing)
    for line in (b"1st\n", b"2nd\n", b"3rd\n", b"4\n", b"5th\n"):
        sink.put(line)
    assert sink.dropped == 3
    assert read_until(reading, b"missing\n").strip() == (
        b"writes1st\n2 are missing\n4\n1 are missing"
    )
    assert filled
    sink.put(b"6\n")
    assert read_until(reading, b"6\n") == b"6\n"


def test_whoever_logs_and_whoever_ends_waits_for_nobody(pipe):
    fill(pipe[1])
    sink = Sink(pipe[1], notice)
    began = time.monotonic()
    for _ in range(10_000):
        sink.put(b"x" * 1000)
    sink.flush(0.05)
    assert time.monotonic() - began < 10.0, "not for ever"
    assert sink.dropped > 8_000
    read_until(pipe[0], b"missing\n")


def test_a_failing_write_is_tried_again(pipe, tmp_path):
    """A descriptor that can't be written to at first, as on a full disk."""
    reading, writing, ends = pipe
    failing = os.open("/dev/full", os.O_WRONLY)
    ends.add(failing)
    sink = Sink(failing, notice, retry_s=RETRY_S)
    sink.put(b"kept\n")
    until("it is being tried", lambda: sink._is_writing)
    os.dup2(writing, failing)
    assert read_until(reading, b"kept\n") == b"kept\n"


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe):
    reading, writing, _ = pipe
    fill(writing)
    os.set_blocking(writing, False)
    sink = Sink(writing, notice)
    long = b"x" * (2 * PIPE_BYTES) + b"\n"
    sink.put(long)
    assert read_until(reading, b"x\n").lstrip() == long
