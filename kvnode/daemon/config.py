"""The settings of a daemon: flags, then KVNODE_* variables, then a TOML file.

They become one frozen, validated `Config` at the start; nothing else reads them.
"""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kvnode.codec.token import CLUSTER_BYTES_MAX, DEFAULT_CLUSTER
from kvnode.core.limits import MIB, Limits
from kvnode.core.vector import is_name
from kvnode.daemon.node import Durability
from kvnode.errors import ConfigError
from kvnode.storage.tuning import CACHE_BYTES
from kvnode.transport.addresses import host_of
from kvnode.transport.sockets import tcp_address

DEFAULT_LISTEN: Final = "tcp://127.0.0.1:7411"
DEFAULT_GOSSIP: Final = "tcp://127.0.0.1:7412"

#: Peers of one node; a full mesh of a hundred has 99.
PEERS_MAX: Final = 128

LOG_FORMATS: Final = ("human", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_WILDCARDS: Final = ("*", "0.0.0.0", "[::]")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a daemon is told at its start."""

    name: str
    cluster: str
    data: Path
    #: Where the ROUTER and the PUB listen.
    listen: str
    gossip: str
    #: The same, as others reach them.
    advertise_listen: str
    advertise_gossip: str
    #: The request addresses of other nodes; one that answers is enough.
    peers: tuple[str, ...]
    durability: Durability
    sync_interval_ms: int
    heartbeat_ms: int
    #: What all members have stays in the log for so long, while the log is no greater.
    log_keep_s: int
    log_keep_mib: int
    #: Beyond this even what a member lacks leaves the log.
    log_max_mib: int
    #: What RocksDB keeps of the table files in memory.
    cache_mib: int
    #: Between two scrubs of the table; 0 for none.
    scrub_interval_s: int
    log_format: str
    log_level: str
    allow_faults: bool


def load(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """The settings from all three places. Raises ConfigError.

    `flags` has each setting by its field's name, None where it was not given, and
    `config`, the TOML file, which has the same names as keys.
    """
    file = flags.get("config") or environment.get("KVNODE_CONFIG")
    from_file = _read_toml(Path(file)) if file else {}
    unknown = sorted(set(from_file) - set(_READERS))
    if unknown:
        raise ConfigError(f"{file}: unknown settings: {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for setting, read in _READERS.items():
        variable = f"KVNODE_{setting.upper()}"
        if flags.get(setting) is not None:
            values[setting] = read(f"--{_flag(setting)}", flags[setting])
        elif variable in environment:
            values[setting] = read(variable, environment[variable])
        elif setting in from_file:
            values[setting] = read(f"{file}: {setting}", from_file[setting])
    return _completed(values)


def _completed(values: dict[str, Any]) -> Config:
    if "name" not in values:
        values["name"] = _default_name()
    values.setdefault("cluster", DEFAULT_CLUSTER)
    values.setdefault("data", Path("kvnode-data") / values["name"])
    values.setdefault("listen", DEFAULT_LISTEN)
    values.setdefault("gossip", DEFAULT_GOSSIP)
    for setting in ("listen", "gossip"):
        values.setdefault(f"advertise_{setting}", _reachable(setting, values[setting]))
    values.setdefault("peers", ())
    values.setdefault("durability", Durability.ALWAYS)
    values.setdefault("sync_interval_ms", 1_000)
    values.setdefault("heartbeat_ms", 500)
    values.setdefault("log_keep_s", Limits().log_kept_us // 1_000_000)
    values.setdefault("log_keep_mib", Limits().log_kept_bytes // MIB)
    values.setdefault("scrub_interval_s", Limits().scrub_interval_us // 1_000_000)
    values.setdefault("log_max_mib", Limits().log_bytes_max // MIB)
    values.setdefault("cache_mib", CACHE_BYTES // MIB)
    values.setdefault("log_format", "human")
    values.setdefault("log_level", "info")
    values.setdefault("allow_faults", False)
    if values["listen"] == values["gossip"]:
        raise ConfigError(f"listen and gossip are both {values['listen']}; they must differ")
    for setting in ("advertise_listen", "advertise_gossip"):
        if host_of(values[setting]) in _WILDCARDS:
            raise ConfigError(f"{setting} is {values[setting]}; others can't connect to that")
    return Config(**values)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except RecursionError:
        message = f"can't read the configuration file {file}: it is nested too deep"
        raise ConfigError(message) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't read the configuration file {file}: {error}") from error


def _default_name() -> str:
    name = socket.gethostname().partition(".")[0]
    if not is_name(name):
        raise ConfigError(f"the host's name {name!r} can't be a node's; give one with --name")
    return name


def _flag(setting: str) -> str:
    return {"peers": "join"}.get(setting, setting.replace("_", "-"))


def _reachable(setting: str, address: str) -> str:
    """How others reach a socket that listens here, for want of a better word."""
    host = host_of(address)
    if host is None or host not in _WILDCARDS:
        return address
    advertised = address.replace(host, socket.gethostname(), 1)
    if host_of(advertised) is None:
        raise ConfigError(
            f"others can't connect to {advertised}; say how they reach {address} with "
            f"--advertise-{setting}"
        )
    return advertised


# --- readers: from a flag, a variable or TOML to a sound value


def _read_name(where: str, value: Any) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise ConfigError(
            f"{where}: {value!r} is no name: 1 to 63 letters, digits, '.', '_' or '-', "
            f"a letter or digit first"
        )
    return value


def _read_cluster(where: str, value: Any) -> str:
    # What is no Unicode reaches us as surrogates, which are not printable.
    text = value if isinstance(value, str) and value.isprintable() else ""
    if not 1 <= len(text.encode()) <= CLUSTER_BYTES_MAX:
        raise ConfigError(
            f"{where}: {value!r} is not 1 to {CLUSTER_BYTES_MAX} bytes of printable text"
        )
    return text


def _read_path(where: str, value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ConfigError(f"{where}: {value!r} is no path")
    return Path(value)


def _read_address(where: str, value: Any) -> str:
    address = tcp_address(value) if isinstance(value, str) else ""
    if host_of(address) is None:
        raise ConfigError(f"{where}: {value!r} is no address; write HOST:PORT or tcp://HOST:PORT")
    return address


def _read_peers(where: str, value: Any) -> tuple[str, ...]:
    given = value
    if isinstance(value, str):
        given = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(given, list | tuple):
        raise ConfigError(f"{where}: {value!r} is no list of addresses")
    peers = tuple(dict.fromkeys(_read_address(where, address) for address in given))
    for peer in peers:
        if host_of(peer) in _WILDCARDS:
            raise ConfigError(f"{where}: {peer} is no address that one can connect to")
    if len(peers) > PEERS_MAX:
        raise ConfigError(f"{where}: {len(peers)} peers; a node has at most {PEERS_MAX}")
    return peers


def _read_number(low: int, high: int) -> Callable[[str, Any], int]:
    def read(where: str, value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = low - 1
        if not low <= number <= high or isinstance(value, bool | float):
            raise ConfigError(f"{where}: {value!r} is no whole number from {low} to {high}")
        return number

    return read


def _read_choice(choices: tuple[str, ...]) -> Callable[[str, Any], str]:
    def read(where: str, value: Any) -> str:
        if value not in choices:
            raise ConfigError(f"{where}: {value!r} is not one of {', '.join(choices)}")
        return str(value)

    return read


def _read_durability(where: str, value: Any) -> Durability:
    return Durability(_read_choice(tuple(Durability))(where, value))


def _read_flag(where: str, value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in words:
        raise ConfigError(f"{where}: {value!r} is neither true nor false")
    return words[value.lower()]


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "name": _read_name,
    "cluster": _read_cluster,
    "data": _read_path,
    "listen": _read_address,
    "gossip": _read_address,
    "advertise_listen": _read_address,
    "advertise_gossip": _read_address,
    "peers": _read_peers,
    "durability": _read_durability,
    "sync_interval_ms": _read_number(10, 60_000),
    "heartbeat_ms": _read_number(10, 60_000),
    "log_keep_s": _read_number(0, 365 * 86_400),
    "log_keep_mib": _read_number(0, 1 << 20),
    "scrub_interval_s": _read_number(0, 365 * 86_400),
    "log_max_mib": _read_number(1, 1 << 20),
    "cache_mib": _read_number(8, 1 << 20),
    "log_format": _read_choice(LOG_FORMATS),
    "log_level": _read_choice(LOG_LEVELS),
    "allow_faults": _read_flag,
}
