"""docs/OPERATIONS.md, and what it would have one type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text()


def blocks(text: str) -> list[list[str]]:
    """The blocks to be typed, as lines."""
    found = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in found]


def section(heading: str) -> str:
    """What stands below that heading, up to the next one."""
    pattern = rf"^##+ {re.escape(heading)}\n(.*?)(?:^##|\Z)"
    (found,) = re.findall(pattern, OPERATIONS, re.MULTILINE | re.DOTALL)
    return str(found)
