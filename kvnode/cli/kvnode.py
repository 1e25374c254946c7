"""`kvnode`: run a node, or see three of them at work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from kvnode import __version__
from kvnode.cli.exits import FAILED, OK, USAGE, guarded
from kvnode.cli.parser import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return guarded(_main, arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    flags = parser.parse_args(arguments)
    if flags.command == "serve":
        return _serve(flags)
    from kvnode.cli.demo import demo

    return demo(as_json=flags.json)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="kvnode", description=__doc__)
    parser.add_argument("--version", action="version", version=f"kvnode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run one node",
        description="Run one node until SIGTERM or SIGINT. Each flag can also be set by a "
        "variable (--sync-interval-ms by KVNODE_SYNC_INTERVAL_MS, --peer by KVNODE_PEERS with "
        "commas) or in a TOML file (sync_interval_ms, peers); flags win over variables, and "
        "variables over the file.",
    )
    _add_serve_flags(serve)
    demo = commands.add_parser(
        "demo",
        help="three nodes play the story of a causal history",
        description="Start three nodes on free loopback ports with temporary data, play the "
        "story of a causal history on them, and remove them. Exits 0 only if every step came "
        "out as it should.",
    )
    demo.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


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
        "--peer",
        dest="peers",
        action="append",
        metavar="ADDRESS",
        help="another node's --listen address; once for each",
    )
    add("--durability", help="when writes survive power loss: always (default), interval, never")
    add("--sync-interval-ms", metavar="MS", help="for --durability interval (default: 1000)")
    add("--heartbeat-ms", metavar="MS", help="between two claims to the peers (default: 500)")
    add("--log-format", help="human (default) or json")
    add("--log-level", help="debug, info (default), warning or error")
    add("--allow-faults", action="store_true", default=None, help="let clients cut its links")


def _serve(flags: argparse.Namespace) -> int:
    import zmq

    from kvnode.daemon import config, logs, loop
    from kvnode.errors import ConfigError, StorageError

    try:
        settings = config.load(vars(flags), os.environ)
    except ConfigError as error:
        print(f"kvnode: {error}", file=sys.stderr)
        return USAGE
    logs.configure(settings.name, settings.log_format, settings.log_level)
    try:
        loop.run(settings)
    except StorageError as error:
        logs.LOGGER.error("%s", error)
        return FAILED
    except zmq.ZMQError as error:
        logs.LOGGER.error("can't listen at %s or %s: %s", settings.listen, settings.gossip, error)
        return FAILED
    return OK


if __name__ == "__main__":
    sys.exit(main())
