"""`kvnode`: run a node, keep its data safe, or see three nodes at work."""

from __future__ import annotations

from kvnode.cli.start import hold, run

if __name__ == "__main__":
    hold()  # before what takes a moment to load

import argparse
import faulthandler
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from kvnode import __version__
from kvnode.cli.exits import FAILED, OK, USAGE, epilog, guarded
from kvnode.cli.parser import Parser, seconds, timeout
from kvnode.cli.streams import expect_output
from kvnode.client.addresses import DEFAULT_ADDRESS

#: So many new objects make Python look for cycles. A busy turn makes tens of thousands of
#: tuples, none in a cycle; looking after each 700, Python's own choice, slows a catch-up by a
#: quarter.
_OBJECTS_PER_COLLECTION: Final = 50_000

#: How long chaos lasts, if not told: with start and reckoning about half a minute.
_CHAOS_S: Final = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return guarded("kvnode", _main, arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    flags = parser.parse_args(arguments)
    if flags.command == "serve":
        return _serve(flags)
    expect_output()  # all others print what they have done
    if flags.command == "demo":
        return _demo(flags)
    if flags.command == "config":
        return _config(flags)
    from kvnode.cli import admin

    return admin.run(flags)


class _Parser(Parser):
    """Whoever starts a node may not read what it says: a mistake must end it all the same."""

    def error(self, message: str) -> NoReturn:
        """See `Parser.error`."""
        _tell(f"{self.prog}: {message}; see {self.prog} --help")
        self.exit(USAGE)


def _tell(line: str) -> None:
    """Print it on standard error, and wait no longer for who reads that than the log does."""
    from kvnode.daemon.logs import STDERR
    from kvnode.daemon.sink import Sink

    sink = Sink(STDERR, lambda _: b"")
    sink.put(f"{line}\n".encode(errors="backslashreplace"))
    sink.flush()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kvnode",
        description=__doc__,
        epilog=epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kvnode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run one node",
        description="Run one node until SIGTERM or SIGINT. Each flag can also be set by a "
        "variable (--sync-interval-ms by KVNODE_SYNC_INTERVAL_MS, --join by KVNODE_JOIN with "
        "commas) or in a TOML file (sync_interval_ms, join); flags win over variables, and "
        "variables over the file.",
    )
    _add_serve_flags(serve)
    config = commands.add_parser(
        "config",
        help="show the settings that a node would start with",
        description="Show each setting that kvnode serve would have with the same flags, "
        "variables and file, and where it comes from. Exits 2 if one is wrong.",
    )
    _add_serve_flags(config)
    _add_demo(commands)
    _add_admin_commands(commands)
    for command in commands.choices.values():
        if command is not serve:
            command.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="three nodes play the story of a causal history, or live through chaos",
        description="Start three nodes on free loopback ports with temporary data, play the "
        "story of a causal history on them, and remove them. Exits 0 only if every step came "
        "out as it should, else 1.",
    )
    add = demo.add_argument
    add(
        "--chaos",
        action="store_true",
        help="instead, kill, stop, cut off and wipe the nodes while clients write; then look for "
        "every write that was acknowledged, on every node",
    )
    add(
        "--nodes",
        type=_three,
        metavar="A,B,C",
        help="instead, play the story at these three nodes, which run already: no fault is made, "
        "and what is written is deleted again",
    )
    add("--seconds", type=seconds, metavar="S", help=f"how long chaos lasts ({_CHAOS_S:g})")
    add(
        "--seed",
        type=int,
        metavar="N",
        help="have the faults of an earlier chaos again, in their order",
    )


def _three(text: str) -> list[str]:
    """The type of an argument that names three nodes."""
    addresses = text.split(",")
    if len(addresses) != 3:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not three addresses, with commas")
    return addresses


def _one(text: str) -> str:
    """The type of an argument that names one node."""
    if "," in text:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is more than one address")
    return text


def _demo(flags: argparse.Namespace) -> int:
    if flags.chaos and flags.nodes:
        return _mistake(flags, "demo: --chaos is for nodes of its own, without --nodes")
    if flags.chaos:
        from kvnode.cli.chaos import chaos

        seconds = _CHAOS_S if flags.seconds is None else flags.seconds
        return chaos(seconds=seconds, seed=flags.seed, as_json=flags.json)
    if flags.seconds is not None or flags.seed is not None:
        return _mistake(flags, "demo: --seconds and --seed go with --chaos")
    if flags.nodes:
        from kvnode.cli.visit import visit

        return visit(flags.nodes, as_json=flags.json)
    from kvnode.cli.demo import demo

    return demo(as_json=flags.json)


def _mistake(flags: argparse.Namespace, message: str) -> int:
    """Tell it as any other error is told; the exit code."""
    from kvnode.cli.output import Output
    from kvnode.errors import InvalidRequest

    Output(as_json=flags.json, program="kvnode").error(InvalidRequest(message))
    return USAGE


