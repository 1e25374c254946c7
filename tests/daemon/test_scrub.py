"""The scrub: finds what a running digest can't see, a bit at each heartbeat."""

from __future__ import annotations

import pytest

from kvnode.core.alarms import Alarms
from kvnode.core.limits import Limits
from kvnode.core.messages import Commit
from kvnode.daemon.scrub import FIRST_SCRUB_US, Scrub
from kvnode.storage import layout
from kvnode.storage.memory import MemoryDisk, MemoryStore
from kvnode.storage.store import View
from tests.histories import random_history
from tests.states import state_of

INTERVAL_US = 1_000
STATE = state_of(random_history("XYZ", 60, seed=5).processes[0].log)


class Scrubbed:
    """A disk that may rot, and its scrub, which reads a record at each step."""

    def __init__(self, interval_us: int = INTERVAL_US) -> None:
        self.disk = MemoryDisk()
        self.store = MemoryStore(self.disk)
        commit = Commit(STATE.table, (), STATE.origins, STATE.clock_us, STATE.digest)
        self.store.commit(commit, sync=True)
        self.alarms = Alarms("X")
        self.views = 0
        self.now_us = 0
        limits = Limits(scrub_interval_us=interval_us, scrubbed_bytes_per_heartbeat=1)
        self.limits = limits
        self.scrub = Scrub()

    def view(self) -> View:
        self.views += 1
        return self.store.view()

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.scrub.step(self.view, self.alarms, self.limits, self.now_us)

    def once(self) -> None:
        """One whole scrub."""
        self.step()
        self.now_us += INTERVAL_US
        finished = self.scrub.finished
        for _ in range(len(STATE.table) + 2):
            self.step()
        assert self.scrub.finished == finished + 1

    @property
    def table(self) -> dict[bytes, bytes]:
        return self.disk.table


def test_a_sound_table_raises_nothing() -> None:
    scrubbed = Scrubbed()
    scrubbed.once()
    assert scrubbed.alarms.raised == {}


def lost(table: dict[bytes, bytes]) -> None:
    del table[min(table)]


def risen(table: dict[bytes, bytes]) -> None:
    table[b"risen"] = table[min(table)]


def exchanged(table: dict[bytes, bytes]) -> None:
    table[min(table)], table[max(table)] = table[max(table)], table[min(table)]


def torn(table: dict[bytes, bytes]) -> None:
    table[min(table)] = table[min(table)][:-1]


@pytest.mark.parametrize("damage", [lost, risen, exchanged, torn])
def test_a_damaged_table_raises_an_alarm_until_it_is_sound_again(damage) -> None:
    scrubbed = Scrubbed()
    sound = dict(scrubbed.table)
    damage(scrubbed.table)
    assert scrubbed.table != sound
    scrubbed.once()
    assert scrubbed.alarms.raised.keys() == {"table"}
    scrubbed.table.clear()
    scrubbed.table.update(sound)
    scrubbed.once()
    assert scrubbed.alarms.raised == {}


def test_it_begins_when_the_time_has_passed() -> None:
    scrubbed = Scrubbed()
    scrubbed.step()
    scrubbed.now_us = INTERVAL_US - 1
    scrubbed.step()
    assert scrubbed.views == 0
    scrubbed.now_us = INTERVAL_US
    scrubbed.step()
    assert scrubbed.views == 1


def test_the_next_begins_so_long_after_the_end_of_the_one_before() -> None:
    scrubbed = Scrubbed()
    scrubbed.once()
    scrubbed.now_us += INTERVAL_US - 1
    scrubbed.step()
    assert scrubbed.views == 1
    scrubbed.now_us += 1
    scrubbed.step()
    assert scrubbed.views == 2


def test_without_an_interval_there_is_none() -> None:
    scrubbed = Scrubbed(interval_us=0)
    scrubbed.now_us = 1 << 60
    scrubbed.step(10)
    assert scrubbed.views == 0


def test_what_is_committed_meanwhile_does_not_disturb_it() -> None:
    scrubbed = Scrubbed()
    scrubbed.step()
    scrubbed.now_us = INTERVAL_US
    scrubbed.step()
    commit = Commit(dict.fromkeys(STATE.table, ()), (), {}, STATE.clock_us, 0)
    scrubbed.store.commit(commit, sync=True)
    scrubbed.step(len(STATE.table))
    assert scrubbed.scrub.finished == 1
    assert scrubbed.alarms.raised == {}


def test_one_that_is_closed_begins_anew() -> None:
    scrubbed = Scrubbed()
    scrubbed.step()
    scrubbed.now_us = INTERVAL_US
    scrubbed.step()
    scrubbed.scrub.close()
    scrubbed.scrub.close()
    scrubbed.step(len(STATE.table) + 1)
    assert scrubbed.views == 2
    assert scrubbed.scrub.finished == 1
    assert scrubbed.alarms.raised == {}


def test_a_view_that_fails_raises_an_alarm() -> None:
    scrubbed = Scrubbed()
    scrubbed.step()
    scrubbed.now_us = INTERVAL_US
    scrubbed.step()
    scrubbed.store.close()
    scrubbed.step()
    assert "closed" in scrubbed.alarms.raised["table"]
    assert scrubbed.scrub.finished == 1


def test_the_digest_that_counts_is_the_one_that_was_saved() -> None:
    scrubbed = Scrubbed()
    state = layout.decode_state(scrubbed.disk.families["meta"][layout.STATE])
    put = layout._encode_state(state._replace(digest=state.digest ^ 1))
    scrubbed.disk.write([put], sync=True)
    scrubbed.once()
    assert f"should be {state.digest ^ 1:032x}" in scrubbed.alarms.raised["table"]


def test_the_first_one_does_not_wait_for_the_whole_interval() -> None:
    """What the one before the start had found is not remembered."""
    scrubbed = Scrubbed(interval_us=100 * FIRST_SCRUB_US)
    del scrubbed.table[max(scrubbed.table)]
    scrubbed.step()
    scrubbed.now_us += FIRST_SCRUB_US - 1
    scrubbed.step(len(STATE.table) + 2)
    assert scrubbed.scrub.finished == 0
    scrubbed.now_us += 1
    scrubbed.step(len(STATE.table) + 2)
    assert scrubbed.scrub.finished == 1 and "table" in scrubbed.alarms.raised
