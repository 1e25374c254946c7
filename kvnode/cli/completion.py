"""Completing `kv`'s words: what may stand where, by its argument parser, and scripts for shells."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

#: Arguments that name a file, beside those whose type says so.
_FILES: Final = ("file",)


class Argument(NamedTuple):
    """A flag, or what stands without one."""

    #: None without a flag.
    flag: str | None
    help: str
    takes_value: bool
    #: What it may be; nothing if that can't be told.
    choices: tuple[str, ...]
    is_file: bool
    #: Whether it may be given again.
    is_repeated: bool


class Words(NamedTuple):
    """A command line: its flags, and what follows; by command, for those that have commands."""

    flags: tuple[Argument, ...]
    positionals: tuple[Argument, ...]
    commands: Mapping[str, Words]
    help: str = ""

    def takes_value(self) -> list[str]:
        """The flags with a value, of this line and of all its commands."""
        every = [self, *self.commands.values()]
        return sorted(
            {it.flag for words in every for it in words.flags if it.takes_value and it.flag}
        )


def words_of(parser: argparse.ArgumentParser, help_: str = "") -> Words:
    """What may stand on a parser's command lines."""
    flags, positionals, commands = [], [], {}
    for action in parser._actions:  # argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):
            helps = {it.dest: it.help or "" for it in action._choices_actions}
            commands = {
                name: words_of(sub, helps.get(name, "")) for name, sub in action.choices.items()
            }
        elif action.option_strings:
            flags += [_argument(action, flag) for flag in action.option_strings if flag[:2] == "--"]
        else:
            positionals.append(_argument(action, None))
    return Words(tuple(flags), tuple(positionals), commands, help_)


def _argument(action: argparse.Action, flag: str | None) -> Argument:
    return Argument(
        flag,
        action.help or "",
        action.nargs != 0,
        tuple(map(str, action.choices or ())),
        action.type is Path or action.dest in _FILES,
        isinstance(action, argparse._AppendAction) or action.nargs in ("*", "+"),
    )


def candidates(words: Words, before: Sequence[str], start: str) -> list[str] | None:
    """What a word that starts so may be, after these; None where it is the first positional
    argument of a command and may be anything: mostly a key."""
    command, previous = None, None
    given = 0
    takes_value = words.takes_value()
    for word in before:
        if previous in takes_value:
            previous = None
            continue
        previous = word
        if not word.startswith("-"):
            if command is None:
                command = words.commands.get(word)
                if command is None:
                    return []
            else:
                given += 1
    here = command or words
    if previous in takes_value:
        return _among(next(it for it in here.flags if it.flag == previous).choices, start)
    if start.startswith("-"):
        return _among([it.flag for it in here.flags if it.flag], start)
    if command is None:
        return _among(words.commands, start)
    positionals = command.positionals
    if positionals and positionals[-1].is_repeated:
        given = min(given, len(positionals) - 1)
    if given >= len(positionals):
        return []
    if (choices := positionals[given].choices) or given:
        return _among(choices, start)
    return None


def _among(choices: Iterator[str] | Sequence[str] | Mapping[str, Words], start: str) -> list[str]:
    return sorted(it for it in choices if it.startswith(start))


