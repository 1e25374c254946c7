#!/usr/bin/env bash
# pyzmq 27.3.0 (libzmq 4.3.5): with ZMTP heartbeats, a message that takes longer than HEARTBEAT_TIMEOUT to
# come never comes, though its bytes never stop coming.
#
# A heartbeat's time-out is ended by a whole message from the peer, and not by the bytes of one. While a
# long message is on a slow link, the peer's PONG waits behind it, so the connection is ended as dead.
# The sender does not know, connects again, and the message is gone. The same message comes over the same link
# without heartbeats, and a message that takes half of the time-out comes with them.
#
# Seen:
#   libzmq 4.3.5, 64 kB/s, heartbeat time-out 1 s
#   no heartbeat, 192 kB: the message came, 0 disconnections
#   heartbeats, 32 kB: the message came, 0 disconnections
#   heartbeats, 192 kB: the message did not come, 1 disconnection
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0
cat > "$folder/play.py" <<'PLAY'
import socket
import threading
import time
from contextlib import suppress

import zmq
from zmq.utils.monitor import recv_monitor_message

BYTES_PER_S = 64_000
TIMEOUT_MS = 1_000
PATIENCE_MS = 10_000


def carry(source, sink, bytes_per_s):
    with suppress(OSError):
        while data := source.recv(1024):
            if bytes_per_s:
                time.sleep(len(data) / bytes_per_s)
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def link_to(port):
    """A link that is slow from the port to whoever connects; where to connect."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for ends in ((near, far, None), (far, near, BYTES_PER_S)):
                threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


context = zmq.Context()
router = context.socket(zmq.ROUTER)
entry = link_to(router.bind_to_random_port("tcp://127.0.0.1"))


def play(size_bytes, heartbeats):
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    if heartbeats:
        dealer.heartbeat_ivl = TIMEOUT_MS // 2
        dealer.heartbeat_timeout = TIMEOUT_MS
    monitor = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    dealer.connect(f"tcp://127.0.0.1:{entry}")
    dealer.send(b"please")
    asker, _ = router.recv_multipart()
    router.send_multipart([asker, bytes(size_bytes)])
    came = dealer.poll(PATIENCE_MS)
    ended = 0
    while monitor.poll(0):
        recv_monitor_message(monitor)
        ended += 1
    dealer.disable_monitor()
    dealer.close()
    print(
        f"{'heartbeats' if heartbeats else 'no heartbeat'}, {size_bytes // 1000} kB: the message "
        f"{'came' if came else 'did not come'}, {ended} disconnection{'' if ended == 1 else 's'}"
    )
    return bool(came), ended


print(f"libzmq {zmq.zmq_version()}, {BYTES_PER_S // 1000} kB/s, heartbeat time-out {TIMEOUT_MS // 1000} s")
seen = [play(192_000, False), play(32_000, True), play(192_000, True)]
raise SystemExit(seen != [(True, 0), (True, 0), (False, 1)])
PLAY
"$folder/venv/bin/python" "$folder/play.py"
