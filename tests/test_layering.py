"""Imports go down only. The table is that of the architecture document."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

#: A room may import from its own layer and from those below.
LAYERS = {
    "kvnode.errors": 0,
    "kvnode.core": 0,
    "kvnode.codec": 1,
    "kvnode.storage": 1,
    "kvnode.transport": 2,
    "kvnode.client": 2,
    "kvnode": 2,  # the public surface, in its __init__
    "kvnode.daemon": 3,
    "kvnode.cli": 4,
    "kvnode.gateway": 4,
    "kvnode.__main__": 4,
}

PACKAGES = {"zmq", "msgpack", "rocksdict"}
CLOCKS = {"time", "datetime", "random", "secrets", "uuid"}
THREADS = {"threading", "multiprocessing", "concurrent", "asyncio", "signal", "subprocess"}
WORLD = {"os", "io", "pathlib", "socket", "select", "selectors", "logging", "importlib"}
OUTSIDE = PACKAGES | CLOCKS | THREADS | WORLD
REPLICA = {"kvnode.core.replica", "kvnode.storage"}

#: What a room, and all that is in it, may not touch beside what is above it.
FORBIDDEN = {
    "kvnode.errors": OUTSIDE | {"kvnode.core"},
    "kvnode.core": OUTSIDE,
    "kvnode.codec": {"zmq", "kvnode.storage"},
    "kvnode.storage": {"zmq"},
    "kvnode.transport": REPLICA | {"kvnode.client"},
    "kvnode.client": REPLICA,
    "kvnode.daemon": {"kvnode.client"},
    "kvnode.daemon.node": {"zmq"},
    "kvnode.cli": REPLICA,
    "kvnode.gateway": REPLICA,
}

#: What a module may touch though its room may not: it works where no daemon runs.
ALLOWED = {"kvnode.cli.admin": {"kvnode.storage"}}


class Import(NamedTuple):
    """That one module imports another, and where it says so."""

    importer: str
    imported: str
    place: str


def is_in(module: str, room: str) -> bool:
    """Whether a module is a room or lies in it. The package's own room has no other in it."""
    return module == room or (room != "kvnode" and module.startswith(f"{room}."))


def layer_of(module: str) -> int | None:
    """The layer of a module's room."""
    return next((layer for room, layer in LAYERS.items() if is_in(module, room)), None)


