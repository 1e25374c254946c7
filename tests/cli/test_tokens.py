"""Files that carry sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvnode.cli.tokens import _FILE_BYTES_MAX, NotKept, read_token, replace, write_token
from kvnode.codec.token import TOKEN_BYTES_MAX, encode_token, printable
from kvnode.core.vector import new_origin
from kvnode.errors import InvalidRequest

TOKEN = encode_token("c", {new_origin("X", 1, 1): 7})


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    file = tmp_path / "token"
    assert read_token(file) is None
    write_token(file, TOKEN)
    assert read_token(file) == TOKEN
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_file_or_a_token_nothing_is_written(tmp_path):
    write_token(None, TOKEN)
    write_token(tmp_path / "token", None)
    assert read_token(None) is None and list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_session_and_another_is_told(tmp_path):
    file = tmp_path / "token"
    file.touch()
    assert read_token(file) is None
    file.write_text("AAAA")
    with pytest.raises(InvalidRequest, match=str(file)):
        read_token(file)


@pytest.mark.parametrize("endless", ["/dev/full", "/dev/zero"])
def test_a_file_that_never_ends_is_told(endless):
    with pytest.raises(InvalidRequest, match=f"can't read the token file {endless}: it has more"):
        read_token(Path(endless))


def test_the_greatest_token_fits():
    assert len(printable(bytes(TOKEN_BYTES_MAX))) < _FILE_BYTES_MAX / 4


def test_what_can_not_be_kept_is_told_and_leaves_what_was_there(tmp_path):
    with pytest.raises(NotKept, match=r"the command was done, but how far .* can't be kept"):
        replace(tmp_path / "missing" / "state", "x", "how far it is")
