"""A method looks to a person as the call that it makes."""

from __future__ import annotations

import inspect

from kvnode.client.methods import as_method


class Calls:
    def call(self, key: str, *, wait_s: float | None = None) -> None:
        """What it does."""


class Client:
    def _method(self, *arguments, **named):
        return arguments, named

    method = as_method(_method, Calls.call)


def test_it_has_the_name_the_words_and_the_signature_of_its_call() -> None:
    assert Client.method.__name__ == "call" and Client.method.__doc__ == "What it does."
    assert list(inspect.signature(Client.method).parameters) == ["self", "key", "wait_s"]
    assert list(inspect.signature(Client().method).parameters) == ["key", "wait_s"]
    assert Client().method("k", wait_s=1) == (("k",), {"wait_s": 1})