def modules_in(root: Path) -> dict[str, Path]:
    """The modules of kvnode beneath a directory."""
    found = {}
    for path in sorted((root / "kvnode").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_in(root: Path) -> Iterator[Import]:
    """Every import, also inside functions and for type checkers."""
    modules = modules_in(root)
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from (Import(module, alias.name, place) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                above = package.split(".")[: len(package.split(".")) + 1 - node.level]
                start = ".".join([*above, *filter(None, [node.module])] if node.level else [])
                start = start or node.module or ""
                for alias in node.names:
                    inner = f"{start}.{alias.name}"
                    yield Import(module, inner if inner in modules else start, place)


def violations(root: Path) -> list[str]:
    """What breaks the rules, each with its place."""
    found = [
        f"{module} has no layer: give it one in this table and in the architecture"
        for module in modules_in(root)
        if layer_of(module) is None
    ]
    for importer, imported, place in imports_in(root):
        lower, upper = layer_of(imported), layer_of(importer)
        if lower is not None and upper is not None and lower > upper:
            found.append(f"{place}: {importer} imports {imported}, which is above it")
        if any(is_in(imported, each) for each in ALLOWED.get(importer, ())):
            continue
        for room, forbidden in FORBIDDEN.items():
            if is_in(importer, room) and any(is_in(imported, each) for each in forbidden):
                found.append(f"{place}: {importer} imports {imported}, which {room} may not")
    return found


def test_imports_go_down_only() -> None:
    assert violations(ROOT) == []


def test_every_rule_but_those_of_rooms_to_come_is_about_something() -> None:
    modules = modules_in(ROOT)
    empty = {
        room for room in LAYERS | FORBIDDEN | ALLOWED if not any(is_in(it, room) for it in modules)
    }
    assert empty <= {"kvnode.gateway", "kvnode.__main__"}


# --- the rules hold of a made-up tree, so they would catch a real mistake

SOUND = {
    "kvnode/__init__.py": "from kvnode.client.sync import Client",
    "kvnode/errors.py": "",
    "kvnode/core/__init__.py": "",
    "kvnode/core/replica.py": "import struct\nfrom kvnode.core import batch\n",
    "kvnode/core/batch.py": "from kvnode.errors import KvnodeError\n",
    "kvnode/codec/packing.py": "import msgpack\nfrom kvnode.core.batch import Batch\n",
    "kvnode/storage/rocks.py": "import rocksdict\nfrom kvnode.core.replica import Saved\n",
    "kvnode/client/sync.py": "import time, zmq\nfrom kvnode.codec import packing\n",
    "kvnode/daemon/node.py": "from kvnode.storage.rocks import RocksStore\n",
    "kvnode/daemon/loop.py": "import zmq\nfrom . import node\n",
    "kvnode/cli/admin.py": "from kvnode.storage.rocks import RocksStore\n",
    "kvnode/cli/kv.py": "import kvnode\ndef main():\n    from kvnode.daemon import loop\n",
}


def made_up(root: Path, **changes: str) -> list[str]:
    """The violations of the sound tree with these modules instead."""
    changed = {f"kvnode/{name.replace('__', '/')}.py": text for name, text in changes.items()}
    for name, text in {**SOUND, **changed}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return violations(root)


def test_a_sound_tree_has_no_violations(tmp_path: Path) -> None:
    assert made_up(tmp_path) == []


@pytest.mark.parametrize(
    ("module", "text", "imported"),
    [
        ("errors", "import zmq", "zmq"),
        ("errors", "from kvnode.core.batch import Batch", "kvnode.core.batch"),
        ("core__batch", "import os.path", "os.path"),
        ("core__batch", "from datetime import datetime", "datetime"),
        ("core__batch", "def now():\n    import time", "time"),
        ("core__batch", "import struct, random", "random"),
        ("core__batch", "if TYPE_CHECKING:\n    import asyncio", "asyncio"),
        ("core__batch", "from kvnode.codec import packing", "kvnode.codec.packing"),
        ("core__batch", "from kvnode import codec", "kvnode"),
        ("core__batch", "from ..codec import packing", "kvnode.codec.packing"),
        ("core__batch", "from ..codec.packing import pack", "kvnode.codec.packing"),
        ("core__batch", "import kvnode.storage.rocks", "kvnode.storage.rocks"),
        ("codec__packing", "import zmq.asyncio", "zmq.asyncio"),
        ("codec__packing", "from kvnode.storage import rocks", "kvnode.storage.rocks"),
        ("storage__rocks", "import zmq", "zmq"),
        ("storage__rocks", "from kvnode import Client", "kvnode"),
        ("transport__sockets", "from kvnode.core.replica import Replica", "kvnode.core.replica"),
        ("transport__sockets", "from kvnode.client import sync", "kvnode.client.sync"),
        ("client__sync", "from kvnode.core import replica", "kvnode.core.replica"),
        ("client__sync", "from kvnode.storage.rocks import RocksStore", "kvnode.storage.rocks"),
        ("client__sync", "from kvnode.daemon import loop", "kvnode.daemon.loop"),
        ("daemon__node", "import zmq", "zmq"),
        ("daemon__loop", "from kvnode.cli.kv import main", "kvnode.cli.kv"),
        ("cli__kv", "from kvnode.storage.rocks import RocksStore", "kvnode.storage.rocks"),
        ("cli__admin", "from kvnode.core.replica import Replica", "kvnode.core.replica"),
        ("gateway__http", "import kvnode.core.replica", "kvnode.core.replica"),
    ],
)
def test_a_violation_is_found(tmp_path: Path, module: str, text: str, imported: str) -> None:
    found = made_up(tmp_path, **{module: text})
    assert found, "nothing was found"
    assert all(f" imports {imported}, which" in each for each in found)


def test_a_module_without_a_layer_is_found(tmp_path: Path) -> None:
    (violation,) = made_up(tmp_path, helpers="import zmq")
    assert "kvnode.helpers has no layer" in violation
