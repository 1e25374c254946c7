"""The tree under `tests/` mirrors `kvnode/`: what a module does is tested where one looks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Modules without a test file, and why.
UNTESTED = dict.fromkeys(
    ("core/messages.py", "core/requests.py", "core/results.py"),
    "records that do nothing; every test of the replica is made of them",
)


def faults_of_mirror(root: Path, untested: Mapping[str, str]) -> list[str]:
    """What the mirror lacks, and exceptions that are none."""
    found = []
    for path in sorted((root / "kvnode").rglob("*.py")):
        module = path.relative_to(root / "kvnode")
        test = root / "tests" / module.with_name(f"test_{module.name}")
        tested = test.exists() and "\ndef test_" in test.read_text(encoding="utf-8")
        if module.name != "__init__.py" and tested == (str(module) in untested):
            found.append(f"{module} has tests" if tested else f"{module} has no tests in {test}")
    gone = [module for module in untested if not (root / "kvnode" / module).exists()]
    return [*found, *(f"{module} is not there" for module in gone)]


def test_every_module_has_its_tests_or_a_reason_for_having_none() -> None:
    assert faults_of_mirror(ROOT, UNTESTED) == []


# --- the rule holds of a made-up tree, so it would catch a real gap

SOUND = {
    "kvnode/__init__.py": "",
    "kvnode/errors.py": "",
    "kvnode/core/heap.py": "",
    "kvnode/core/messages.py": "",
    "kvnode/core/requests.py": "",
    "kvnode/core/results.py": "",
    "tests/test_errors.py": "\ndef test_all(): ...",
    "tests/core/test_heap.py": "\ndef test_all(): ...",
}


def made_up(root: Path, **changes: str) -> list[str]:
    """The faults of the sound tree with these files instead."""
    changed = {f"{name.replace('__', '/')}.py": text for name, text in changes.items()}
    for name, text in {**SOUND, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return faults_of_mirror(root, UNTESTED)


def test_a_sound_tree_has_no_faults(tmp_path: Path) -> None:
    assert made_up(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"kvnode__core__clock": ""}, "core/clock.py has no tests in"),
        ({"kvnode__gateway": ""}, "gateway.py has no tests in"),
        ({"kvnode__core__clock": "", "tests__test_clock": "\ndef test_it(): ..."}, "core/clock.py"),
        ({"tests__core__test_heap": ""}, "core/heap.py has no tests in"),
        ({"tests__core__test_messages": "\ndef test_it(): ..."}, "core/messages.py has tests"),
    ],
)
def test_a_gap_and_a_needless_exception_are_found(
    tmp_path: Path, changes: dict[str, str], fault: str
) -> None:
    (found,) = made_up(tmp_path, **changes)
    assert found.startswith(fault)


def test_an_exception_for_a_module_that_is_gone_is_found(tmp_path: Path) -> None:
    made_up(tmp_path)
    (tmp_path / "kvnode/core/messages.py").unlink()
    assert faults_of_mirror(tmp_path, UNTESTED) == ["core/messages.py is not there"]
