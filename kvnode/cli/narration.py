"""Telling a story step by step: as text while it happens, or as one JSON document in the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from kvnode.cli.cluster import NotSeen
from kvnode.cli.exits import FAILED, OK, code_of_interrupt
from kvnode.core.vector import Dot, name_of, shown
from kvnode.errors import KvnodeError

_PROGRAM: Final = "kvnode demo"


class Narration:
    """The steps, what was observed in each, and how it ended."""

    def __init__(self, *, as_json: bool) -> None:
        self.steps: list[dict[str, Any]] = []
        self.final: dict[str, Any] = {}
        self.failure: str | None = None
        self._code = OK
        self._as_json = as_json

    def document(self) -> dict[str, Any]:
        """The transcript."""
        return {
            "ok": self.failure is None,
            "final": self.final,
            "steps": self.steps,
            "error": self.failure,
        }

    def say(self, line: str) -> None:
        """A line for people."""
        if not self._as_json:
            print(line, flush=True)

    def tell(
        self,
        title: str,
        observed: dict[str, Any],
        statuses: Mapping[str, Mapping[str, Any]],
        detail: str | None = None,
    ) -> None:
        """A step came out as it should: note it, with each node's vector."""
        vectors = {name: shown(status["vector"]) for name, status in statuses.items()}
        number = len(self.steps) + 1
        self.steps.append(
            {"step": number, "title": title, "observed": observed, "vectors": vectors}
        )
        self.say(f"{number:2}. {title}")
        if detail is not None:
            self.say(f"      {detail}")
        clocks = (f"{name} {vector_text(vector):<16}" for name, vector in vectors.items())
        self.say(f"      {'  '.join(clocks).rstrip()}")

    @contextmanager
    def told(self) -> Iterator[None]:
        """What fails in here is how the story ends."""
        try:
            yield
        except KvnodeError as error:
            self.failure, self._code = str(error), FAILED
        except KeyboardInterrupt as interrupt:
            self.failure, self._code = "interrupted", code_of_interrupt(interrupt)

    def end(self) -> int:
        """Say how it ended; the exit code."""
        if self._as_json:
            print(json.dumps(self.document()))
        elif self.failure is None:
            print("All steps were observed.")
        if self.failure is not None:
            print(f"{_PROGRAM}: step {len(self.steps) + 1}: {self.failure}", file=sys.stderr)
        return self._code


def expect(what: str, seen: Any, wanted: Any) -> None:
    """Raise NotSeen where something is not as it should be."""
    if seen != wanted:
        raise NotSeen(f"{what} should be {wanted!r}; it is {seen!r}")


def held_in(status: Mapping[str, Any], dot: Dot) -> dict[str, Any] | None:
    """The batch that begins with a write, if a node holds it back."""
    for held in status["held"]:
        if (held["origin"], held["first"]) == dot:
            return dict(held)
    return None


def dot_text(dot: Dot) -> str:
    """A write, for people."""
    return f"{name_of(dot.origin)}:{dot.seq}"


def vector_text(vector: Mapping[str, int]) -> str:
    """A vector that is shown by names."""
    return "{" + " ".join(f"{name}:{seq}" for name, seq in vector.items()) + "}"
