"""What is an address, and which go by names."""

from __future__ import annotations

import pytest

from kvnode.transport.addresses import host_of, named_host

#: Addresses, their hosts, and whether these go by names.
ADDRESSES = [
    ("tcp://localhost:7411", "localhost", True),
    ("tcp://kvnode-0.kvnode-peers:7411", "kvnode-0.kvnode-peers", True),
    ("tcp://tcp:65535", "tcp", True),
    ("tcp://127.0.0.1:7411", "127.0.0.1", False),
    ("tcp://[::1]:7411", "[::1]", False),
    ("tcp://[fe80::1%eth0]:7411", "[fe80::1%eth0]", False),
    ("tcp://*:7411", "*", False),
    ("tcp://a*b:7411", None, False),
    ("tcp://127.0.0.1;127.0.0.2:7411", None, False),
    ("tcp://localhost:0", None, False),
    ("tcp://localhost:65536", None, False),
    ("tcp://127.0.0.1:99999", None, False),
    ("tcp://[::::]:7411", None, False),
    ("tcp://[127.0.0.1]:7411", None, False),
    ("tcp://[::1%\n]:7411", None, False),
    ("tcp://[name]:7411", None, False),
    ("tcp://:7411", None, False),
    ("tcp://::1:7411", None, False),
    ("tcp://two words:7411", None, False),
    ("localhost:7411", None, False),
    ("ipc://localhost:7411", None, False),
    ("", None, False),
]


@pytest.mark.parametrize(("address", "host", "is_named"), ADDRESSES)
def test_only_what_has_a_host_and_a_port_is_an_address_and_only_names_are_looked_up(
    address, host, is_named
):
    assert host_of(address) == host
    assert named_host(address) == (host if is_named else None)
