"""Properties of the replica that do not read well as stories.

A random schedule is written as a scenario, so that one that fails can become a case file.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from kvnode.codec.batches import decode_batch, encode_batch
from kvnode.codec.client import get, put, read
from kvnode.core.batch import Batch, Change
from kvnode.core.chain import NO_CHAIN, chained, check_of
from kvnode.core.clock import Now
from kvnode.core.limits import BATCH_BYTES_TARGET, GOSSIP_BYTES_MAX, Limits
from kvnode.core.messages import Claim, Effects, Inputs, Pull, Pulled
from kvnode.core.replica import Identity, Replica
from kvnode.core.requests import Request
from kvnode.core.results import Entry, Written
from kvnode.core.vector import Dot, new_origin
from kvnode.storage.memory import MemoryDisk, MemoryStore
from tests.cluster import HEARTBEAT_US, request
from tests.oracle import Judged

NAMES = ("X", "Y", "Z", "W")

#: What happens, to one node and another, and a number that says more.
Step = tuple[str, int, int, int]

#: What may happen, as often as it stands here.
STEPS = (
    *("put", "put", "put", "del", "turn", "turn", "deliver", "deliver", "deliver", "deliver"),
    *("duplicate", "lose", "lose", "heartbeat", "heartbeat", "pull", "pull", "advance"),
    *("restart", "crash", "fail", "skew", "save", "roll-back"),
)

#: What happens to no disk that keeps its promises.
FORGETTING = ("save", "roll-back")


def command(story: Judged, step: str, one: str, other: str, n: int) -> str:
    """The line of a scenario that this step becomes; empty where it can't be taken."""
    machine, key = story.machines[one], "abc"[n % 3]
    waiting = [decode_batch(encoded) for encoded in machine.inbox]
    published = [decode_batch(encoded) for encoded in story.published]
    session = ("", " session=alice deadline=200ms", " session=bob")[n // 3 % 3]
    match step:
        case "put":
            return f"put {one} {key} {len(story.bit)}{session}"
        case "del":
            return f"del {one} {key}{session}"
        case "turn":
            dots = [story.span(waiting[n % len(waiting)]).split("-")[0]] if waiting else []
            lines = [f"put {key} 1{session}", *(f"deliver {dot}" for dot in dots), f"read {key}"]
            more = [f"put {key} 2", "put d 3", f"del {key}{session}"][: n % 4]
            return "\n  ".join([f"turn {one}", *lines, *more])
        case "deliver" if n % 7 == 0:
            return f"deliver all -> {one}"
        case "deliver" | "lose" if waiting:
            return f"{step} {story.span(waiting[n % len(waiting)]).split('-')[0]} -> {one}"
        case "duplicate" if published:
            return f"{step} {story.span(published[n % len(published)]).split('-')[0]} -> {one}"
        case "heartbeat" if one != other:
            return f"heartbeat {other} -> {one}"
        case "pull" if machine.asked is not None:
            return f"pull {one}"
        case "advance":
            return f"advance {(1, 30, 100, 450)[n % 4]}ms"
        case "crash":
            return f"crash {one}\nrestart {one}" if n % 3 else f"crash {one}"
        case "fail":
            return f"fail-commit {one} {('kept', 'lost')[n % 2]}"
        case "skew":
            return f"skew {one} {(-1, 0, 1)[n % 3]}s"
        case "restart" | "save" | "roll-back":
            return f"{step} {one}"
    return ""


def played(first: str, nodes: int, seed: int, steps: Sequence[Step]) -> Judged:
    """What is left after a schedule, with all nodes up again."""
    story, names, lines = Judged(seed), NAMES[:nodes], [first]
    story.run(first)
    try:
        for step, one, other, n in steps:
            name = names[one % nodes]
            if story.machines[name].running is None:
                lines.append(f"restart {name}")
            else:
                lines.append(command(story, step, name, names[other % nodes], n))
            story.run(lines[-1])
        for name, machine in story.machines.items():
            machine.disk.fail_next_commit = None
            if machine.running is None:
                lines.append(f"restart {name}")
                story.run(lines[-1])
        lines.append("advance 1s")  # so that each has opened its store for writing
        story.run(lines[-1])
        lines += ["heal", "compare"]
    finally:
        note("\n".join(line for line in lines if line))
    return story


def check(story: Judged) -> None:
    """Every node is right by itself; in peace, all become equal."""
    story.check_tables()
    story.check_rows()
    story.run("heal")
    story.check_tables()
    story.check_rows()
    story.check_equal()


schedules = {
    "nodes": st.integers(3, 4),
    "held": st.sampled_from((2, 100)),
    "seed": st.integers(0, 9),
    "steps": st.lists(
        st.tuples(
            st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 3), st.integers(0, 999)
        ),
        min_size=30,
        max_size=90,
    ),
}
#: Not shrunk: that takes minutes, and the story of a failure can be cut down by hand.
reproducible = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    phases=(Phase.explicit, Phase.generate),
)


