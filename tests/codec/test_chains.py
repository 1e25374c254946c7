"""What stands for a chain on the wire, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from kvnode.codec.chains import chain, checks
from kvnode.errors import MalformedError


@pytest.mark.parametrize("sound", [b"", b"8 bytes."])
def test_a_chain_is_eight_bytes_or_none(sound: bytes) -> None:
    assert chain(sound, "it") == sound


@pytest.mark.parametrize("unsound", [b"seven b", b"nine byte", "8 bytes.", None, 8])
def test_nothing_else_is(unsound: Any) -> None:
    with pytest.raises(MalformedError, match="it must be 8 bytes, or none"):
        chain(unsound, "it")


def test_checks_are_four_bytes_for_each_entry() -> None:
    assert checks(b"", 0, "they") == b""
    assert checks(b"12345678", 2, "they") == b"12345678"


@pytest.mark.parametrize("unsound", [b"", b"1234", b"123456789", "12345678", None])
def test_no_fewer_and_no_more(unsound: Any) -> None:
    with pytest.raises(MalformedError, match="they must be 4 bytes for each entry"):
        checks(unsound, 2, "they")
