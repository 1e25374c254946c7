"""Calls: how nodes talk where the usual links do not work.

A node *calls* another one that does not hear its gossip, or can't open a link to it. A call is an
operation like others. It and its answer carry messages that otherwise go by gossip or over the
other node's own link: each is an array that starts with its kind.

    call      ["call", name, instance, hears, [message, ...]]
    answer    ["ok", wants_calls, [message, ...]]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from kvnode.codec.client import Operation
from kvnode.codec.gossip import claim_of, parts_of
from kvnode.codec.packing import INTEGER_MAX, array, dot, integer, told
from kvnode.core.messages import Claim
from kvnode.core.vector import Dot
from kvnode.errors import MalformedError

#: The error of a call that is too early: the one that is called does not know who calls so far.
NOT_YET: Final = "not_yet"

#: Messages of one call or answer: a claim, a write that is awaited, a report and a question.
MESSAGES_MAX: Final = 4


class Asks(NamedTuple):
    """An operation that the caller is asked to run."""

    id: int
    operation: Operation


class Answered(NamedTuple):
    """What came of an operation that this node asked a caller to run."""

    id: int
    result: list[Any]


Message = Claim | Dot | Asks | Answered


class Call(NamedTuple):
    """What a process says that calls."""

    name: str
    instance: int
    #: Whether it hears the gossip of the node that it calls.
    hears: bool
    messages: tuple[Message, ...]


class CallAnswer(NamedTuple):
    """What a node answers to a call."""

    #: Whether it wants to be called on, at each heartbeat.
    wants_calls: bool
    messages: tuple[Message, ...]


def call(name: str, instance: int, *, hears: bool, messages: list[Message]) -> Operation:
    """Answered with a `CallAnswer`."""
    return ["call", name, instance, hears, encode_messages(messages)]


def encode_messages(messages: Iterable[Message]) -> list[list[Any]]:
    """As they travel."""
    return [_encode(message) for message in messages]


def decode_messages(encoded: Any, name: str, instance: int) -> tuple[Message, ...]:
    """Check and decode what the process of that name and instance says; raises MalformedError."""
    messages = array(encoded, None, "the messages of a call")
    if len(messages) > MESSAGES_MAX:
        raise MalformedError(f"a call must have at most {MESSAGES_MAX} messages")
    return tuple(_decode(message, name, instance) for message in messages)


def decode_call_answer(result: list[Any], name: str, instance: int) -> CallAnswer:
    """Check and decode the answer to a call, by the process of that name and instance; raises
    MalformedError."""
    _, wants_calls, messages = array(result, 3, "the answer to a call")
    if type(wants_calls) is not bool:
        raise MalformedError("the answer to a call must say whether more are wanted")
    return CallAnswer(wants_calls, decode_messages(messages, name, instance))


def _encode(message: Message) -> list[Any]:
    match message:
        case Claim():
            return ["claim", *parts_of(message)]
        case Asks(id_, operation):
            return ["ask", id_, operation]
        case Answered(id_, result):
            return ["answered", id_, result]
        case Dot():
            return ["awaited", *message]


def _decode(message: Any, name: str, instance: int) -> Message:
    if type(message) is not list or not message:
        raise MalformedError("a message of a call must be an array that starts with its kind")
    kind, *parts = message
    match kind:
        case "claim":
            return claim_of(name, instance, parts)
        case "awaited":
            return dot(parts, "an awaited write")
        case "ask":
            id_, operation = array(parts, 2, "what a call asks")
            return Asks(_id(id_), array(operation, None, "an operation"))
        case "answered":
            id_, result = array(parts, 2, "what a call answers")
            return Answered(_id(id_), array(result, None, "a result"))
    raise MalformedError(f"a call has a message of an unknown kind: {told(kind)}")


def _id(value: Any) -> int:
    return integer(value, 0, INTEGER_MAX, "the id of a question")
