"""How RocksDB is set: what it takes in memory, and in write-ahead logs.

Whatever opens a store takes its options from here, so that the bounds hold for all: the node, also
where it only reads, and `kvnode check`.
"""

from __future__ import annotations

from typing import Final

from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, DBRecoveryMode, Options

from kvnode.core.limits import MIB
from kvnode.storage import layout

#: RocksDB's own log files, for a person who looks into a failure.
INFO_LOGS_KEPT: Final = 2

#: What all families keep of the table files in memory, together, if no setting says otherwise. It
#: saves reading a block from the file system's cache and decompressing it again: some microseconds.
#: So little is gained by much, and a node is to fit into a small machine.
CACHE_BYTES: Final = 64 * MIB

#: What a family takes in memory before it is written out and sorted in. Half of RocksDB's
#: own choice: inserting costs less where there is less to search.
_WRITE_BUFFER_BYTES: Final = 32 * MIB

#: The same for all families together: two of these, since only a table and the log grow fast.
_WRITE_BUFFERS_BYTES: Final = 64 * MIB

#: A write-ahead log is kept as long as one family has not written out what it has of it. Families
#: that grow slowly, as the states of origins do, would keep a hundred of them; so beyond this the
#: families that hold the oldest are written out. It costs nothing: the table and the log, which
#: share its bytes, have filled about one write buffer each by then.
WRITE_AHEAD_BYTES_MAX: Final = 64 * MIB

#: Every change first reads what it replaces, and most often there is nothing. Filters say so
#: in a microsecond or two where a search costs seven; at 10 bits a key, 99 times in 100.
_FILTER_BITS: Final = 10
#: The same for what is still in memory: a twentieth of its size, 40 bits and more a key.
_MEMORY_FILTER_RATIO: Final = 0.05

#: Indices and filters grow with the data: 2 MB for a million small records. So the cache bounds
#: them too; and they stand in it in pieces of this size, since a lookup that has to read a whole
#: filter reads a megabyte.
_PIECE_BYTES: Final = 4096

#: A table file is compacted soon if of so many entries in a row so many are deletions, or this
#: share of all.
_DELETIONS: Final = (4096, 2048, 0.5)


def store_options(cache: Cache) -> Options:
    """What concerns the store as a whole."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_keep_log_file_num(INFO_LOGS_KEPT)
    options.set_max_total_wal_size(WRITE_AHEAD_BYTES_MAX)
    options.set_db_write_buffer_size(_WRITE_BUFFERS_BYTES)
    # A torn end is what a crash leaves. Damage before it is refused: the default would drop
    # all commits behind it, acknowledged ones too, and say nothing. See `RocksStore`.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    # RocksDB has one family more, which nobody uses; it would have a cache of its own.
    options.set_block_based_table_factory(_blocks(cache))
    return options


def family_options(cache: Cache) -> dict[str, Options]:
    """What concerns each column family. They share one cache."""
    return {name: _options_of(name, cache) for name in layout.FAMILIES}


def _options_of(family: str, cache: Cache) -> Options:
    options = Options(raw_mode=True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    if family in (*layout.TABLES, *layout.DUES, "once"):
        # Where much was deleted, a scan steps over all of it. Let such files be compacted soon.
        options.add_compact_on_deletion_collector_factory(*_DELETIONS)
    blocks = _blocks(cache)
    if family in (*layout.TABLES, "once"):  # the others are not asked for what is not there
        blocks.set_bloom_filter(_FILTER_BITS, block_based=False)
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(_MEMORY_FILTER_RATIO)
    options.set_block_based_table_factory(blocks)
    return options


def _blocks(cache: Cache) -> BlockBasedOptions:
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_metadata_block_size(_PIECE_BYTES)
    blocks.set_pin_top_level_index_and_filter(True)
    return blocks
