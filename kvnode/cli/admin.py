"""What `kvnode` does to data directories: back up, restore, check.

Alone among the commands, these touch the storage itself, where no daemon runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any, Final

from kvnode.cli.exits import FAILED, OK, REJECTED, USAGE, code_of, interrupted_once
from kvnode.cli.output import Output, backup_lines, checked_lines
from kvnode.cli.streams import printing
from kvnode.client.sync import Client
from kvnode.codec.token import DEFAULT_CLUSTER
from kvnode.errors import KvnodeError, StorageError, TimedOut
from kvnode.storage.backups import restore
from kvnode.storage.check import Checked, check
from kvnode.storage.directory import InUse, WrongDirectory


def run(given: argparse.Namespace) -> int:
    """Run one of the commands; the exit code."""
    output = Output(as_json=given.json, program="kvnode")
    try:
        with interrupted_once():  # what is half done is removed then
            return _COMMANDS[given.command](given, output)
    except KvnodeError as error:
        output.error(error)
        return _exit_code(error)


def _backup(given: argparse.Namespace, output: Output) -> int:
    with Client(given.node, timeout_s=min(_CONNECTED_WITHIN_S, given.timeout)) as client:
        client.ping()
        client.timeout_s = given.timeout
        try:
            backup = client.backup(given.name)
        except TimedOut as error:
            raise TimedOut(f"{error}; {_in_doubt(given)}") from None
        except KeyboardInterrupt:
            print(f"kvnode: interrupted; {_in_doubt(given)}", file=sys.stderr)
            raise
    with printing("the backup is made, but "):
        output.document(backup, backup_lines(backup))
    return OK


def _in_doubt(given: argparse.Namespace) -> str:
    return f"the backup {given.name!r} may still be made: look before you retry"


def _restore(given: argparse.Namespace, output: Output) -> int:
    checked = restore(given.backup, given.data)
    is_sound = not checked.findings.problems_count
    document = _document(checked) | {"restored": is_sound}
    if is_sound:
        cluster = "" if checked.cluster == DEFAULT_CLUSTER else f" --cluster {checked.cluster}"
        outcome = f"restored    start it with --name {checked.name}{cluster}"
    else:
        outcome = f"not restored, since {given.backup} is damaged"
    with printing("it was restored, but " if is_sound else "it was not restored, and "):
        output.document(document, [*checked_lines(document), outcome])
    return OK if is_sound else FAILED


def _check(given: argparse.Namespace, output: Output) -> int:
    checked = check(given.directory)
    document = _document(checked)
    output.document(document, checked_lines(document))
    return FAILED if checked.findings.problems_count else OK


#: Who is not there is told soon, though a backup may take long.
_CONNECTED_WITHIN_S: Final = 5.0

_COMMANDS: Final = {"backup": _backup, "restore": _restore, "check": _check}


def _document(checked: Checked) -> dict[str, Any]:
    findings = dataclasses.asdict(checked.findings)
    findings["digest"] = f"{checked.findings.digest:032x}"
    return {
        "directory": str(checked.directory),
        "name": checked.name,
        "cluster": checked.cluster,
        **findings,
    }


def _exit_code(error: KvnodeError) -> int:
    if isinstance(error, WrongDirectory):
        return USAGE
    if isinstance(error, InUse):
        return REJECTED
    return FAILED if isinstance(error, StorageError) else code_of(error)
