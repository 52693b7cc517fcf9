"""Sends numbered datagrams to echoes and counts what comes back: traffic.py RATE PORT...

A line of JSON each second tells how far it is, and a last one, when standard input has ended, what was lost and what came twice.
No more than WINDOW are under way: what is not answered then was lost by those who answer, and not by a full buffer.
"""

import json
import select
import socket
import struct
import sys
import time

WINDOW = 256
# socket(7); the module has no name for it.
SO_RCVBUFFORCE = 33
# A datagram that has no answer then is lost.
PATIENCE = 30.0


def main(rate, ports):
    way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # All that are under way find room, however long this process does not run: root's alone, beyond what others may have.
    way.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    way.bind(("127.0.0.1", 0))
    way.setblocking(False)
    begun = told = last = time.monotonic()
    sent = twice = others = 0
    # By number, when it was sent.
    open_numbers = {}
    ending = False
    while True:
        now = time.monotonic()
        if open_numbers and now - last > PATIENCE:
            break
        if ending and not open_numbers:
            break
        while not ending and len(open_numbers) < WINDOW and sent < (now - begun) * rate:
            way.sendto(struct.pack("!Q", sent) + bytes(56), ("127.0.0.1", ports[sent % len(ports)]))
            open_numbers[sent] = round(now - begun, 3)
            sent += 1
        watched = [way] if ending else [way, sys.stdin]
        ready, _, _ = select.select(watched, [], [], 1 / rate)
        if sys.stdin in ready and not sys.stdin.readline():
            ending = True
        if way in ready:
            last = time.monotonic()
            while True:
                try:
                    data, (_, port) = way.recvfrom(2048)
                except BlockingIOError:
                    break
                number = struct.unpack("!Q", data[:8])[0]
                if len(data) != 64 or port != ports[number % len(ports)]:
                    others += 1
                elif number in open_numbers:
                    del open_numbers[number]
                else:
                    twice += 1
        if not open_numbers:
            last = now
        if now - told >= 1:
            told = now
            print(json.dumps({"sent": sent, "answered": sent - len(open_numbers)}), flush=True)
    took = time.monotonic() - begun
    said = {"sent": sent, "lost": len(open_numbers), "twice": twice, "others": others, "seconds": round(took, 1)}
    if open_numbers:
        said["lost_at"] = sorted(set(open_numbers.values()))[:20]
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(port) for port in sys.argv[2:]])
