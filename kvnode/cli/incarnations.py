"""Vectors and dots that are told of together, so that nobody takes one incarnation for another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kvnode.core.vector import created_s, is_origin, labels, name_of


class Incarnations:
    """Nodes' incarnations by their names where one name has one; else whole."""

    def __init__(self, *origins: Iterable[str]) -> None:
        self._labels = labels({origin for several in origins for origin in several})

    def vector(self, vector: Mapping[str, int]) -> str:
        """Its entries; each of these origins is among those that were given."""
        return self.dots((origin, vector[origin]) for origin in sorted(vector)) or "(nothing)"

    def dots(self, dots: Iterable[Sequence[Any]]) -> str:
        """Writes, as (origin, seq) or (origin, first seq, last seq)."""
        return " ".join(map(self.dot, dots))

    def dot(self, dot: Sequence[Any]) -> str:
        """A write, or several of one origin in a row."""
        origin, first, last = dot[0], dot[1], dot[-1]
        return f"{self._labels[origin]}:{first}" + ("" if first == last else f"-{last}")

    def notes(self) -> list[str]:
        """A line for each node of which there are several incarnations."""
        by_name: dict[str, list[str]] = {}
        for origin in sorted(self._labels):
            by_name.setdefault(name_of(origin), []).append(origin)
        return [
            f"{name} is here as {', and as '.join(map(_begun, origins))}: "
            "a node that is started anew, or on a new disk, numbers its writes anew"
            for name, origins in by_name.items()
            if len(origins) > 1
        ]


def _begun(origin: str) -> str:
    if not is_origin(origin):  # so a node may say that is none of ours
        return origin
    began = datetime.fromtimestamp(created_s(origin), UTC)
    return f"{origin}, begun {began:%Y-%m-%d %H:%M:%S} UTC"
