"""Every bound of the core, with its reason. Reaching one gives a clear error, or a drop
that repair mends; never unbounded memory and never a loss."""

from __future__ import annotations

from typing import Final, NamedTuple

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

#: A key is an identifier; a longer one is data and belongs into the value.
KEY_BYTES_MAX: Final = 4 * KIB

#: Keys that start so are kvnode's own; clients can't touch them.
RESERVED_PREFIX: Final = b"\0kvnode/"

#: A value travels whole, in one batch, through every node's memory.
VALUE_BYTES_MAX: Final = 8 * MIB

#: Bounds the lists that one batch makes a receiver build. A turn that writes more
#: makes several batches.
BATCH_WRITES_MAX: Final = 4096

#: What a batch is cut at when it holds several writes: small frames keep the queues of
#: slow subscribers small, and let a pull stop close to the size that was asked for.
BATCH_BYTES_TARGET: Final = 16 * KIB

#: A larger batch is not gossiped, only announced by a heartbeat at once: its receivers
#: pull it, as fast as their links are. What is gossiped can't be held back, and heartbeats wait
#: behind it: so a frame takes a heartbeat's time on a link of 64 kB a second. And a stuck
#: subscriber costs at most this times the PUB high-water mark.
GOSSIP_BYTES_MAX: Final = 32 * KIB

#: What one change adds to an encoded batch beside its key and value, at the most: the
#: headers of the write's array, the change's array, the key and the value, and the expiry.
CHANGE_OVERHEAD_BYTES: Final = 5 + 5 + 5 + 5 + 9

#: Entries of a vector on the wire. A vector in normal form has one entry for each live
#: name and a few more; a hundred nodes that spell out 300 incarnations each have 30,000.
VECTOR_ENTRIES_MAX: Final = 65_536

#: Batches in the answer to one pull: as many as an array on the wire may have items.
PULLED_BATCHES_MAX: Final = 4096

#: How long a request may wait at the server before it is answered as delayed.
REQUEST_DEADLINE_MS_MAX: Final = 600_000

#: Keys that the writes of one request change, and that their conditions are about, together: each
#: is looked up and merged in the turn that runs the request.
WRITE_KEYS_MAX: Final = 4096

#: Versions that the conditions of one request name.
CONDITION_DOTS_MAX: Final = 16_384

#: Keys and values of one write: it travels whole, in one batch, and one message holds it.
WRITE_BYTES_MAX: Final = 12 * MIB

#: How long a value may live that expires: a hundred years. Who wants more wants no expiry.
TTL_MS_MAX: Final = 100 * 365 * 86_400 * 1_000

#: Members that a write can wait for: far more than a cluster has.
REPLICAS_MAX: Final = 1024

#: How long a reply may be held back for them.
CONCERN_TIMEOUT_MS_MAX: Final = 600_000
#: Records in one page of a scan: about a millisecond of work.
SCAN_RECORDS_MAX: Final = 1000

#: What one page of a scan counts, since it carries nothing.
SCAN_COUNT_MAX: Final = 2048

#: Scans in one request, which run in one turn: each has at least one record, and may open a cut.
REQUEST_SCANS_MAX: Final = 16

#: Operations of one request, run in one turn.
REQUEST_OPERATIONS_MAX: Final = 1024

#: Writes of one request with an id: their results are remembered.
ONCE_WRITES_MAX: Final = 64

#: What its conflicts tell, to be remembered too.
ONCE_CONFLICT_BYTES_MAX: Final = 4 * KIB

#: Values in one answer: what one message can hold beside the framing. Versions that do not
#: fit are counted, and can be read by another request; what is read beyond gets an error.
ANSWER_VALUE_BYTES_MAX: Final = 12 * MIB


