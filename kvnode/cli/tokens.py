"""Files that carry sessions from one command to the next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kvnode.codec.token import TOKEN_BYTES_MAX, decode_token, printable, token_of
from kvnode.errors import IndefiniteError, InvalidRequest, MalformedError

#: More than such a file ever holds: a token of the greatest length takes a fifth. One that never
#: ends, as /dev/full, is told.
_FILE_BYTES_MAX: Final = 8 * TOKEN_BYTES_MAX


class NotKept(IndefiniteError):
    """The command was done, only a file that it was to keep can't be written."""


def read_token(file: Path | None) -> bytes | None:
    """The token in a file; None if there is none. Raises InvalidRequest."""
    if file is None or not file.exists():
        return None
    try:
        token = token_of(read_small(file))
        if token:
            decode_token(token)
    except (OSError, ValueError, MalformedError) as error:
        raise InvalidRequest(f"can't read the token file {file}: {error}") from None
    return token or None


def read_small(file: Path) -> str:
    """What a file holds. Raises OSError, or ValueError where it is none that was written here."""
    with file.open("rb") as stream:
        content = stream.read(_FILE_BYTES_MAX + 1)
    if len(content) > _FILE_BYTES_MAX:
        raise ValueError(f"it has more than {_FILE_BYTES_MAX} bytes")
    return content.decode()


def write_token(file: Path | None, token: bytes | None) -> None:
    """Keep a token in a file, if both are there. Raises NotKept."""
    if file is not None and token is not None:
        replace(file, printable(token) + "\n", "its session")


def replace(file: Path, text: str, what: str) -> None:
    """Replace a file whole, so that an interrupted command leaves the one before. Raises
    NotKept: what the command was to do is done then, only `what` is not kept."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text)
        partial.replace(file)
    except OSError as error:
        raise NotKept(
            f"the command was done, but {what} can't be kept in {file}: {error}"
        ) from None
