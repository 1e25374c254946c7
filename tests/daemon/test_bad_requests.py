"""Each bad request gets an answer that says what is wrong, and is counted."""

from __future__ import annotations

import re

import msgpack
import pytest

from kvnode.codec.client import PING
from kvnode.codec.packing import MESSAGE_BYTES_MAX
from kvnode.codec.token import TOKEN_BYTES_MAX
from kvnode.core.limits import KEY_BYTES_MAX, REQUEST_OPERATIONS_MAX, VALUE_BYTES_MAX
from kvnode.core.vector import new_origin
from tests.daemon.raw import Raw

ORIGIN = new_origin("Z", 1, 1)
GET = ["get", b"k"]


def packed(*parts):
    return [msgpack.packb(list(parts))]


def asking(*operations):
    return packed(1, 7, None, 0, *operations)


def with_token(token):
    return packed(1, 7, token, 0, GET)


def with_deadline(deadline):
    return packed(1, 7, None, deadline, GET)


def with_id(id_):
    return packed(1, id_, None, 0, GET)


SOUND = asking(["ping"])[0]

# The frames, the id of the answer, its code, and what its message says.
UNREADABLE = {
    "an empty frame": ([b""], "msgpack"),
    "a delimiter with an empty frame": ([b"", b""], "msgpack"),
    "two frames": ([SOUND, b""], "frame"),
    "three frames": ([SOUND, SOUND, SOUND], "frame"),
    "a delimiter with two frames": ([b"", SOUND, SOUND], "frame"),
    "text": ([b"GET / HTTP/1.1"], "msgpack|array"),
    "half a message": ([SOUND[:-2]], "msgpack"),
    "a message and a half": ([SOUND + SOUND], "msgpack"),
    "a byte that msgpack never has": ([b"\xc1"], "msgpack"),
    "2,000 levels": ([2000 * b"\x91" + b"\xc0"], "nested too deep"),
    "a billion items announced": ([b"\xdd\x3f\xff\xff\xff"], "msgpack"),
    "a billion entries announced": ([b"\xdf\x3f\xff\xff\xff"], "msgpack"),
    "a billion bytes announced": ([b"\xc6\x3f\xff\xff\xff"], "msgpack"),
    "an extension type": ([b"\x91\xd4\x01\x00"], "msgpack"),
    "a string that is not UTF-8": ([b"\x91\xa1\xff"], "msgpack"),
    "a list as a map's key": ([b"\x81\x90\x01"], "msgpack"),
    "a map": ([msgpack.packb({"op": "get"})], "a request must be an array"),
    "a number": ([b"\x01"], "a request must be an array"),
}

