"""What tests do to the lookup of names: a server that says nothing, and files of one's own."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from kvnode.cli.cluster import PATIENCE_S

_MOUNTED: Final = 'mount --bind "$0" "$1" && shift && exec "$@"'


@pytest.fixture
def name_server():
    """One that is asked, and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        try:
            server.bind(("127.0.74.11", 53))
        except PermissionError:
            pytest.skip("not root: a name server can't be played")
        server.settimeout(PATIENCE_S)
        yield server


def is_asked(name_server):
    """Until somebody has asked it, and waits."""
    question, _ = name_server.recvfrom(1024)
    assert b"example" in question


@pytest.fixture
def alone_with(tmp_path):
    """Gives the start of a command that has a file of its own in place of one of the machine's;
    it lies in `tmp_path`."""

    def alone_with(place, text):
        file = tmp_path / Path(place).name
        file.write_text(text)
        command = ["unshare", "--mount", "sh", "-c", _MOUNTED, str(file), place]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this root may not mount: what it resolves can't be changed")
        return command

    return alone_with


@contextmanager
def telling(name_server, *, after_s=0.0):
    """Meanwhile the name server says that each host is 127.0.0.1, after a while."""

    def answer():
        while not done.is_set():
            with suppress(TimeoutError):
                timers.append(threading.Timer(after_s, tell, name_server.recvfrom(1024)))
                timers[-1].start()

    def tell(question, client):
        """RFC 1035, section 4: one address, of the name that was asked for."""
        head = question[:2] + bytes.fromhex("8180 0001 0001 0000 0000")
        asked = question[12 : question.index(b"\0", 12) + 5]
        record = bytes.fromhex("c00c 0001 0001 00000001 0004 7f000001")
        name_server.sendto(head + asked + record, client)

    done, timers = threading.Event(), []
    name_server.settimeout(0.1)
    answers = threading.Thread(target=answer)
    answers.start()
    try:
        yield
    finally:
        done.set()
        answers.join()
        for timer in timers:
            timer.join()
        name_server.settimeout(PATIENCE_S)