def _add_admin_commands(commands: argparse._SubParsersAction[_Parser]) -> None:
    backup = commands.add_parser(
        "backup",
        help="have a running node back up what it has",
        description="Have a running node make a backup of all that it has committed, in "
        "backups/NAME of its data directory. The backup shares files with the node until "
        "either changes; copy it elsewhere. Exits 3 if the node does not answer in time, 4 if "
        "it refuses, 5 if its disk does not answer or it is joining.",
    )
    # One node makes it, so of several the first is asked, and no other where that is away.
    first = os.environ.get("KVNODE_NODE", "").split(",")[0].strip()
    add = backup.add_argument
    add(
        "--node",
        default=first or DEFAULT_ADDRESS,
        type=_one,
        metavar="ADDRESS",
        help=f"the node (the first of KVNODE_NODE, {DEFAULT_ADDRESS})",
    )
    add("--timeout", default=60.0, type=timeout, metavar="S", help="seconds for an answer (60)")
    add("name", metavar="NAME", help="of the backup: letters, digits, dots, dashes")
    restore = commands.add_parser(
        "restore",
        help="make a data directory of a backup",
        description="Copy a backup, or the data directory of a node that does not run, into a "
        "new data directory, if the copy is sound. Start it under the name of the node that it "
        "is of; never while that one runs elsewhere. Exits 1 if the backup is damaged, 2 if the "
        "directory is not empty, 4 if a node uses it or what is restored.",
    )
    restore.add_argument("backup", type=Path, metavar="BACKUP", help="the backup's directory")
    restore.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the new data directory"
    )
    check = commands.add_parser(
        "check",
        help="tell whether a data directory or a backup is sound",
        description="Read all of a backup, or of the data directory of a node that does not "
        "run, and tell every problem; change nothing. Exits 0 if it is sound, 1 if it has "
        "problems, 2 if it is no such directory, 4 if a node uses it.",
    )
    check.add_argument("directory", type=Path, metavar="DIR", help="what to check")


def _add_serve_flags(serve: argparse.ArgumentParser) -> None:
    add = serve.add_argument
    add("--config", metavar="FILE", help="a TOML file with these settings")
    add("--name", help="the node's name in the cluster (default: the host's)")
    add("--cluster", help="nodes and sessions of other clusters are refused (default: kvnode)")
    add("--data", metavar="DIR", help="the data directory (default: ./kvnode-data/NAME)")
    add("--listen", metavar="ADDRESS", help="for clients (default: tcp://127.0.0.1:7411)")
    add("--gossip", metavar="ADDRESS", help="for peers (default: tcp://127.0.0.1:7412)")
    add("--advertise-listen", metavar="ADDRESS", help="--listen, as others reach it")
    add("--advertise-gossip", metavar="ADDRESS", help="--gossip, as others reach it")
    add(
        "--join",
        action="append",
        metavar="ADDRESS",
        help="another node's --listen address; one that answers is enough, more can be given",
    )
    add("--durability", help="when writes survive power loss: always (default), interval, never")
    add("--sync-interval-ms", metavar="MS", help="for --durability interval (default: 1000)")
    add("--log-keep-s", metavar="S", help="keep in the log what all have (default: 600) ...")
    add("--log-keep-mib", metavar="MIB", help="... while it is no greater (default: 256)")
    add("--log-max-mib", metavar="MIB", help="drop even what one lacks beyond (default: 4096)")
    add("--cache-mib", metavar="MIB", help="memory for what is read of the disk (default: 64)")
    add("--scrub-interval-s", metavar="S", help="between scrubs of the table (default: a day)")
    add("--heartbeat-ms", metavar="MS", help="between two claims to the peers (default: 500)")
    add("--log-format", help="human (default) or json")
    add("--log-level", help="debug, info (default), warning or error")
    add("--allow-faults", action="store_true", default=None, help="let clients cut its links")


def _serve(flags: argparse.Namespace) -> int:
    import zmq

    from kvnode.daemon import config, logs, loop
    from kvnode.daemon.sink import unwaited
    from kvnode.errors import ConfigError, StorageError

    try:
        settings = config.load(vars(flags), os.environ)
    except ConfigError as error:
        _tell(f"kvnode: {error}")
        return USAGE
    sink = logs.configure(settings.name, settings.log_format, settings.log_level)
    for unknown in config.unknown_variables(os.environ):
        logs.LOGGER.warning("%s", unknown)
    # A watchdog's SIGABRT leaves in the log where the loop was stuck, if that can be.
    faulthandler.enable(unwaited(logs.STDERR))
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    gc.freeze()  # what is imported by now stays
    try:
        loop.run(settings, sink)
    except ConfigError as error:
        logs.LOGGER.error("%s", error)
        return USAGE
    except StorageError as error:
        logs.LOGGER.error("%s", error)
        return FAILED
    except zmq.ZMQError as error:
        logs.LOGGER.error("can't listen at %s or %s: %s", settings.listen, settings.gossip, error)
        return FAILED
    except Exception:  # Python would write it to a standard error that may be full, and wait
        logs.LOGGER.critical("ended by an error of kvnode's own; please report it", exc_info=True)
        return FAILED
    finally:
        sink.flush()
    return OK


def _config(flags: argparse.Namespace) -> int:
    from kvnode.cli.output import Output, setting_lines
    from kvnode.daemon import config
    from kvnode.errors import ConfigError

    try:
        settings = config.settings(vars(flags), os.environ)
    except ConfigError as error:
        return _mistake(flags, str(error))
    for unknown in config.unknown_variables(os.environ):
        print(f"kvnode: {unknown}", file=sys.stderr)
    shown = {
        name: {
            "value": str(it.value) if isinstance(it.value, Path) else it.value,
            "from": it.source,
        }
        for name, it in settings.items()
    }
    Output(as_json=flags.json, program="kvnode").document(shown, setting_lines(shown))
    return OK


if __name__ == "__main__":
    run(main)
