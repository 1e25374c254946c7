"""The commands that take data out and bring it in: `export` and `import`."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from kvnode.cli.commands.command import (
    STDIN,
    Command,
    add_progress,
    add_replicas,
    standard_input,
    typed,
)
from kvnode.cli.exits import OK
from kvnode.cli.output import Output
from kvnode.cli.progress import Progress
from kvnode.cli.streams import expect_output
from kvnode.client.sync import Client
from kvnode.errors import InvalidRequest, KvnodeError, SessionLost, UnreadableValue


def export(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Write a line of JSON for each key, as all were at one moment."""
    from kvnode.cli.records import end_line, line_of

    progress = Progress(wanted=given.progress)
    exported = with_siblings = 0
    out = sys.stdout.buffer
    sys.stdout.flush()
    try:
        for entry in client.entries(typed(given.prefix)):
            if isinstance(entry.version.value, UnreadableValue):
                output.unreadable(entry.version.value)
                continue
            out.write(line_of(entry))
            exported += 1
            with_siblings += entry.siblings > 0
            progress.at("{} keys", exported)
    except (KvnodeError, KeyboardInterrupt) as error:
        progress.end(f"{exported:,} keys, not all")
        out.write(end_line(error))
        out.flush()
        raise
    out.flush()
    progress.end(f"{exported:,} keys")
    if with_siblings:
        progress.tell(f"of {with_siblings:,} keys with siblings only the winners are exported")
    return output.code


def import_(client: Client, given: argparse.Namespace, output: Output) -> int:
    """Put each line of an export, and go on where an earlier import was interrupted."""
    from kvnode.cli.importing import Import, State

    expect_output()
    progress = Progress(wanted=given.progress)
    state = State(given.resume)
    begun_after = state.place.lines
    with ExitStack() as stack:
        source = standard_input(given) if given.file == STDIN else _opened(stack, given.file)
        name = "standard input" if given.file == STDIN else given.file
        importing = Import(client, source, name, state)
        importing.expect_kept()
        if begun_after and not state.place.lines:
            lost = f"what was imported of {name} may be lost with what its session had seen"
            progress.tell(f"{lost}: beginning again at line 1")
            begun_after = 0
        if begun_after:
            progress.tell(f"going on after line {begun_after} of {name}")
        try:
            for lines in importing.run(given.replicas, given.replicas_timeout):
                progress.at("{} lines", lines)
        except SessionLost:
            raise  # what is imported of it is just what is in question
        except (KvnodeError, KeyboardInterrupt):
            go_on = "" if given.resume is None else f"; the same --resume {given.resume} goes on"
            progress.tell(f"{state.place.lines:,} lines are imported{go_on}")
            raise
    summary = f"imported    {importing.imported} keys"
    document = {
        "imported": importing.imported,
        "expired": importing.expired,
        "lines": state.place.lines,
        "begun_after": begun_after,
    }
    expired = f", {importing.expired} have expired meanwhile" if importing.expired else ""
    output.document(document, [f"{summary}{expired}"])
    return OK


def _opened(stack: ExitStack, file: str) -> IO[bytes]:
    try:
        return stack.enter_context(Path(file).open("rb"))
    except OSError as error:
        raise InvalidRequest(f"can't read {file}: {error.strerror}") from None


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="")
    add_progress(parser)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default=STDIN, help="standard input if left out"
    )
    parser.add_argument(
        "--resume",
        default=None,
        type=Path,
        metavar="STATE",
        help="keep in this file how far it is, and go on from there if it is there",
    )
    add_replicas(parser)
    add_progress(parser)


COMMANDS: Final = {
    "export": Command(export, "write the keys with a prefix as JSON lines", _add_export),
    "import": Command(import_, "put what `kv export` wrote", _add_import, writes=True),
}
