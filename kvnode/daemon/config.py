"""The settings of a daemon: flags, then KVNODE_* variables, then a TOML file.

They become one frozen, validated `Config` at the start; nothing else reads them. A setting has one
name: `log_keep_s` in the file is `--log-keep-s` as a flag and `KVNODE_LOG_KEEP_S` as a variable.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from kvnode.codec.token import CLUSTER_BYTES_MAX, DEFAULT_CLUSTER
from kvnode.core.limits import MIB, Limits
from kvnode.core.vector import is_name
from kvnode.daemon.node import Durability
from kvnode.errors import ConfigError
from kvnode.storage.tuning import CACHE_BYTES
from kvnode.transport.addresses import host_of
from kvnode.transport.sockets import tcp_address

_DEFAULT_PORT: Final = 7411
DEFAULT_LISTEN: Final = f"tcp://127.0.0.1:{_DEFAULT_PORT}"
DEFAULT_GOSSIP: Final = "tcp://127.0.0.1:7412"

#: Peers of one node; a full mesh of a hundred has 99.
PEERS_MAX: Final = 128

LOG_FORMATS: Final = ("human", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

#: A file of settings has a few hundred; one that never ends, as /dev/zero, is told.
_FILE_BYTES_MAX: Final = MIB

_PREFIX: Final = "KVNODE_"
#: Where the file is.
_CONFIG: Final = "KVNODE_CONFIG"
#: Of the clients.
_CLIENTS: Final = ("KVNODE_NODE",)
#: What Kubernetes and Docker set for services that are called kvnode, too.
_OF_A_SERVICE: Final = re.compile(r"KVNODE_(\w+_)?(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)$")

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
    join: tuple[str, ...]
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

    @property
    def by_host_name(self) -> list[str]:
        """The settings by which others are told nothing but the host's name."""
        own = {"listen": self.advertise_listen, "gossip": self.advertise_gossip}
        return [
            f"advertise_{name}"
            for name, advertised in own.items()
            if host_of(getattr(self, name)) in _WILDCARDS
            and host_of(advertised) == socket.gethostname()
        ]


class Setting(NamedTuple):
    """What is in force, and where it comes from."""

    value: Any
    source: str


def load(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """The settings from all three places. Raises ConfigError."""
    return Config(**{name: it.value for name, it in settings(flags, environment).items()})


def settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Setting]:
    """Each setting with its source. Raises ConfigError.

    `flags` has each setting by its field's name, None where it was not given, and
    `config`, the TOML file, which has the same names as keys.
    """
    file = flags.get("config") or environment.get(_CONFIG)
    from_file = _read_toml(Path(file)) if file else {}
    unknown = sorted(set(from_file) - set(_READERS))
    if unknown:
        told = ", ".join(f"{name}{_hint(name, str)}" for name in unknown)
        raise ConfigError(f"{file}: unknown settings: {told}")
    found: dict[str, Setting] = {}
    for name, read in _READERS.items():
        if flags.get(name) is not None:
            source, value = f"--{name.replace('_', '-')}", flags[name]
        elif _variable(name) in environment:
            source, value = _variable(name), environment[_variable(name)]
        elif name in from_file:
            source, value = f"{file}: {name}", from_file[name]
        else:
            continue
        found[name] = Setting(read(source, value), source)
    return _completed(found)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """What to say of each KVNODE_* variable that is no setting."""
    known = {_CONFIG, *_CLIENTS, *map(_variable, _READERS)}
    return [
        f"{name} is no setting{_hint(name.removeprefix(_PREFIX).lower(), _variable)}; it is ignored"
        for name in sorted(environment.keys() - known)
        if name.startswith(_PREFIX) and not _OF_A_SERVICE.match(name)
    ]


def _variable(name: str) -> str:
    return f"{_PREFIX}{name.upper()}"


def _hint(name: str, shown: Callable[[str], str]) -> str:
    """What may have been meant. Peers are what many programs call whom they join."""
    near = ["join"] if name in ("peer", "peers") else get_close_matches(name, _READERS, n=1)
    return f" (is {shown(near[0])} meant?)" if near else ""


def _completed(found: dict[str, Setting]) -> dict[str, Setting]:
    def default(name: str, value: Any, source: str = "default") -> None:
        found.setdefault(name, Setting(value, source))

    if "name" not in found:
        default("name", _default_name(), "the host's name")
    default("cluster", DEFAULT_CLUSTER)
    default("data", Path("kvnode-data") / found["name"].value)
    default("listen", DEFAULT_LISTEN)
    default("gossip", DEFAULT_GOSSIP)
    for name in ("listen", "gossip"):
        if f"advertise_{name}" not in found:
            default(f"advertise_{name}", _reachable(name, found[name].value), f"from {name}")
    default("join", ())
    default("durability", Durability.ALWAYS)
    default("sync_interval_ms", 1_000)
    default("heartbeat_ms", 500)
    default("log_keep_s", Limits().log_kept_us // 1_000_000)
    default("log_keep_mib", Limits().log_kept_bytes // MIB)
    default("log_max_mib", Limits().log_bytes_max // MIB)
    default("cache_mib", CACHE_BYTES // MIB)
    default("scrub_interval_s", Limits().scrub_interval_us // 1_000_000)
    default("log_format", "human")
    default("log_level", "info")
    default("allow_faults", False)
    if found["listen"].value == found["gossip"].value:
        raise ConfigError(f"listen and gossip are both {found['listen'].value}; they must differ")
    for name in ("advertise_listen", "advertise_gossip"):
        if host_of(found[name].value) in _WILDCARDS:
            raise ConfigError(f"{name} is {found[name].value}; others can't connect to that")
    return {field.name: found[field.name] for field in fields(Config)}


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
        if len(content) > _FILE_BYTES_MAX:
            raise ValueError(f"it has more than {_FILE_BYTES_MAX} bytes")
        return tomllib.loads(content.decode())
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


def _read_peer(where: str, value: Any) -> str:
    """As clients take it: a host alone has the port that nodes have if nobody tells another."""
    if isinstance(value, str) and not value.isdecimal():
        whole = f"{tcp_address(value)}:{_DEFAULT_PORT}"
        if host_of(whole) is not None:
            return whole
    return _read_address(where, value)


def _read_join(where: str, value: Any) -> tuple[str, ...]:
    given = value
    if isinstance(value, str):
        given = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(given, list | tuple):
        raise ConfigError(f"{where}: {value!r} is no list of addresses")
    peers = tuple(dict.fromkeys(_read_peer(where, address) for address in given))
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
    "join": _read_join,
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
