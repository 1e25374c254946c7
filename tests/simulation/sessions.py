"""Clients: sessions that do every operation, move between nodes with their token, give up
waiting, and go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from kvnode.client.session import Request, Session
from kvnode.client.values import packed_value
from kvnode.codec import client as ask
from kvnode.codec.packing import unpack_record
from kvnode.codec.server import decode_request
from kvnode.codec.token import decode_token
from kvnode.core.vector import Dot, Missing, Vector
from kvnode.errors import (
    Delayed,
    IndefiniteError,
    KvnodeError,
    SessionLost,
    WrongNode,
)
from tests.simulation.cluster import REPLACED, Cluster
from tests.simulation.dice import Dice
from tests.simulation.machine import Flight, values_of
from tests.simulation.oracle import PUT_ONLY, Seen

_PATIENCE_US: Final = 1_000_000

#: Where links are narrow, a client puts so many values that are not gossiped, of such sizes.
_LARGE_MAX: Final = 2
_LARGE_BYTES: Final = (33_000, 200_000)

#: The wishes that change something.
_WRITES: Final = ("put", "delete", "write", "put expiring", "touch")

#: What the keys start with that the judge is told of.
_PUT_ONLY: Final = PUT_ONLY.decode()

#: A session whose past is nowhere any more starts anew.
_DELAYS_MAX: Final = 3

#: So often a request with an id is asked for at the most.
_ATTEMPTS_MAX: Final = 6


@dataclass(slots=True)
class Doubtful:
    """A request with an id, which is asked for until its outcome is known, or given up."""

    #: Where it is asked for, each time.
    node: str
    #: The id first.
    operations: list[ask.Operation]
    told: list[list[dict[str, Any]]]
    attempts: int = 1
    #: Whether an attempt may have done it.
    is_in_doubt: bool = False


class SimulatedScan(NamedTuple):
    """What is left of a scan."""

    cut: int | None
    start: bytes | None
    end: bytes | None
    limit: int | None
    page_size: int
    reverse: bool
    shows: str

    @staticmethod
    def begun(dice: Dice, keys: int) -> SimulatedScan:
        """Any range, as often as not all keys."""
        bounds = [dice.pick((None, f"{dice.pick('kp')}{dice.between(1, keys)}".encode(), None))
                  for _ in "se"]  # fmt: skip
        shows = dice.pick((ask.ENTRIES, ask.ENTRIES, ask.KEYS, ask.COUNT))
        return SimulatedScan(
            None, bounds[0], bounds[1], dice.pick((None, None, 1, 5)), dice.between(1, 4),
            dice.chance(0.5), shows,
        )  # fmt: skip

    def page(self) -> ask.Operation:
        """What asks for its next page."""
        cut, start, end, limit, page, reverse, shows = self
        return ask.scan(cut, start, end, limit, page, reverse=reverse, shows=shows)

    def after(self, cut: int, seen: int, goes_on_at: bytes) -> SimulatedScan:
        """What is left after a page."""
        limit = None if self.limit is None else self.limit - seen
        bound = {"end" if self.reverse else "start": goes_on_at}
        return self._replace(cut=cut, limit=limit, **bound)


class SimulatedClient:
    """One client; when it drops its token, or some of it, it is a new session."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.busy = False
        self._cluster = cluster
        self._world = cluster.world
        self._dice = Dice(cluster.plan.seed, f"client {name}")
        self._home = self._dice.pick(cluster.names)
        self._values = 0
        #: How often it was to ask something next: only the latest counts.
        self._works = 0
        self._large_left = _LARGE_MAX if "narrow links" in cluster.plan.faults else 0
        #: What each key held when it was last read.
        self._held: dict[str, list[Dot]] = {}
        #: The scan that it is at, if it is at one.
        self._scan: SimulatedScan | None = None
        self._asked_scan: SimulatedScan | None = None
        #: What it has asked for and has no good answer to.
        self._wanted: list[tuple[str, str]] = []
        self._sessions = 0
        #: The request with an id that has no good answer yet.
        self._doubtful: Doubtful | None = None
        #: Who each node is, and how many requests with ids it had done.
        self._positions: dict[str, tuple[str, int]] = {}
        self._begin()

    @property
    def is_done(self) -> bool:
        """Whether it waits for nothing, and the judge was told of all that it asked for."""
        return not self.busy and self._doubtful is None

    @property
    def seen(self) -> Seen:
        """What its session has seen, as the oracle counts it."""
        return self._seen

    @property
    def token(self) -> Vector:
        """What its session has seen, as its token says it."""
        return decode_token(self._session.token)[1] if self._session.token else {}

    def work(self) -> None:
        """Ask, and ask again a while after the answer, as long as there is trouble."""
        if self._world.now_us >= self._cluster.trouble_ends_us:
            if self._doubtful is not None:
                self._doubtful = None
                self._tell(None)
            return
        if self._doubtful is not None:
            self._doubtful.attempts += 1
            self._world.states["a request with an id asked for again"] += 1
            node = self._doubtful.node
            if self._dice.chance(0.1):  # the address leads elsewhere now
                node = self._dice.pick(self._cluster.names)
            self._ask(node, self._doubtful.operations, self._doubtful.told)
            return
        if self._dice.chance(0.1):
            self._home = self._dice.pick(self._cluster.names)
            self._world.states["a session moved"] += 1
        if self._wanted and self._dice.chance(0.5):
            self._world.states["a request tried again"] += 1
        else:
            self._wanted = self._wishes()
        has_id = any(kind in _WRITES for kind, _ in self._wanted) and self._dice.chance(0.7)
        if has_id and self._home not in self._positions:
            self._ask(self._home, [ask.POSITION], [])
            return
        operations, told = self._operations()
        self._wait_for_replicas(operations)
        if has_id:
            id_ = bytes(self._dice.between(0, 255) for _ in range(ask.REQUEST_ID_BYTES))
            operations = [ask.once(id_, *self._positions[self._home]), *operations]
            self._doubtful = Doubtful(self._home, operations, told)
        self._ask(self._home, operations, told)

    def writes_at(self, node: str) -> None:
        """Its connections have ended there: write something at once, whatever it waits for."""
        if self._world.now_us >= self._cluster.trouble_ends_us:
            return
        if self.busy:
            self._tell_unless_asked_again(None)
        self._works += 1
        self._home = node
        if self._doubtful is not None:
            self.work()
            return
        key = f"{self._dice.pick((_PUT_ONLY, 'k'))}{self._dice.between(1, self._cluster.plan.keys)}"
        self._wanted = [("put", key)]
        operations, told = self._operations()
        self._ask(node, operations, told)

    def _ask(
        self, node: str, operations: list[ask.Operation], told: list[list[dict[str, Any]]]
    ) -> None:
        wait_s = self._dice.pick((0.0, 0.05, 1.0, 1.0))
        request = self._session.request(operations, wait_s)
        self._request, self._told, self.busy = request, told, True
        decoded = decode_request(request.payload).operations
        flight = Flight(
            self._session_name, self._seen, decoded if isinstance(decoded, tuple) else ()
        )
        self._world.note(f"{self._session_name} asks {node}: {operations}")
        self._cluster.send_request(self, node, flight, request.payload)
        held_ms = operations[-1][2] if operations[-1][0] == "replicated" else 0
        patience_us = _PATIENCE_US + int(wait_s * 1_000_000) + 1000 * held_ms
        if self._doubtful is not None and self._dice.chance(0.3):
            patience_us //= 20  # so that it comes again while it waits
        self._world.after(patience_us, lambda: self._give_up(request, node, flight))

    def receive(self, flight: Flight, payload: bytes, seen: Seen) -> None:
        """An answer arrives, perhaps one that nobody waits for any more."""
        if not self.busy or flight.session != self._session_name:
            return
        try:
            results = self._session.results(self._request, payload)
            if results is None:
                return
            if not flight.operations:
                self._positions[self._home] = results[0][1], results[0][2]
            else:
                self._seen |= seen
                self._delays = 0
                results, repeated = self._known(results)
                self._tell(results, repeated=repeated)
                self._wanted = []
        except Delayed as delayed:
            self._world.states["told: delayed"] += 1
            self._delays += 1
            self._tell_unless_asked_again(delayed)
            if self._delays == _DELAYS_MAX:
                self._world.reach("a session given up")
                self._begin()
        except SessionLost as lost:
            self._world.reach("told: SessionLost")
            self._tell(None)
            self._doubtful = None
            self._go_on_with(lost.token)
        except KvnodeError as error:
            self._world.reach(f"told: {type(error).__name__}")
            self._tell_unless_asked_again(error)
        self._rest()

    def _known(self, results: list[list[Any]]) -> tuple[list[list[Any]], bool]:
        """The results without that of the id, and whether it was done before."""
        asked, self._doubtful = self._doubtful, None
        if asked is None:
            return results, False
        (_, repeated, done), *others = results
        # An older disk may not know of the first attempt, and judge the conditions anew.
        forgets = asked.attempts > 1 and asked.node in self._cluster.oracle.forgetful
        if repeated:
            self._world.reach("a request found done")
        self._positions[asked.node] = self._positions[asked.node][0], done
        decoded = decode_request(self._request.payload).operations
        assert isinstance(decoded, tuple)
        for operation, (status, *_) in zip(decoded[1:], others, strict=True):
            if status == "conflict" and not forgets:
                self._cluster.undone.update(values_of([operation]))
        return others, repeated

    def _tell_unless_asked_again(self, error: KvnodeError | None) -> None:
        """The attempt failed, by an error or with no answer: the judge is told in the end."""
        asked = self._doubtful
        if asked is None:
            self._tell(None)
            return
        if error is None or isinstance(error, IndefiniteError):
            asked.is_in_doubt = True
        elif isinstance(error, WrongNode):
            self._positions.pop(asked.node, None)
        is_final = isinstance(error, WrongNode) or asked.attempts == _ATTEMPTS_MAX
        if not asked.is_in_doubt or is_final or self._delays == _DELAYS_MAX:
            if not asked.is_in_doubt:
                operations = decode_request(self._request.payload).operations
                assert isinstance(operations, tuple)
                self._cluster.undone.update(values_of(operations))
            self._doubtful = None
            self._tell(None)

    def _begin(self) -> None:
        self._session = Session(None)
        self._seen: Seen = 0
        self._name_session()

    def _go_on_with(self, token: bytes) -> None:
        """Go on with what is left of the past; for the judge, that is another session.

        It may read what was there before the writes that are lost, though others have read these.
        """
        self._session.token = token
        _, left = decode_token(token)
        self._seen &= self._cluster.oracle.known(Missing(o, 1, n) for o, n in left.items())
        self._name_session()

    def _name_session(self) -> None:
        self._sessions += 1
        self._session_name = f"{self.name}.{self._sessions}"
        self._delays = 0

    def _wishes(self) -> list[tuple[str, str]]:
        """What to do to which keys."""
        wishes = []
        for _ in range(self._dice.pick((1, 1, 1, 2, 4))):
            number = self._dice.between(1, self._cluster.plan.keys)
            put_only = self._dice.chance(0.5)
            key = f"{_PUT_ONLY if put_only else 'k'}{number}"
            changing = "put" if put_only else "delete"
            kinds = ("put", "get", "read", changing, "write", "scan")
            kind = self._dice.pick(kinds if put_only else (*kinds, "put expiring", "touch"))
            wishes.append((kind, key))
        return wishes

    def _operations(self) -> tuple[list[ask.Operation], list[list[dict[str, Any]]]]:
        """What to ask, and how the judge is told of each operation (put-only keys alone).

        Each put has a value of its own, also when it is tried again.
        """
        operations, told = [], []
        for kind, key in self._wanted:
            if kind == "put":
                value = self._value()
                operations.append(ask.put(key.encode(), packed_value(value)))
                told.append(self._line("put", key, value))
            elif kind == "put expiring":
                value = packed_value(self._value())
                operations.append(ask.put(key.encode(), value, self._ttl_ms()))
                told.append([])
            elif kind == "touch":
                ttl_ms = self._ttl_ms() if self._dice.chance(0.7) else None
                operations.append(ask.touch(key.encode(), ttl_ms))
                told.append([])
            elif kind == "write":
                operation, lines = self._write(key)
                operations.append(operation)
                told.append(lines)
            elif kind == "scan":
                self._scan = self._scan or SimulatedScan.begun(self._dice, self._cluster.plan.keys)
                self._asked_scan = self._scan
                operations.append(self._scan.page())
                told.append([])
            else:
                operations.append(self._asking(kind, key.encode()))
                told.append(self._line("get", key, None))
        return operations, told

    def _wait_for_replicas(self, operations: list[ask.Operation]) -> None:
        """Perhaps have the answer wait for others."""
        if not self._dice.chance(0.3):
            return
        timeout_ms = self._dice.pick((0, 20, 200, 1000))
        nodes = self._cluster.plan.nodes
        operations.append(ask.replicated(self._dice.pick((1, 2, 2, 2, 3, nodes)), timeout_ms))

    def _value(self) -> str:
        self._values += 1
        value = f"{self.name}:{self._values}"
        if self._large_left and self._dice.chance(0.05):
            self._large_left -= 1
            value += ":" + "x" * self._dice.between(*_LARGE_BYTES)
            self._cluster.large_bytes += len(value)
        return value

    def _ttl_ms(self) -> int:
        return self._dice.pick((1, 100, 1_000, 5_000, 60_000))

    def _line(self, op: str, key: str, value: str | None) -> list[dict[str, Any]]:
        line = {"session": self._session_name, "op": op, "key": key, "value": value}
        return [line] if key.startswith(_PUT_ONLY) else []

    def _write(self, key: str) -> tuple[ask.Operation, list[dict[str, Any]]]:
        """Several changes as one write, of the key and of another, perhaps on a condition."""
        others = [f"k{number}" for number in range(1, self._cluster.plan.keys + 1)]
        puts = {key: self._value(), self._dice.pick(others): self._value()}
        changes: list[tuple[bytes] | tuple[bytes, bytes]] = []
        if self._dice.chance(0.3):  # the last change of a key counts
            changes.append((key.encode(), REPLACED))
        changes += [(k.encode(), packed_value(value)) for k, value in puts.items()]
        if self._dice.chance(0.3):
            changes.append((self._dice.pick(others).encode(),))
        deleted = {change[0] for change in changes if len(change) == 1}
        conditions = []
        if self._dice.chance(0.5):
            about = self._dice.pick((key, *others))
            conditions = [(about.encode(), self._held.get(about, []))]
        lines = [
            line
            for k, value in puts.items()
            if k.encode() not in deleted
            for line in self._line("put", k, value)
        ]
        expires = not lines and self._dice.chance(0.3)
        return ask.write(conditions, changes, self._ttl_ms() if expires else None), lines

    def _asking(self, kind: str, key: bytes) -> ask.Operation:
        if kind == "read":
            return ask.read(key, 0)
        return ask.get(key) if kind == "get" else ask.delete(key)

    def _tell(self, results: list[list[Any]] | None, *, repeated: bool = False) -> None:
        """The judge is told; the reads of a request that was done before came after its writes."""
        history = []
        for at, lines in enumerate(self._told):
            ok = results is not None and results[at][0] == "ok"
            for line in lines:
                if ok and line["op"] == "get":
                    assert results is not None
                    versions = results[at][1]
                    line["value"] = unpack_record(versions[0][3]) if versions else None
                history.append(line | {"ok": ok})
            if results is not None:
                self._remember(at, results[at])
        history.sort(key=lambda line: repeated and line["op"] == "get")
        self._cluster.history += history

    def _remember(self, at: int, result: list[Any]) -> None:
        """What was read; and that conditions did not hold is worth reaching."""
        kind, key = self._wanted[at]
        if kind == "read" and result[0] == "ok":
            self._held[key] = [Dot(origin, seq) for _, origin, seq, *_ in result[1]]
        elif kind == "scan":
            self._scan_on(result)
        elif result[0] == "conflict":
            self._world.reach("told: Conflict")

    def _scan_on(self, result: list[Any]) -> None:
        """All pages in one request were asked for with the same words."""
        scan = self._asked_scan
        if result[0] == "ok" and scan is not None:
            _, cut, records, goes_on_at = result
            seen = records if isinstance(records, int) else len(records)
            if goes_on_at is None and scan.cut is not None:
                self._world.reach("a scan of several pages read to its end")
            self._scan = None if goes_on_at is None else scan.after(cut, seen, goes_on_at)
        elif result[0] == "error":
            self._world.reach(f"a scan ended: {result[1]}")
            self._scan = None

    def _give_up(self, request: Request, node: str, flight: Flight) -> None:
        if self.busy and self._request is request:
            self._world.reach("a request timed out")
            if self._dice.chance(0.3):
                self._world.reach("a request cancelled")
                cancelling = self._session.request([ask.cancel(request.id)], 0)
                self._cluster.send_request(self, node, flight, cancelling.payload)
            self._tell_unless_asked_again(None)
            self._rest()

    def _rest(self) -> None:
        self.busy = False
        self._works += 1
        number = self._works

        def work() -> None:
            if number == self._works:
                self.work()

        self._world.after(self._dice.after(self._cluster.plan.think_us), work)
