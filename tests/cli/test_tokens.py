"""Files that carry sessions."""

from __future__ import annotations

import pytest

from kvnode.cli.tokens import read_token, replace, write_token
from kvnode.codec.token import encode_token
from kvnode.core.vector import new_origin
from kvnode.errors import IndefiniteError, InvalidRequest

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


def test_what_can_not_be_kept_is_told_and_leaves_what_was_there(tmp_path):
    with pytest.raises(
        IndefiniteError, match=r"the command was done, but how far .* can't be kept"
    ):
        replace(tmp_path / "missing" / "state", "x", "how far it is")
