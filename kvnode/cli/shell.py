"""`kv shell`: the commands of `kv` in one session, from a prompt or from a pipe."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kvnode.cli.completion import candidates, words_of
from kvnode.cli.exits import OK, USAGE
from kvnode.cli.forms import in_line
from kvnode.cli.output import Output
from kvnode.cli.parser import Parser
from kvnode.codec.token import decode_token
from kvnode.core.vector import shown
from kvnode.errors import KvnodeError

if TYPE_CHECKING:
    from kvnode.cli.kv import Seat
    from kvnode.client.sync import ClientSession

T = TypeVar("T")

#: Lines of history that are kept.
_HISTORY_LINES_MAX: Final = 1000

#: Keys that are offered where one is completed: more than one reads.
_OFFERED_KEYS_MAX: Final = 100

#: How long they may take, and the node's name for the prompt: whoever types waits for them.
_QUICK_S: Final = 0.5

#: Entries of the session's vector in the prompt; the others are counted.
_SHOWN_ENTRIES_MAX: Final = 5

_HELP: Final = ("help", "?")
_ENDS: Final = ("exit", "quit")


class Shell:
    """Reads lines and runs them."""

    def __init__(self, seat: Seat, parser: Parser, *, as_json: bool) -> None:
        self._seat = seat
        self._parser = parser
        self._words = words_of(parser)
        self._as_json = as_json
        self._is_interactive = sys.stdin.isatty()
        self._can_be_interrupted = False
        #: Who answered last, and at which address.
        self._name: tuple[str, str] | None = None

    def run(self) -> int:
        """Run all lines; the exit code. At a prompt errors are seen, so it is 0; of a script it is
        that of the first command that failed, though all are run."""
        if self._is_interactive:
            self._converse()
            return OK
        failed = OK
        for line in sys.stdin:
            if line.strip() in _ENDS:
                break
            code = self._run(line)
            failed = failed or code
        return failed

    def _converse(self) -> None:
        history = _history_file()
        readline = _readline(self, history)
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            while True:
                line = self._interrupted(partial(input, self._prompt())) or ""
                if line.strip() in _ENDS:
                    return
                self._interrupted(partial(self._run, line))
        except EOFError:
            print()
        finally:
            signal.signal(signal.SIGINT, before)
            if readline is not None:
                _keep(readline, history)

    def _run(self, line: str) -> int:
        """Run one line; the exit code."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            print(f"kv: {error}", file=sys.stderr)
            return USAGE
        if not words:
            return OK
        if words[0] in _HELP:
            words = [*words[1:2], "--help"]
        try:
            given = self._parser.parse_args(words)
            given.json |= self._as_json
            code = self._seat.run(given, Output(as_json=given.json))
            sys.stdout.flush()  # what was written raw comes before what is printed next
            return code
        except SystemExit as ended:  # argparse tells a mistake so, and help
            return int(ended.code or OK)

    def _interrupted(self, do: Callable[[], T]) -> T | None:
        """What it gives; None if Ctrl-C has ended it."""
        try:
            self._can_be_interrupted = True
            done = do()
            self._can_be_interrupted = False
            return done
        except KeyboardInterrupt:
            print()
            return None
        finally:
            self._can_be_interrupted = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C ends what is typed or run, once; in between it would end the shell."""
        if self._can_be_interrupted:
            self._can_be_interrupted = False
            raise KeyboardInterrupt

    # --- the prompt

    def _prompt(self) -> str:
        """The node, and what the session has seen: `X {X:5 Y:2}> `."""
        token = self._seat.client.token
        seen = {} if token is None else shown(decode_token(token)[1])
        entries = [f"{label}:{seq}" for label, seq in seen.items()]
        if len(entries) > _SHOWN_ENTRIES_MAX:
            entries[_SHOWN_ENTRIES_MAX:] = [f"+{len(entries) - _SHOWN_ENTRIES_MAX}"]
        return f"{self._node()} {{{' '.join(entries)}}}> "

    def _node(self) -> str:
        """Its name; asked for where the client has gone on to another."""
        client = self._seat.client
        if self._name is None or self._name[0] != client.address:
            try:
                self._name = client.address, self._quick().ping()
            except KvnodeError:
                return client.address  # whoever is there may be asked again
        return self._name[1]

    # --- completion

    def complete(self, line: str, start: str) -> list[str]:
        """What the last word of a line may be, which starts so far."""
        try:
            before = shlex.split(line)
        except ValueError:
            return []
        found = candidates(self._words, before, start)
        return self._keys(start) if found is None else found

    def _keys(self, start: str) -> list[str]:
        try:
            limit = _OFFERED_KEYS_MAX
            keys = list(self._quick().keys(start, limit=limit, page=limit))
        except KvnodeError:
            return []
        return [key for key in keys if in_line(key) == shlex.quote(key)]

    def _quick(self) -> ClientSession:
        """For what nobody asked for: it does not wait long, nor is it part of the session."""
        session = self._seat.client.session()
        session.timeout_s = session.wait_s = _QUICK_S
        return session


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "kvnode" / "history"


def _readline(shell: Shell, history: Path) -> Any:
    """Editing, completion and history, where Python has them."""
    try:
        import readline
    except ImportError:
        return None
    offered: list[str] = []

    def complete(start: str, at: int) -> str | None:
        if at == 0:
            line = readline.get_line_buffer()[: readline.get_begidx()]
            offered[:] = shell.complete(line, start)
            if len(offered) == 1:
                offered[0] += " "
        return offered[at] if at < len(offered) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    is_libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
    readline.set_history_length(_HISTORY_LINES_MAX)
    try:
        readline.read_history_file(history)
    except OSError:
        readline.clear_history()  # there is none yet
    return readline


def _keep(readline: Any, history: Path) -> None:
    """For its owner only: values stand in it."""
    try:
        history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        history.touch(mode=0o600)
        readline.write_history_file(history)
    except OSError as error:
        print(f"kv: the history can't be kept in {history}: {error.strerror}", file=sys.stderr)
