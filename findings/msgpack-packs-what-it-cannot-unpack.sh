#!/usr/bin/env bash
# msgpack 1.2.4: packb takes values that unpackb of the same version refuses.
#
# A serialiser is expected to read what it wrote. The writer takes lists that are nested 1,025 deep, which the
# reader's own limit of 1,024 refuses, and dictionaries whose keys are tuples: those are read as lists, which
# can't be keys, also where the reader is told to take any keys. So a store that checks only that packing works
# accepts values that no reader gets out again, and one such value in a page of many takes all others with it.
#
# Seen:
#   msgpack 1.2.4
#   nested 1,024 deep: comes back
#   nested 1,025 deep: StackError
#   {(1, 2): 3}: TypeError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgpack==1.2.4
cat > "$folder/play.py" <<'PLAY'
import msgpack


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def fate(value):
    packed = msgpack.packb(value)  # never raises here
    try:
        msgpack.unpackb(packed, strict_map_key=False)
    except Exception as error:
        return type(error).__name__
    return "comes back"


print("msgpack", ".".join(map(str, msgpack.version)))
values = {"nested 1,024 deep": nested(1024), "nested 1,025 deep": nested(1025)}
values["{(1, 2): 3}"] = {(1, 2): 3}
seen = {name: fate(value) for name, value in values.items()}
for name, what in seen.items():
    print(f"{name}: {what}")
raise SystemExit(list(seen.values()) != ["comes back", "StackError", "TypeError"])
PLAY
"$folder/venv/bin/python" "$folder/play.py"
