"""`python -m tests.judge FILE.jsonl`: judge a history from a file.

Exits with 0 if causal consistency and causal convergence hold, with 1 if either is violated,
with 2 if there is no such file or it holds no history. Causal memory is reported only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.judge import HistoryError, as_json, as_text, judge, parse


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.judge", description="Judge a history.")
    parser.add_argument("file", type=Path, help="what the clients saw, as JSON lines")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    options = parser.parse_args(arguments)
    try:
        with options.file.open("rb") as lines:
            operations = parse(lines)
        if not operations:
            # An acquittal would hide that nothing was recorded.
            raise HistoryError("no operations")
        judgement = judge(operations)
    except (OSError, HistoryError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 2
    try:
        print(json.dumps(as_json(judgement)) if options.json else as_text(judgement), flush=True)
    except BrokenPipeError:
        # The reader had enough. The verdict stands; nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if judgement.ok else 1


if __name__ == "__main__":
    sys.exit(main())
