"""kvnode: a causally consistent, always-writable, fully replicated key-value store."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvnode.client.async_watches import AsyncWatch
    from kvnode.client.asynchronous import AsyncClient, AsyncClientSession
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
        UnreadableValue,
        Unreplicated,
        Unsupported,
        WrongNode,
    )

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
    "UnreadableValue",
    "Unreplicated",
    "Unsupported",
    "Version",
    "Watch",
    "Written",
    "WrongNode",
    "printable",
]

_HOMES = ("client.sync", "client.calls", "client.pipeline", "client.watches", "codec.token")


def __getattr__(name: str) -> object:
    """A name is loaded when it is asked for: commands must begin sooner; asyncio costs the most."""
    import importlib

    for home in ("errors", *_HOMES, "client.asynchronous") if name in __all__ else ():
        if (found := vars(importlib.import_module(f"kvnode.{home}")).get(name)) is not None:
            return globals().setdefault(name, found)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