@reproducible
@given(**schedules)
def test_all_converge_and_nothing_is_lost(
    nodes: int, held: int, seed: int, steps: list[Step]
) -> None:
    steps = [step for step in steps if step[0] not in FORGETTING]
    story = played(f"nodes {' '.join(NAMES[:nodes])} held={held}", nodes, seed, steps)
    check(story)
    assert set(story.shown.values()) == {sum(story.bit.values())}


@reproducible
@given(**schedules)
def test_all_converge_though_disks_forget(
    nodes: int, held: int, seed: int, steps: list[Step]
) -> None:
    first = f"nodes {' '.join(NAMES[:nodes])} held={held} durability=never"
    check(played(first, nodes, seed, steps))


# --- the effects of a turn


def made(
    name: str, disk: MemoryDisk, limits: Limits | None = None, origin: str | None = None
) -> Replica:
    """A replica of the first incarnation of this name, on what the disk has."""
    store = MemoryStore(disk)
    return Replica(
        Identity(name, 1),
        store.load(),
        store,
        encode_batch,
        lambda: 0.5,
        new_origin=lambda: origin or new_origin(name, 1, 1),
        limits=limits or Limits(),
        heartbeat_us=HEARTBEAT_US,
        commits_are_synced=True,
    )


def asked(*operations: list[object]) -> Request:
    """A client's request, without a session."""
    return request(None, None, 0, operations, 1)


def turned(replica: Replica, inputs: Inputs) -> Effects:
    """A turn, soon after the start."""
    return replica.turn(inputs, Now(1000, 1000))


def test_all_that_a_turn_tells_is_in_its_commit() -> None:
    theirs = turned(made("X", MemoryDisk()), Inputs(requests=[asked(put(b"a", b"1"))])).publish
    disk = MemoryDisk()
    replica = made("Y", disk)
    requests = [asked(put(b"a", b"2"), read(b"a", 0)), asked(get(b"a"), put(b"b", b"3"))]
    effects = turned(replica, Inputs(batches=list(theirs), requests=requests))

    assert effects.commit is not None
    assert effects.commit.batches == (*theirs, *effects.publish)
    committed = {
        Dot(batch.origin, seq)
        for batch in effects.commit.batches
        for seq in range(batch.first, batch.last + 1)
    }
    for result in [result for reply in effects.replies for result in reply.results]:
        if isinstance(result, Written):
            assert result.dot in committed
        else:
            assert isinstance(result, Entry)
            assert {Dot(it.origin, it.seq) for it in result.versions} <= committed
    assert effects.claim is not None
    assert effects.claim.delivered == effects.token == replica.cut.heads

    # The turn itself has changed nothing on disk; once committed, a restart knows it all.
    assert MemoryStore(disk).versions(b"a") == ()
    MemoryStore(disk).commit(effects.commit, sync=True)
    restarted = made("Y", disk)
    assert restarted.cut.heads == effects.token
    assert restarted.state.digest == effects.claim.digest
    assert restarted.state.origins == replica.state.origins