BAD = {
    "nothing in it": (packed(), None, "wrong_version", "version none; this node speaks 1"),
    "another version": (packed(2, 7, None, 0, GET), 7, "wrong_version", "2; this node speaks 1"),
    "a version in words": (packed("1", 7, None, 0, GET), 7, "wrong_version", "speaks 1"),
    "only a version": (packed(1), None, "malformed", "1 to 1024 operations"),
    "no id": (with_id(None), None, "malformed", "id must be an integer"),
    "a negative id": (with_id(-1), -1, "malformed", "id must be an integer"),
    "an id in words": (with_id("7"), None, "malformed", "id must be an integer"),
    "a huge id": (with_id(1 << 63), 1 << 63, "malformed", "id must be an integer"),
    "no operation": (asking(), 7, "malformed", "1 to 1024 operations"),
    "too many operations": (
        asking(*(REQUEST_OPERATIONS_MAX + 1) * [GET]),
        7,
        "malformed",
        "1 to 1024 operations",
    ),
    "a deadline in the past": (with_deadline(-1), 7, "malformed", "deadline_ms .* 0 to 600000"),
    "a deadline too far": (with_deadline(600_001), 7, "malformed", "deadline_ms .* 0 to 600000"),
    "a deadline never": (with_deadline((1 << 64) - 1), 7, "malformed", "deadline_ms"),
    "a deadline in parts": (with_deadline(0.5), 7, "malformed", "deadline_ms"),
    "no deadline": (with_deadline(None), 7, "malformed", "deadline_ms"),
    "a token of text": (with_token("token"), 7, "malformed", "token must be bytes or nil"),
    "a garbage token": (with_token(b"\xc1garbage"), 7, "malformed", "token"),
    "a token of other things": (with_token(msgpack.packb([1, 2])), 7, "malformed", "a token"),
    "a token with no origin": (
        with_token(msgpack.packb(["kvnode", {"X": 1}])),
        7,
        "malformed",
        "'X', which is no origin",
    ),
    "a token with no seq": (
        with_token(msgpack.packb(["kvnode", {ORIGIN: 0}])),
        7,
        "malformed",
        "no sound seq",
    ),
    "a huge token": (with_token(bytes(TOKEN_BYTES_MAX + 1)), 7, "malformed", "at most 65536 bytes"),
    "an operation in words": (asking("ping"), 7, "malformed", "an operation must be an array"),
    "an empty operation": (asking([]), 7, "malformed", "an operation must be an array"),
    "an unknown operation": (asking(["incr", b"k"]), 7, "unknown_operation", "'incr'"),
    "an operation by number": (asking([1, b"k"]), 7, "unknown_operation", "no operation 1"),
    "too few arguments": (
        asking(["put", b"k"]),
        7,
        "malformed",
        "'put' takes 2 or 3 arguments, not 1",
    ),
    "too many arguments": (asking(["ping", 1]), 7, "malformed", "'ping' takes 0 arguments, not 1"),
    "an empty key": (asking(["get", b""]), 7, "malformed", "key must not be empty"),
    "a number as key": (asking(["get", 1]), 7, "malformed", "key must be bytes or a string"),
    "a key too large": (
        asking(["get", bytes(KEY_BYTES_MAX + 1)]),
        7,
        "too_large",
        "at most 4096 bytes; this has 4097",
    ),
    "a key too large in UTF-8": (asking(["get", 2049 * "é"]), 7, "too_large", "this has 4098"),
    "a value in words": (asking(["put", b"k", "v"]), 7, "malformed", "value must be bytes"),
    "a value too large": (
        asking(["put", b"k", bytes(VALUE_BYTES_MAX + 1)]),
        7,
        "too_large",
        f"at most {VALUE_BYTES_MAX} bytes; this has {VALUE_BYTES_MAX + 1}",
    ),
    "a message too large": (
        asking(["put", b"k", bytes(MESSAGE_BYTES_MAX)]),
        None,
        "too_large",
        f"at most {MESSAGE_BYTES_MAX} bytes",
    ),
    "ping and get": (asking(["ping"], GET), 7, "malformed", "'ping' must stand alone"),
    "get and status": (asking(GET, ["status"]), 7, "malformed", "'status' must stand alone"),
    "two pings": (asking(["ping"], ["ping"]), 7, "malformed", "'ping' must stand alone"),
    "a pull of no bytes": (asking(["since", {}, 0, []]), 7, "malformed", "a pull's size"),
    "a pull beyond no vector": (
        asking(["since", [], 1, []]),
        7,
        "malformed",
        "a vector must be a map",
    ),
    "a hello of nobody": (
        asking(["hello", "kvnode", "", 1, "x:1", "x:2", None]),
        7,
        "malformed",
        "node's name",
    ),
    "a key of kvnode's own": (
        asking(["put", b"\0kvnode/member/X", b"v"]),
        7,
        "malformed",
        "kvnode's own",
    ),
    "a fault of another kind": (asking(["fault", "Y", "gossip", "burn"]), 7, "malformed", "hold"),
} | {name: (frames, None, "malformed", words) for name, (frames, words) in UNREADABLE.items()}


def bad_requests(node):
    return node.status()["complaints"].get("bad_requests", 0)


@pytest.mark.parametrize(("frames", "id_", "code", "words"), BAD.values(), ids=BAD)
def test_a_bad_request_is_answered_and_counted(frames, id_, code, words, node):
    before = bad_requests(node)
    with Raw(node) as raw:
        raw.send(*frames)
        if frames[0] == b"" and len(frames) > 1:
            delimiter, answer = raw.frames()
            assert delimiter == b""
            answered, _, ((_, said_code, said, _),) = msgpack.unpackb(answer)
        else:
            answered, said_code, said = raw.error()
        assert (answered, said_code) == (id_, code)
        assert re.search(words, said), said
        assert len(said) < 300 and "\n" not in said
        assert raw.ask(PING).results == [["ok", "X"]], "the same client goes on"
    assert bad_requests(node) == before + 1
