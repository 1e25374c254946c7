"""kvnode: a causally consistent, always-writable, fully replicated key-value store."""

from kvnode.client.calls import Transacted
from kvnode.client.pipeline import AsyncPipeline, Pending, Pipeline
from kvnode.client.scans import Entry
from kvnode.client.session import Version, Written
from kvnode.client.sync import Client, ClientSession
from kvnode.client.watches import Change, Watch
from kvnode.codec.token import printable
from kvnode.core.vector import Dot
from kvnode.errors import (
    CommitFailed,
    Compacted,
    Conflict,
    CutGone,
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
    Unreplicated,
    Unsupported,
    WrongNode,
)

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvnode.client.async_watches import AsyncWatch
    from kvnode.client.asynchronous import AsyncClient, AsyncClientSession

__all__ = [
    "AsyncClient",
    "AsyncClientSession",
    "AsyncPipeline",
    "AsyncWatch",
    "Client",
    "ClientSession",
    "Change",
    "CommitFailed",
    "Compacted",
    "Conflict",
    "CutGone",
    "DefiniteError",
    "Delayed",
    "Dot",
    "Entry",
    "IndefiniteError",
    "InvalidRequest",
    "KvnodeError",
    "MalformedError",
    "Overloaded",
    "Pending",
    "Pipeline",
    "Refused",
    "SessionLost",
    "TimedOut",
    "Transacted",
    "Unavailable",
    "Unreachable",
    "UnreadableAnswer",
    "Unreplicated",
    "Unsupported",
    "Version",
    "Watch",
    "Written",
    "WrongNode",
    "printable",
]

_OF_ASYNCIO = ("AsyncClient", "AsyncClientSession", "AsyncWatch")


def __getattr__(name: str) -> object:
    """asyncio costs more than all the rest, and is loaded when it is asked for."""
    if name in _OF_ASYNCIO:
        import kvnode.client.asynchronous

        return vars(kvnode.client.asynchronous)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_OF_ASYNCIO]
