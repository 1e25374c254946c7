"""README.md, word for word: its commands give what it says, and its Python runs."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PATIENCE_S = 300
#: What these show comes about in a moment; a reader does not type so fast.
WITH_TIME = ("bin/kv status", "bin/kv members", "bin/kv lag")
LOOKS = 50
END = "--- end of the answer ---"
CHAOS = "bin/kvnode demo --chaos"
EXAMPLE = "example.py"
COMPLETION = "source <(bin/kv completion bash)"
#: The ports of the README are for one reader at a time, so each reader gets a loopback alone.
ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def all_blocks():
    """The language and the text of each block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for its_language, text in all_blocks() if its_language == language]


def commands_and_answers(block):
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, answer = part.partition("\n")
        yield command, answer


class Shell:
    """A shell in an empty directory with the checkout's `bin` and what that makes, as a reader of a
    fresh clone has it."""

    def __init__(self, directory):
        for name in ("bin", ".venv"):
            (directory / name).symlink_to(ROOT / name)
        may_be_alone = subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0
        self.process = subprocess.Popen(
            [
                *(ALONE if may_be_alone else ()),
                "timeout",
                "--foreground",
                str(PATIENCE_S),
                "bash",
                "--norc",
            ],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command):
        self.process.stdin.write(f"{command}\necho; echo '{END}'\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != f"{END}\n":
            assert line, f"the shell ended, or {PATIENCE_S} s were over, at: {command}"
            # Bash tells of jobs that were killed; a reader sees that too, at the prompt.
            if not re.match(r"bash: line \d+: .* Killed ", line):
                lines.append(line)
        return "".join(lines)

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def shell(tmp_path):
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def matches(answer, shown):
    pattern = re.escape(shown.strip()).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, answer.strip(), re.DOTALL)


def test_a_reader_who_copies_it_word_for_word_sees_what_it_says(shell, tmp_path):
    for language, block in all_blocks():
        if language == "python":
            assert f"Save this as `{EXAMPLE}`:\n\n```python\n{block}" in README
            (tmp_path / EXAMPLE).write_text(block)
        if language != "console" or CHAOS in block:
            continue
        shell.run(COMPLETION)  # a reader may type it anywhere, and it sets bash's `$!`
        for command, shown in commands_and_answers(block):
            answer = shell.run(command)
            for _ in range(LOOKS if command in WITH_TIME else 0):
                if matches(answer, shown):
                    break
                answer = shell.run(f"sleep 0.2; {command}")
            assert matches(answer, shown), f"$ {command}\n{answer}"
            assert "Traceback" not in answer
            if command.endswith(EXAMPLE):
                assert answer.split()[0] == answer.split()[-1] == "100", "as Y and Z read it"


def but_for_numbers(text):
    """With all numbers and widths alike: each run of chaos has others."""
    lines = (re.sub(r"\d[\d,.]*", "0", line).split() for line in text.strip().splitlines())
    return "\n".join(" ".join(line) for line in lines)


def test_chaos_ends_as_the_readme_says(shell):
    (block,) = (block for block in blocks("console") if CHAOS in block)
    ((command, shown),) = commands_and_answers(block)
    answer = shell.run(command)
    assert matches(but_for_numbers(answer), but_for_numbers(shown)), answer
    assert re.search(r"^lost +0$", answer, re.MULTILINE)


def test_the_two_commands_are_there():
    (block,) = blocks("sh")
    for command in block.split("\n")[:-1]:
        assert os.access(ROOT / command.split()[0], os.X_OK)


def test_files_that_the_readme_names_are_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
