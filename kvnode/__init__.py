"""kvnode: a causally consistent, always-writable, fully replicated key-value store."""

from kvnode.client.session import Version
from kvnode.client.sync import Client
from kvnode.core.vector import Dot
from kvnode.errors import (
    CommitFailed,
    DefiniteError,
    Delayed,
    IndefiniteError,
    InvalidRequest,
    KvnodeError,
    MalformedError,
    Overloaded,
    Refused,
    SessionLost,
    TimedOut,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
)

__version__ = "0.1.0"

__all__ = [
    "Client",
    "CommitFailed",
    "DefiniteError",
    "Delayed",
    "Dot",
    "IndefiniteError",
    "InvalidRequest",
    "KvnodeError",
    "MalformedError",
    "Overloaded",
    "Refused",
    "SessionLost",
    "TimedOut",
    "Unavailable",
    "Unreachable",
    "UnreadableAnswer",
    "Version",
]
