"""Session tokens: opaque to applications, [cluster, vector] to clients and nodes."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Final, overload

from kvnode.codec.packing import pack, text, told, unpack_array, vector
from kvnode.core.limits import KIB
from kvnode.core.vector import Vector, joined
from kvnode.errors import InvalidRequest, MalformedError, Refused

CLUSTER_BYTES_MAX: Final = 64

#: What a cluster is called that nobody named.
DEFAULT_CLUSTER: Final = "kvnode"

#: A vector in normal form has a few entries; this has room for two thousand.
TOKEN_BYTES_MAX: Final = 64 * KIB


#: Usual tokens have under 200 bytes; larger ones are not worth memory.
_CACHED_TOKEN_BYTES_MAX: Final = KIB


def encode_token(cluster: str, seen: Vector) -> bytes:
    """The token of a session that has seen this vector."""
    return pack([cluster, dict(seen)])


def decode_token(token: bytes) -> tuple[str, Vector]:
    """Its cluster and vector; raises MalformedError."""
    if len(token) <= _CACHED_TOKEN_BYTES_MAX:
        return _decode_cached(token)
    if len(token) > TOKEN_BYTES_MAX:
        raise MalformedError(f"a token must have at most {TOKEN_BYTES_MAX} bytes")
    return _decode(token)


def _decode(token: bytes) -> tuple[str, Vector]:
    cluster, seen = unpack_array(token, 2, "a token")
    return text(cluster, CLUSTER_BYTES_MAX, "a token's cluster"), vector(seen, "a token's vector")


# Requests in flight carry the same few tokens.
_decode_cached = lru_cache(maxsize=256)(_decode)


@overload
def printable(token: bytes) -> str: ...


@overload
def printable(token: None) -> None: ...


def printable(token: bytes | None) -> str | None:
    """A token as text, for a cookie, a header or a file: URL-safe base64 without padding. None, of
    a session that has seen nothing yet, stays None."""
    if token is None:
        return None
    if not isinstance(token, bytes):
        raise InvalidRequest(f"a token is bytes, of a session or a change; not {told(token)}")
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def token_of(text: str) -> bytes:
    """The inverse, also of usual base64 with padding. Raises MalformedError."""
    standard = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except ValueError as error:
        raise MalformedError(f"a printable token must be base64: {error}") from None


def merge_tokens(one: bytes | None, other: bytes) -> bytes:
    """The token of a session that has seen what both have."""
    if one is None or one == other:
        return other
    cluster, seen = decode_token(one)
    other_cluster, other_seen = decode_token(other)
    if cluster != other_cluster:
        raise Refused(f"the session is of cluster {cluster!r}, the node of {other_cluster!r}")
    return encode_token(cluster, joined(seen, other_seen))
