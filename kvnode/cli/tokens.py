"""Files that carry sessions from one command to the next."""

from __future__ import annotations

import os
from pathlib import Path

from kvnode.codec.token import decode_token, printable, token_of
from kvnode.errors import IndefiniteError, InvalidRequest, MalformedError


def read_token(file: Path | None) -> bytes | None:
    """The token in a file; None if there is none. Raises InvalidRequest."""
    if file is None or not file.exists():
        return None
    try:
        token = token_of(file.read_text())
        if token:
            decode_token(token)
    except (OSError, ValueError, MalformedError) as error:
        raise InvalidRequest(f"can't read the token file {file}: {error}") from None
    return token or None


def write_token(file: Path | None, token: bytes | None) -> None:
    """Keep a token in a file, if both are there. Raises IndefiniteError."""
    if file is not None and token is not None:
        replace(file, printable(token) + "\n", "its session")


def replace(file: Path, text: str, what: str) -> None:
    """Replace a file whole, so that an interrupted command leaves the one before. Raises
    IndefiniteError: what the command was to do is done then, only `what` is not kept."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text)
        partial.replace(file)
    except OSError as error:
        raise IndefiniteError(
            f"the command was done, but {what} can't be kept in {file}: {error}"
        ) from None
