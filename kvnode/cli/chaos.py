"""`kvnode demo --chaos`: nothing acknowledged is lost while one disk that holds it survives.

Clients write at three real nodes while these are killed, stopped, cut off and wiped. In the
end every write that was acknowledged is looked for, on every node.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Final

from kvnode.cli.cluster import LocalCluster, NotSeen, until
from kvnode.cli.exits import FAILED, OK, code_of_interrupt, interrupted_once
from kvnode.cli.load import Writers, found_at
from kvnode.cli.trouble import Field, Step, plan
from kvnode.errors import KvnodeError

NAMES: Final = ("X", "Y", "Z")

#: Logs so short that who comes back often needs a snapshot; heartbeats so short that the show is.
_FLAGS: Final = (
    *("--allow-faults", "--heartbeat-ms", "100"),
    *("--log-keep-s", "0", "--log-keep-mib", "0", "--log-max-mib", "1"),
)

#: How much is written: enough to fill logs, little enough for the look at all of it to be quick.
_WRITERS_PER_NODE: Final = 2
_VALUE_BYTES: Final = 1_000
_PAUSE_S: Final = 0.005

#: How long faults last, and the quiet after them: too short for everything to heal.
_FAULT_S: Final = (0.4, 1.6)
_QUIET_S: Final = (0.2, 0.8)

#: How often a terminal sees the count grow.
_GLANCE_S: Final = 0.1

_SEED_BELOW: Final = 1_000_000


def chaos(*, seconds: float, seed: int | None, as_json: bool) -> int:
    """Play it; the exit code."""
    seed = secrets.randbelow(_SEED_BELOW) if seed is None else seed
    failure, code = None, FAILED
    with interrupted_once(), tempfile.TemporaryDirectory(prefix="kvnode-chaos-") as directory:
        show = Show(LocalCluster(NAMES, Path(directory), *_FLAGS), seed, quiet=as_json)
        try:
            with show.field.cluster:
                show.play(seconds)
        except KvnodeError as error:
            failure = str(error)
        except KeyboardInterrupt as interrupt:
            failure, code = "interrupted", code_of_interrupt(interrupt)
    show.line.end()
    show.tally["acknowledged"] = show.tally["acknowledged"] or show.field.writers.count
    ok = failure is None and show.ok
    if as_json:
        print(json.dumps({"ok": ok, **show.tally}))
    elif failure is None:
        print("\n".join(show.lines()))
    if failure is not None:
        print(f"kvnode demo: {failure}", file=sys.stderr)
    return OK if ok else code


class Show:
    """The trouble, and the tally of what was left of the writes."""

    def __init__(self, cluster: LocalCluster, seed: int, *, quiet: bool) -> None:
        nodes = cluster.nodes.values()
        writers = Writers(
            nodes, per_node=_WRITERS_PER_NODE, value_bytes=_VALUE_BYTES, pause_s=_PAUSE_S
        )
        self.field = Field(cluster, writers)
        self.line = Line(quiet=quiet)
        self.seed = seed
        #: What the document says beside `ok`. Until all was looked for, nobody knows what is lost.
        self.tally: dict[str, Any] = {
            "acknowledged": 0,
            "found": {},
            "lost": None,
            "digests_equal": False,
            "faults": self.field.toll,
        }
        self._start = time.monotonic()

    @property
    def ok(self) -> bool:
        """Whether every acknowledged write was found on every node, and their states are one."""
        count, found = self.tally["acknowledged"], self.tally["found"]
        everywhere = count > 0 and all(found.get(name) == count for name in NAMES)
        return everywhere and self.tally["digests_equal"] is True

    def play(self, seconds: float) -> None:
        """Trouble for so long, then peace, then the tally."""
        self._tell("X, Y and Z start")
        self.field.cluster.wait_for_mesh()
        with self.field.writers:
            self._make_trouble(time.monotonic() + seconds)
        self._tell("all faults have ended; X, Y and Z heal")
        self._agree()  # if they do not, what is lost is told all the same
        self._take_stock()
        # Not from what they said before: a node that has just started still writes its record.
        self.tally["digests_equal"] = self._agree()

    def lines(self) -> list[str]:
        """The tally for people."""
        tally = self.tally
        equal = "equal on X, Y and Z" if tally["digests_equal"] else "NOT EQUAL"
        faults = ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in tally["faults"].items())
        return [
            f"acknowledged  {tally['acknowledged']:,} writes",
            *(f"found on {name}    {found:,}" for name, found in tally["found"].items()),
            f"lost          {tally['lost']:,}",
            f"digests       {equal}",
            f"faults        {faults} (seed {self.seed})",
            f"snapshots     {self.field.snapshots_taken} taken by nodes that were too far behind",
        ]

    def _make_trouble(self, end: float) -> None:
        self._last("all is well", _QUIET_S[1])
        random = Random(self.seed)
        for steps in plan(random, list(NAMES)):
            lasts_s, quiet_s = random.uniform(*_FAULT_S), random.uniform(*_QUIET_S)
            if time.monotonic() > end:
                return
            with ExitStack() as stack:
                for step in steps:
                    stack.enter_context(step.played(self.field))
                self._last(_told(steps), lasts_s)
            self._last("the wounds heal", quiet_s)

    def _last(self, what: str, duration_s: float) -> None:
        """Let it be so for a while."""
        end = time.monotonic() + duration_s
        self._tell(what)
        while not self.field.writers.ending.wait(min(_GLANCE_S, max(0, end - time.monotonic()))):
            if time.monotonic() >= end:
                return
            self._tell(what, is_news=False)

    def _tell(self, what: str, *, is_news: bool = True) -> None:
        seconds = time.monotonic() - self._start
        count = self.field.writers.count
        self.line.show(f"{seconds:5.1f} s  {count:7,} acknowledged  {what}", is_news=is_news)

    def _agree(self) -> bool:
        try:
            return bool(until("X, Y and Z agree", self.field.cluster.agree))
        except NotSeen:
            return False

    def _take_stock(self) -> None:
        """Look for every acknowledged write on every node."""
        keys = self.field.writers.acknowledged()
        lost: set[str] = set()
        for name, node in self.field.cluster.nodes.items():
            self._tell(f"every one is looked for on {name}")
            found = found_at(node, keys, _VALUE_BYTES)
            self.tally["found"][name] = len(found)
            lost |= set(keys).difference(found)
        statuses = self.field.cluster.statuses().values()
        self.field.snapshots_taken += sum(status["snapshots_taken"] for status in statuses)
        self.tally |= {"acknowledged": len(keys), "lost": len(lost)}


class Line:
    """Where one sees how it goes: a line that changes on a terminal, else a line for each news."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._in_place = sys.stdout.isatty()

    def show(self, text: str, *, is_news: bool) -> None:
        """Show how it goes; `is_news` if it goes otherwise than before."""
        if self._quiet:
            return
        if self._in_place:
            columns = shutil.get_terminal_size().columns
            print(f"\r\x1b[K{text:.{columns - 1}}", end="", flush=True)
        elif is_news:
            print(text, flush=True)

    def end(self) -> None:
        """Leave the line as it is."""
        if self._in_place and not self._quiet:
            print()


def _told(steps: tuple[Step, ...]) -> str:
    return ", ".join(map(str, steps))