class Limits(NamedTuple):
    """The bounds of one replica's buffers; tests make them tiny."""

    #: Early batches: half a minute of a busy cluster's gossip. The furthest from
    #: deliverable are dropped first, and repair brings them again.
    held_batches_max: int = 100_000
    held_bytes_max: int = 64 * MIB

    #: Requests that wait for their session's past. One more is refused as overloaded.
    parked_requests_max: int = 10_000
    parked_bytes_max: int = 64 * MIB

    #: Replies held back until others have their writes. When either is reached, a further request
    #: that wants that is refused before it is run; so the last answer taken, of 12 MiB at most, may
    #: go beyond the second.
    concerns_max: int = 10_000
    concern_bytes_max: int = 64 * MIB

    #: Origins whose writes this node is to report: one for each process that lives and a few that
    #: have ended. The oldest is forgotten, which costs its clients half a second.
    awaited_origins_max: int = 1_000

    #: Writes delivered in one turn before the clients get theirs: about 30 ms of work.
    #: The rest stays ready, and the next turn starts at once.
    delivered_writes_per_turn: int = 4096

    #: Requests with ids whose results are remembered, the latest: some 20 MB on disk, and ten
    #: seconds of the greatest load. One that may have been forgotten is never done again, so a
    #: client that asks later than that is only left in doubt.
    remembered_requests_max: int = 100_000

    #: Values in the answers of one turn, which stand in memory together; requests beyond
    #: it are served in the next turn, which starts at once.
    answered_bytes_per_turn: int = 64 * MIB

    #: Work of one page of a scan, as `core.scans` counts it: 2048 small records or half a MiB at
    #: the most, some milliseconds ...
    scan_work_per_page: int = 2048
    #: ... and of all pages of a turn together, which others wait for: one page. Requests beyond it
    #: are served in the next turn, which starts at once.
    scan_work_per_turn: int = 2048

    #: Cuts that scans read. Each keeps replaced data on the disk, and up to one RocksDB buffer of
    #: 32 MiB in memory, until it is let go.
    cuts_max: int = 32

    #: What the turns that opened them had changed by then, which cuts keep in memory; one cut may
    #: have more.
    cut_bytes_max: int = 64 * MIB

    #: What one part of a snapshot holds: little enough for the server's clients to be served
    #: in between, and to come over a slow link in time.
    snapshot_part_bytes: int = MIB // 4

    #: Watches that have no answer yet. One more is refused as overloaded.
    watches_max: int = 10_000
    watches_bytes_max: int = 64 * MIB

    #: What an answer to a watch holds, or one write, if that is more: little enough for others to
    #: be served in between, and to come over a slow link in time.
    watch_answer_events: int = 1_000
    watch_answer_bytes: int = MIB

    #: Changes that one turn tells to all who wait for them, together: some milliseconds of work.
    told_events_per_turn: int = 5_000

    #: What is read of the log for one watch, and for all watches of one turn: some milliseconds of
    #: work. The others wait for the next turn.
    watch_read_bytes: int = MIB // 4
    watched_bytes_per_turn: int = MIB // 2

    #: Keys that one turn folds when a snapshot is put in place: some milliseconds of work. Fewer,
    #: if they are large: see `storage.layout.PAGE_BYTES_MAX`.
    folded_keys_per_turn: int = 500

    #: Keys that one turn looks at to remove what has expired: some milliseconds of work.
    swept_keys_per_turn: int = 500
    swept_bytes_per_turn: int = 8 * MIB

    #: What one turn looks at of the log to drop it.
    dropped_batches_per_turn: int = 256
    dropped_bytes_per_turn: int = 8 * MIB

    #: How long a wall clock must go on from where it jumped to until it is believed: longer than a
    #: time server that errs, or is started anew, takes to correct itself.
    clock_held_us: int = 60 * 1_000_000

    #: How long after one scrub of the table the next begins (0 for never), and what it reads
    #: at each heartbeat: half a megabyte a second, a hundredth of a processor.
    scrub_interval_us: int = 86_400 * 1_000_000
    scrubbed_bytes_per_heartbeat: int = MIB // 4

    #: Batches that all members have delivered stay in the log for so long, for watchers that
    #: come back ...
    log_kept_us: int = 600 * 1_000_000
    #: ... unless the log is greater than this.
    log_kept_bytes: int = 256 * MIB

    #: Beyond it even what a member lacks leaves the log: a dead member must not fill the
    #: disks of the living. If it comes back it gets a snapshot.
    log_bytes_max: int = 4 * GIB
