"""The byte examples of docs/PROTOCOL.md are what the code sends and reads."""

import re
from pathlib import Path

import msgpack
import pytest

from kvnode.codec.batches import decode_batch
from kvnode.codec.client import decode_answer
from kvnode.codec.gossip import Header, decode_awaited, decode_claim, decode_header
from kvnode.codec.packing import pack
from kvnode.codec.server import decode_request
from kvnode.codec.token import decode_token
from kvnode.core.chain import chained
from kvnode.errors import MalformedError

DOCUMENT = Path(__file__).parent.parent / "docs" / "PROTOCOL.md"
EXAMPLES = re.findall(r"```example\n(.*)\n((?:[0-9a-f ]+\n)+)```", DOCUMENT.read_text())

READERS = [
    decode_request,
    decode_answer,
    decode_token,
    decode_batch,
    decode_header,
    decode_awaited,
    lambda data: decode_claim(Header("kvnode", "Y", 7, "claim"), data),
]


def test_the_document_has_examples_of_all_kinds():
    assert len(EXAMPLES) == 43


def test_the_batches_of_one_origin_are_in_a_chain():
    batches = [bytes.fromhex(it) for shown, it in EXAMPLES if shown.startswith('[2, "Y~')]
    first, second = map(decode_batch, batches)
    assert (second.first, second.previous) == (first.last + 1, chained(first.encoded))


@pytest.mark.parametrize(("shown", "in_hex"), EXAMPLES)
def test_an_example_reads_as_its_bytes_say(shown, in_hex):
    names = {"nil": None, "true": True, "false": False}
    message = eval(shown, {"__builtins__": {}}, names)
    data = bytes.fromhex(in_hex)
    assert msgpack.unpackb(data) == message
    assert pack(message) == data


@pytest.mark.parametrize(("shown", "in_hex"), EXAMPLES)
def test_an_example_is_accepted_by_the_decoder_of_its_kind(shown, in_hex):
    data = bytes.fromhex(in_hex)
    accepted = 0
    for reader in READERS:
        try:
            reader(data)
            accepted += 1
        except MalformedError:
            pass
    assert accepted == 1
