#!/usr/bin/env bash
# rocksdict 0.3.29 (RocksDB): after its directory was renamed, a database goes on acknowledging synced writes;
# whoever opens its path again gets a new, empty database there.
#
# With sync=True one expects a put to fail when the database is no longer at its path. Its write-ahead log is open,
# so puts and fsyncs succeed, up to the next file that must be created: then flush fails. Opening the path again
# with the options that opened it first makes an empty store, where reads find nothing. So who would know has
# to compare the path with what was opened, at each write.
#
# Seen:
#   rocksdict 0.3.29
#   a synced put after the rename: no error
#   the next flush: an error
#   opened again at the path: the key from before is there: False
#   opened where it was moved to: both are there: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rocksdict==0.3.29
cat > "$folder/play.py" <<'PLAY'
import os
import sys
from importlib.metadata import version

from rocksdict import Options, Rdict, WriteOptions

path, moved = sys.argv[1] + "/store", sys.argv[1] + "/moved"
synced = WriteOptions()
synced.sync = True


def opened(at):
    return Rdict(at, Options(raw_mode=True))


def outcome(action):
    try:
        action()
    except Exception:
        return "an error"
    return "no error"


print("rocksdict", version("rocksdict"))
store = opened(path)
store.put(b"before", b"1", write_opt=synced)
os.rename(path, moved)
put = outcome(lambda: store.put(b"after", b"2", write_opt=synced))
print("a synced put after the rename:", put)
flushed = outcome(store.flush)
print("the next flush:", flushed)
outcome(store.close)
del store
again = opened(path)
kept = again.get(b"before") is not None
print("opened again at the path: the key from before is there:", kept)
again.close()
there = opened(moved)
both = (there.get(b"before"), there.get(b"after")) == (b"1", b"2")
print("opened where it was moved to: both are there:", both)
raise SystemExit((put, flushed, kept, both) != ("no error", "an error", False, True))
PLAY
"$folder/venv/bin/python" "$folder/play.py" "$folder"
