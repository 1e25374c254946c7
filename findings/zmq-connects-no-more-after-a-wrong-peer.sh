#!/usr/bin/env bash
# pyzmq 27.3.0 (libzmq 4.3.5): a DEALER that once found a PUB at its address never connects again, though
# it has RECONNECT_IVL, and though a ROUTER takes that address later. No event says so.
#
# libzmq connects again after a refused connection and after a lost one, so one expects it to go on after any
# failure. After a handshake with a socket of a type that does not fit it gives the address up for good: the
# monitor sees CONNECTED, then DISCONNECTED, no HANDSHAKE_FAILED_PROTOCOL, and no further attempt. What
# is sent goes into the socket's queue and stays there. A socket that is made anew gets through at once.
#
# Seen:
#   libzmq 4.3.5
#   nothing listens at first: the DEALER reaches the ROUTER that comes later: True
#   a PUB is there at first: CONNECTED, DISCONNECTED, then no attempt in 2 s
#   the same DEALER reaches the ROUTER that comes later: False
#   a new DEALER reaches it: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0
cat > "$folder/play.py" <<'PLAY'
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

context = zmq.Context()
context.linger = 0


def dealer():
    socket = context.socket(zmq.DEALER)
    socket.reconnect_ivl = 50
    return socket


def router_at(port):
    socket = context.socket(zmq.ROUTER)
    for _ in range(100):
        try:
            socket.bind(f"tcp://127.0.0.1:{port}")
            return socket
        except zmq.ZMQError:
            time.sleep(0.05)  # the one before is not closed yet
    raise SystemExit("the port is not free")


def reaches(asker, router):
    asker.send(b"hello")
    return bool(router.poll(3000))


print("libzmq", zmq.zmq_version())
probe = context.socket(zmq.ROUTER)
port = probe.bind_to_random_port("tcp://127.0.0.1")
probe.close()
early = dealer()
early.connect(f"tcp://127.0.0.1:{port}")
time.sleep(0.5)  # it is refused, some times
router = router_at(port)
first = reaches(early, router)
print("nothing listens at first: the DEALER reaches the ROUTER that comes later:", first)

pub = context.socket(zmq.PUB)
port = pub.bind_to_random_port("tcp://127.0.0.1")
asker = dealer()
monitor = asker.get_monitor_socket()
asker.connect(f"tcp://127.0.0.1:{port}")
events, end_s = [], time.monotonic() + 2
while (left_s := end_s - time.monotonic()) > 0:
    if monitor.poll(int(1000 * left_s)):
        events.append(recv_monitor_message(monitor)["event"].name)
asker.disable_monitor()
events = [event for event in events if event != "CONNECT_DELAYED"]
print(f"a PUB is there at first: {', '.join(events)}, then no attempt in 2 s")
pub.close()
router = router_at(port)
again = reaches(asker, router)
print("the same DEALER reaches the ROUTER that comes later:", again)
anew = dealer()
anew.connect(f"tcp://127.0.0.1:{port}")
new = reaches(anew, router)
print("a new DEALER reaches it:", new)
seen = (first, events, again, new)
raise SystemExit(seen != (True, ["CONNECTED", "DISCONNECTED"], False, True))
PLAY
"$folder/venv/bin/python" "$folder/play.py"
