"""What the command prints, and what it exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judge import as_text, dump, judge
from tests.judge.__main__ import main
from tests.judge.transcript import transcript

FORTH_AND_BACK = """
    s1 put x 1
    s2 put x 2
    s1 get x 2
    s2 get x 1
"""
VALID = """
    s1 put x 1
    s2 get x 1
"""
#: Converges, but is no causal memory.
CONVERGENT = """
    s1 put z 1
    s1 put x 1
    s1 put y 1
    s2 put x 2
    s2 get z -
    s2 get y 1
    s2 get x 2
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def write(file: Path, text: str) -> list[str]:
    file.write_text("".join(dump(operation) + "\n" for operation in transcript(text)))
    return [str(file)]


def test_a_conviction_reads_as_a_proof() -> None:
    assert as_text(judge(transcript(FORTH_AND_BACK))).splitlines() == [
        "judged 4 operations of 2 sessions, left out 0",
        "CC   causal consistency   holds",
        "CM   causal memory        holds",
        "CCv  causal convergence   violated: CyclicCF",
        "",
        "CyclicCF: no single order of these writes explains all reads of them",
        "     #1 s1 put x = 1",
        "  -> #2 s2 put x = 2  (conflict: #1 is before #3, which reads from #2)",
        "  -> #1 s1 put x = 1  (conflict: #2 is before #4, which reads from #1)",
        "  #1 is before #3:",
        "     #1 s1 put x = 1",
        "  -> #3 s1 get x = 2  (session order)",
        "  #2 is before #4:",
        "     #2 s2 put x = 2",
        "  -> #4 s2 get x = 1  (session order)",
    ]


def test_a_read_out_of_thin_air_stands_alone() -> None:
    assert as_text(judge(transcript("s1 get x 7"))).splitlines()[-2:] == [
        "ThinAirRead: #1 reads a value that nobody put",
        "     #1 s1 get x = 7",
    ]


def test_an_absent_value_and_an_unknown_outcome_are_told() -> None:
    text = as_text(judge(transcript("s1 put x 1 ?\n s2 get x 1\n s2 get x -")))
    assert "#1 s1 put x = 1 (outcome unknown)\n" in text
    assert "-> #3 s2 get x = absent " in text


def test_a_history_that_holds_exits_with_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(write(file, VALID)) == 0
    assert capsys.readouterr().out.count("holds") == 3


def test_causal_memory_is_reported_only(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(write(file, CONVERGENT)) == 0
    assert "CM   causal memory        violated: WriteHBInitRead\n" in capsys.readouterr().out


def test_a_conviction_exits_with_1(file: Path) -> None:
    assert main(write(file, FORTH_AND_BACK)) == 1


def test_json_has_the_verdicts_and_the_proof(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", *write(file, FORTH_AND_BACK)]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["operations"], data["sessions"], data["left_out"]) == (4, 2, 0)
    assert data["CC"] == data["CM"] == {"holds": True}
    ccv = data["CCv"]
    assert (ccv["holds"], ccv["pattern"]) == (False, "CyclicCF")
    assert [operation["line"] for operation in ccv["operations"]] == [1, 2, 3, 4]
    assert ccv["chain"][0] == {"source": 1, "target": 2, "why": "conflict", "read": 3}
    assert [reason["conflict"]["read"] for reason in ccv["reasons"]] == [3, 4]


def test_too_much_work_leaves_causal_memory_undecided() -> None:
    judgement = judge(transcript(CONVERGENT), cm_work_max=0)
    assert judgement.cm_undecided and judgement.cm is None and judgement.ok
    assert "CM   causal memory        undecided" in as_text(judgement)


@pytest.mark.parametrize(
    ("content", "reason"), [("", "no operations"), ("put\n", "line 1: not JSON")]
)
def test_bad_input_exits_with_2(
    file: Path, content: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(content)
    assert main([str(file)]) == 2
    assert capsys.readouterr().err == f"{file}: {reason}\n"


def test_a_file_that_is_not_there_exits_with_2(file: Path) -> None:
    assert main([str(file)]) == 2


def test_it_runs_as_a_module(file: Path) -> None:
    command = [sys.executable, "-m", "tests.judge", *write(file, FORTH_AND_BACK)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert "CyclicCF" in done.stdout


def test_a_reader_that_leaves_early_does_not_change_the_verdict(file: Path) -> None:
    command = [sys.executable, "-m", "tests.judge", *write(file, VALID)]
    reader, writer = os.pipe()
    os.close(reader)
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