def test_a_turn_that_only_reads_has_nothing_to_commit_or_publish() -> None:
    effects = turned(made("X", MemoryDisk()), Inputs(requests=[asked(get(b"a"))]))
    assert effects.commit is None
    assert effects.publish == ()
    assert [reply.results for reply in effects.replies] == [(Entry((), 0),)]


def test_a_large_turn_leaves_as_several_batches_each_with_its_stamp() -> None:
    value = bytes(BATCH_BYTES_TARGET * 2 // 5)
    operations = [put(b"key %d" % n, value) for n in range(5)]
    effects = turned(made("X", MemoryDisk()), Inputs(requests=[asked(*operations)]))
    assert effects.commit is not None
    assert effects.commit.batches == effects.publish
    assert [(batch.first, batch.last) for batch in effects.publish] == [(1, 2), (3, 4), (5, 5)]
    assert len({batch.stamp_us for batch in effects.publish}) == 3
    assert all(not batch.deps for batch in effects.publish)

    peer = made("Y", MemoryDisk())
    delivered = turned(peer, Inputs(batches=[decode_batch(it.encoded) for it in effects.publish]))
    assert delivered.commit is not None
    assert delivered.commit.batches == effects.publish
    assert delivered.commit.origins == effects.commit.origins


def test_a_batch_too_large_for_gossip_is_claimed_at_once_and_pulled() -> None:
    author, peer = made("X", MemoryDisk()), made("Y", MemoryDisk())
    turned(author, Inputs())  # the heartbeat of the start
    quiet = turned(author, Inputs(requests=[asked(put(b"a", b"1"))]))
    assert quiet.claim is None
    large = turned(author, Inputs(requests=[asked(put(b"a", bytes(GOSSIP_BYTES_MAX)))]))
    assert large.claim is not None
    assert turned(peer, Inputs(claims=[large.claim])).pull == Pull("X", {})


def test_what_is_beyond_a_turns_limits_is_done_in_the_next_turn_at_once() -> None:
    author = made("X", MemoryDisk())
    batches = [
        batch
        for n in range(3)
        for batch in turned(author, Inputs(requests=[asked(put(b"a", b"%d" % n))])).publish
    ]
    limits = Limits(delivered_writes_per_turn=2, answered_bytes_per_turn=1)
    disk = MemoryDisk()
    replica = made("Y", disk, limits)
    requests = [asked(get(b"a")), asked(get(b"a"))]
    effects = turned(replica, Inputs(batches=batches, requests=requests))
    assert effects.commit is not None
    assert effects.commit.batches == tuple(batches[:2])
    assert len(effects.replies) == 1
    assert replica.wake_us() == 0

    MemoryStore(disk).commit(effects.commit, sync=True)
    effects = turned(replica, Inputs())
    assert effects.commit is not None
    assert effects.commit.batches == tuple(batches[2:])
    assert len(effects.replies) == 1
    assert replica.wake_us() > 0


def test_a_peer_is_asked_for_more_while_what_is_ready_fits_in_a_turn() -> None:
    x = new_origin("X", 1, 1)
    batches = [
        decode_batch(encode_batch(x, seq, {}, seq, ((Change(b"a", b"1"),),))) for seq in range(1, 7)
    ]
    replica = made("Y", MemoryDisk(), Limits(delivered_writes_per_turn=2))
    claim = Claim("X", 1, {x: 9}, {x: 9}, 0, {}, 0)
    assert turned(replica, Inputs(claims=[claim])).pull == Pull("X", {})
    effects = turned(replica, Inputs(pulled=[Pulled("X", tuple(batches))]))
    assert (effects.token, effects.pull) == ({x: 2}, None)
    effects = turned(replica, Inputs())
    assert (effects.token, effects.pull) == ({x: 4}, Pull("X", {x: 6}))
    effects = turned(replica, Inputs())
    assert (effects.token, effects.pull) == ({x: 6}, None)


def test_where_there_is_no_way_to_ask_a_peer_the_next_turn_asks_another() -> None:
    replica = made("Y", MemoryDisk())
    origins = {name: new_origin(name, 1, 1) for name in "XZ"}
    claims = [Claim(name, 1, {it: 1}, {it: 1}, 0, {}, 0) for name, it in origins.items()]
    asked_first = turned(replica, Inputs(claims=claims)).pull
    assert asked_first is not None
    asked_then = turned(replica, Inputs(unasked=[asked_first.name])).pull
    assert asked_then is not None
    assert {asked_first.name, asked_then.name} == set(origins)


def test_what_a_claim_calls_synced_survives_a_power_failure() -> None:
    story = Judged(seed=0)
    story.run("nodes X Y durability=never\nput X a 1\nrestart X\nheartbeat X -> Y")
    claimed = story.machines["Y"].replica.repair.claims["X"].synced
    story.run("crash X\nrestart X")
    assert story.machines["X"].replica.cut.covers(claimed)


# --- what a faulty peer does


def test_batches_that_overlap_do_no_harm() -> None:
    x = new_origin("X", 1, 1)
    long = decode_batch(encode_batch(x, 1, {}, 1, ((Change(b"a", b"1"),), (Change(b"b", b"2"),))))
    short = decode_batch(encode_batch(x, 2, {}, 2, ((Change(b"b", b"3"),),)))
    for batches in ([short, long], [long, short]):
        replica = made("Y", MemoryDisk())
        effects = turned(replica, Inputs(batches=batches))
        assert effects.token == {x: 2}
        assert effects.commit is not None
        assert all(len(versions) == 1 for versions in effects.commit.table.values())


def test_of_batches_that_overlap_what_is_here_an_alarm_tells() -> None:
    x = new_origin("X", 1, 1)
    first = made_by(x, 1, b"1")
    overlapping = decode_batch(encode_batch(x, 1, {}, 1, ((Change(b"a", b"1"),),) * 2))
    replica = made("Y", MemoryDisk())
    assert turned(replica, Inputs(batches=[first, overlapping])).token == {x: 1}
    assert list(replica.alarms.raised) == ["doubled X"]
    assert not replica.holdback.batches


# --- another branch of an origin: its machine went back in time


def made_by(origin: str, seq: int, value: bytes, before: bytes = b"") -> Batch:
    """A batch that goes on from one with these bytes."""
    write = (Change(b"a", value),)
    previous = chained(before) if before else NO_CHAIN
    return decode_batch(encode_batch(origin, seq, {}, seq, (write,), previous))


def test_what_goes_on_from_another_branch_is_neither_delivered_nor_held() -> None:
    x = new_origin("X", 1, 1)
    mine, theirs = made_by(x, 1, b"1"), made_by(x, 1, b"2")
    going_on = made_by(x, 2, b"3", mine.encoded)
    astray = made_by(x, 2, b"4", theirs.encoded)
    for inputs in (Inputs(batches=[astray]), Inputs(pulled=[Pulled("X", (astray,))])):
        replica = made("Y", MemoryDisk())
        turned(replica, Inputs(batches=[mine]))
        assert turned(replica, inputs).token == {x: 1}
        assert list(replica.alarms.raised) == ["doubled X"]
        assert not replica.holdback.batches
        assert turned(replica, Inputs(batches=[going_on])).token == {x: 2}


def test_what_was_held_and_turns_out_to_be_of_another_branch_is_asked_for_anew() -> None:
    """With what follows it still held, its place counts as not come."""
    x = new_origin("X", 1, 1)
    mine, theirs = made_by(x, 1, b"1"), made_by(x, 1, b"2")
    going_on = made_by(x, 2, b"3", mine.encoded)
    astray = made_by(x, 2, b"4", theirs.encoded)
    later = made_by(x, 3, b"5", going_on.encoded)
    replica = made("Y", MemoryDisk())
    turned(replica, Inputs(batches=[astray, later]))
    assert replica.holdback.contiguous(x, 1) == 3
    assert turned(replica, Inputs(batches=[mine])).token == {x: 1}
    assert list(replica.alarms.raised) == ["doubled X"]
    assert replica.holdback.contiguous(x, 1) == 1
    assert turned(replica, Inputs(batches=[going_on])).token == {x: 3}


def test_what_depends_on_another_branch_of_ones_own_writes_waits_without_an_alarm() -> None:
    replica = made("Y", MemoryDisk())
    (own,) = turned(replica, Inputs(requests=[asked(put(b"a", b"1"))])).publish
    x, deps = new_origin("X", 1, 1), {own.origin: 1}
    write = (Change(b"a", b"2"),)
    for check, vector in ((b"else", deps), (check_of(chained(own.encoded)), {own.origin: 1, x: 1})):
        theirs = decode_batch(encode_batch(x, 1, deps, 2, (write,), NO_CHAIN, check))
        shown = turned(replica, Inputs(batches=[theirs])).token
        assert (shown, replica.alarms.raised, replica.holdback.batches) == (vector, {}, {})


def test_what_others_wrote_after_own_writes_that_came_back_from_them_confirms_these() -> None:
    """As on a machine that went back in time: it may never move them then."""
    replica = made("Y", MemoryDisk())
    (own,) = turned(replica, Inputs(requests=[asked(put(b"a", b"1"))])).publish
    lost = made_by(own.origin, 2, b"2", own.encoded)
    later = made_by(own.origin, 3, b"3", lost.encoded)
    x, write = new_origin("X", 1, 1), (Change(b"a", b"4"),)
    check = check_of(chained(lost.encoded))
    theirs = decode_batch(encode_batch(x, 1, {own.origin: 2}, 4, (write,), NO_CHAIN, check))
    turned(replica, Inputs(pulled=[Pulled("X", (lost, theirs, later))]))
    assert replica.standing.unconfirmed() == {own.origin: 3}


def test_batches_of_one_turn_are_in_one_chain_and_the_next_incarnation_goes_on_from_it() -> None:
    value, disk = bytes(BATCH_BYTES_TARGET * 2 // 5), MemoryDisk()
    operations = [put(b"key %d" % n, value) for n in range(3)]
    effects = turned(made("X", disk), Inputs(requests=[asked(*operations)]))
    one, other = effects.publish
    assert (one.previous, other.previous) == (NO_CHAIN, chained(one.encoded))
    assert effects.commit is not None
    MemoryStore(disk).commit(effects.commit, sync=True)
    again = made("X", disk, origin=new_origin("X", 2, 2))
    (next_one,) = turned(again, Inputs(requests=[asked(put(b"a", b"1"))])).publish
    assert next_one.deps == {other.origin: 3}
    assert next_one.previous == chained(other.encoded)
    assert next_one.checks == check_of(next_one.previous)


def test_a_claim_tells_a_check_of_each_origin() -> None:
    x, z = (new_origin(name, 1, 1) for name in "XZ")
    theirs, others = made_by(x, 1, b"1"), made_by(z, 1, b"2")
    claim = turned(made("Y", MemoryDisk()), Inputs(batches=[theirs, others])).claim
    assert claim is not None
    assert list(claim.delivered) == [x, z]
    assert claim.checks == b"".join(check_of(chained(it.encoded)) for it in (theirs, others))


def test_an_answer_that_brings_nothing_new_is_not_asked_for_again_at_once() -> None:
    x = new_origin("X", 1, 1)
    first = decode_batch(encode_batch(x, 1, {}, 1, ((Change(b"a", b"1"),),)))
    replica = made("Y", MemoryDisk())
    turned(replica, Inputs(batches=[first]))
    claim = Claim("X", 1, {x: 2}, {x: 2}, digest=0, floor={}, wall_us=0)
    assert turned(replica, Inputs(claims=[claim])).pull == Pull("X", {x: 1})
    assert turned(replica, Inputs(pulled=[Pulled("X", (first,))])).pull is None
