"""Sends bursts, and says how many answers left before their time, by the clock of the kernel.

usage: early_client.py IP PORT DELAY_US BURSTS SIZE

An answer is early if the kernel received it less than the delay after the time at which its datagram was about to be sent.
The kernel's time of the answer is that of its departure: on loopback it is received while it is sent. Of those that it calls
early none can be in time, however slow the machine is.
"""

import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35  # of Linux

ip, port, delay_us, bursts, size = sys.argv[1], *map(int, sys.argv[2:])
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
client.connect((ip, port))
sent, answered, early, most = [], 0, 0, 0


def take():
    global answered, early, most
    data, control, _, _ = client.recvmsg(64, 64)
    seconds, nanos = struct.unpack("qq", control[0][2])
    waited = seconds * 1_000_000_000 + nanos - sent[struct.unpack("I", data)[0]]
    answered += 1
    if waited < delay_us * 1000:
        early += 1
        most = max(most, delay_us * 1000 - waited)


for burst in range(bursts):
    client.setblocking(False)
    for number in range(burst * size, burst * size + size):
        sent.append(time.clock_gettime_ns(time.CLOCK_REALTIME))
        client.send(struct.pack("I", number))
        # A burst lasts as long as several turns, and is received while it lasts.
        try:
            take()
        except BlockingIOError:
            pass
    client.settimeout(5)
    while answered < (burst + 1) * size:
        take()
print(f"answered {answered} early {early} most {most}")
