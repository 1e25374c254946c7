"""docs/CLIENT.md: the examples run against one node, and print what their comments say."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvnode.cli.cluster import PATIENCE_S, LocalNode
from tests.client.test_sync_failures import nobodys_address

DOCUMENT = (Path(__file__).parent.parent / "docs" / "CLIENT.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:7411"

#: Further nodes that an example names. None runs; others' nodes on this machine must not answer.
ELSEWHERE = re.compile(r'"127\.0\.0\.1:74[23]1"')


#: In their order, and once more: none may leave what another one would show.
RUNS = [
    pytest.param(example, id=f"{time}-{number}")
    for time in ("first", "again")
    for number, example in enumerate(EXAMPLES)
]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = LocalNode("X", tmp_path_factory.mktemp("document"), [])
    node.start()
    yield node
    node.stop(signal.SIGKILL)


def test_the_document_has_examples():
    assert len(EXAMPLES) >= 7
    assert all(ADDRESS in example for example in EXAMPLES)


@pytest.mark.parametrize("example", RUNS)
def test_an_example_prints_what_its_comments_say(example, node):
    own = example.replace(f'"{ADDRESS}"', f'"{node.listen}"')
    own = ELSEWHERE.sub(lambda _: f'"{nobodys_address()}"', own)
    ran = subprocess.run(
        [sys.executable, "-c", own], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = re.findall(r"^ *print\(.*\) +# (.*)$", example, re.MULTILINE)
    assert said and ran.stdout.splitlines() == said