# --- scripts


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script that makes a shell complete the words of this parser's program."""
    made: dict[str, Callable[[str, Words], list[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return "\n".join(made[shell](parser.prog, words_of(parser)))


def _bash(program: str, words: Words) -> list[str]:
    lines = [
        f"# {program} in bash: source <({program} completion bash)",
        f"_{program}() {{",
        "    local word current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
        "    local command= skip= choices= files=",
        '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
        '        if [ -n "$skip" ]; then skip=; continue; fi',
        "        case $word in",
        f"            {'|'.join(words.takes_value())}) skip=1 ;;",
        "            -*) ;;",
        "            *) command=$word; break ;;",
        "        esac",
        "    done",
        "    case $command in",
        *_bash_case("", words, " ".join(words.commands)),
    ]
    for name, command in words.commands.items():
        choices = " ".join(choice for it in command.positionals for choice in it.choices)
        lines += _bash_case(name, command, choices)
    return [
        *lines,
        "    esac",
        '    if [ -n "$files" ]; then',
        '        COMPREPLY=($(compgen -f -- "$current"))',
        "    else",
        '        COMPREPLY=($(compgen -W "$choices" -- "$current"))',
        "    fi",
        "}",
        f"complete -o filenames -F _{program} {program}",
    ]


def _bash_case(name: str, words: Words, positionals: str) -> list[str]:
    takes = [it for it in words.flags if it.takes_value]
    flags = " ".join(it.flag for it in words.flags if it.flag)
    files = "|".join(it.flag for it in takes if it.is_file and it.flag)
    no_files = "|".join(it.flag for it in takes if not it.is_file and not it.choices and it.flag)
    lines = [f"        {name or chr(39) * 2})", "            case $previous in"]
    if files:
        lines.append(f"                {files}) files=1 ;;")
    for it in takes:
        if it.choices:
            lines.append(f'                {it.flag}) choices="{" ".join(it.choices)}" ;;')
    if no_files:
        lines.append(f"                {no_files}) ;;")
    is_file = any(it.is_file for it in words.positionals)
    others = "files=1" if is_file else f'choices="{positionals}"'
    lines += [
        "                *) case $current in",
        f'                    -*) choices="{flags}" ;;',
        f"                    *) {others} ;;",
        "                esac ;;",
        "            esac ;;",
    ]
    return lines


def _zsh(program: str, words: Words) -> list[str]:
    lines = [
        f"#compdef {program}",
        f"# {program} in zsh: source <({program} completion zsh)",
        f"_{program}() {{",
        "    local state",
        "    local -a commands",
        "    commands=(",
        *(f"        {_quoted(f'{name}:{it.help}')}" for name, it in words.commands.items()),
        "    )",
        "    _arguments -C \\",
        *(f"        {_zsh_flag(flag)} \\" for flag in words.flags),
        "        '1: :->command' '*:: :->arguments' && return",
        "    case $state in",
        "        command) _describe command commands ;;",
        "        arguments) case $words[1] in",
    ]
    for name, command in words.commands.items():
        arguments = [*map(_zsh_flag, command.flags), *map(_zsh_positional, command.positionals)]
        lines.append(f"            {name}) _arguments {' '.join(arguments)} ;;")
    return [*lines, "        esac ;;", "    esac", "}", f"compdef _{program} {program}"]


def _zsh_flag(flag: Argument) -> str:
    help_ = "".join(f"\\{it}" if it in "[]:\\" else it for it in flag.help)
    value = f": :{_zsh_values(flag)}" if flag.takes_value else ""
    return _quoted(f"{'*' * flag.is_repeated}{flag.flag}[{help_}]{value}")


def _zsh_positional(argument: Argument) -> str:
    return _quoted(f"{'*' * argument.is_repeated}: :{_zsh_values(argument)}")


def _zsh_values(argument: Argument) -> str:
    if argument.is_file:
        return "_files"
    return f"({' '.join(argument.choices)})" if argument.choices else " "


def _fish(program: str, words: Words) -> list[str]:
    lines = [
        f"# {program} in fish: {program} completion fish | source",
        f"complete -c {program} -f",
        *(
            f"complete -c {program} -n __fish_use_subcommand -a {name} -d {_quoted(it.help)}"
            for name, it in words.commands.items()
        ),
        *(f"complete -c {program} {_fish_flag(flag)}" for flag in words.flags),
    ]
    common = {it.flag for it in words.flags}
    for name, command in words.commands.items():
        there = f"complete -c {program} -n '__fish_seen_subcommand_from {name}'"
        own = [it for it in command.flags if it.flag not in common]
        lines += [f"{there} {_fish_flag(flag)}" for flag in own]
        for argument in command.positionals:
            if argument.is_file:
                lines.append(f"{there} -F")
            if argument.choices:
                lines.append(f"{there} -a {_quoted(' '.join(argument.choices))}")
    return lines


def _fish_flag(flag: Argument) -> str:
    value = (" -r" if flag.is_file else " -x") if flag.takes_value else ""
    choices = f" -a {_quoted(' '.join(flag.choices))}" if flag.choices else ""
    return f"-l {(flag.flag or '')[2:]}{value}{choices} -d {_quoted(flag.help)}"


def _quoted(text: str) -> str:
    """In single quotes, for all of these shells."""
    return "'" + text.replace("'", "'\\''") + "'"
