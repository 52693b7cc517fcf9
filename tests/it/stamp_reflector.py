"""A Session-Reflector of STAMP written from RFC 8762 alone, with nothing but the standard library, that misbehaves by the numbers of packets.

Usage: stamp_reflector.py HOST KIND [--lose-up A,B] [--lose-down A,B] [--twice-up A,B] [--twice-down A,B] [--swap A,B] [--known N]
                          [--ahead NANOSECONDS] [--ptp] [--inside NANOSECONDS] [--key HEX] [--hostile]

Prints `port N`, and serves until it is killed. Sessions are told apart by the address and port of the sender. Numbers are those of
packets in their session, but for the session of port numbers `--spare` of the sender that came first, which is that of its handshake.

KIND        stateful, stateless; twamp-light, which is stateless and answers with 41 octets; half (43 octets) and long (200 octets), which are stateless
            and answer with another length; unset, backwards, ptp-overflow, corrupt: stateless with stamps that cannot be
--lose-up   packets it never sees
--lose-down packets whose answers it sends nowhere, though it counts them
--twice-up  packets that it gets twice
--twice-down answers that come twice
--swap      packets that are answered after the next one
--known     it knows each session from before, and goes on from this number
--ahead     its clock is ahead by this
--ptp       timestamps in the truncated format of PTPv2
--inside    it waits so long before it answers
--key       authenticated mode
--hostile   besides each right answer come: one too short, one with a number never sent, one with another time, one of another session (SSID), and the
            right one from another port
"""

import argparse
import hashlib
import hmac
import socket
import struct
import time

NTP_EPOCH = 2_208_988_800
TAI_AHEAD = 37
NANOS = 1_000_000_000


def numbers(text):
    return {int(number) for number in text.split(",")}


parser = argparse.ArgumentParser()
parser.add_argument("host")
parser.add_argument("kind")
for name in ["lose-up", "lose-down", "twice-up", "twice-down", "swap"]:
    parser.add_argument(f"--{name}", type=numbers, default=set())
parser.add_argument("--known", type=int, default=0)
parser.add_argument("--ahead", type=int, default=0)
parser.add_argument("--ptp", action="store_true")
parser.add_argument("--inside", type=int, default=0)
parser.add_argument("--key", type=bytes.fromhex)
parser.add_argument("--hostile", action="store_true")
args = parser.parse_args()

family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
server.bind((args.host, 0))
stranger = socket.socket(family, socket.SOCK_DGRAM)
stranger.bind((args.host, 0))
print("port", server.getsockname()[1], flush=True)


def now():
    return time.clock_gettime_ns(time.CLOCK_REALTIME) + args.ahead


def stamp(nanos):
    seconds, rest = divmod(nanos, NANOS)
    if args.kind == "ptp-overflow":
        return (seconds + TAI_AHEAD) << 32 | NANOS
    if args.ptp:
        return (seconds + TAI_AHEAD) << 32 | rest
    return (seconds + NTP_EPOCH) % 2**32 << 32 | (rest << 32) // NANOS


def answer_to(packet, number, received):
    """Sections 4.3.1 and 4.3.2."""
    sealed = args.key is not None
    their_place = 16 if sealed else 4
    (their_number,) = struct.unpack_from("!I", packet)
    their_time, their_error, ssid = struct.unpack_from("!QHH", packet, their_place)
    # Scale 27, multiplier 5: 5 * 2^27 units of 2^-32 s are 156.25 ms.
    error = 0x8000 | (0x4000 if args.ptp or args.kind == "ptp-overflow" else 0) | 27 << 8 | (0 if args.kind == "corrupt" else 5)
    while now() < received + args.inside:
        time.sleep(args.inside / NANOS / 20)
    came, left = stamp(received), stamp(now())
    if args.kind == "unset":
        came = 0
    if args.kind == "backwards":
        came, left = left + (1 << 32), came
    fields = (left, error, ssid, came, their_number, their_time, their_error, 77)
    if sealed:
        fixed = struct.pack("!I12xQHH4xQ8xI12xQH6xB15x", number, *fields)
        fixed += hmac.new(args.key, fixed, hashlib.sha256).digest()[:16]
    else:
        fixed = struct.pack("!IQHHQIQH2xB3x", number, *fields)
    cut = {"twamp-light": 41, "half": 43}.get(args.kind)
    if cut:
        return fixed[:cut]
    return (fixed + packet[len(fixed) :]).ljust(200 if args.kind == "long" else 0, b"\0")


def changed(answer, at, octets):
    return answer[:at] + octets + answer[at + len(octets) :]


counts, held = {}, {}
while True:
    packet, sender = server.recvfrom(65536)
    received = now()
    (seq,) = struct.unpack_from("!I", packet)
    if seq in args.lose_up:
        continue
    for copy in range(2 if seq in args.twice_up else 1):
        count = counts.get(sender, args.known)
        counts[sender] = count + 1
        answer = answer_to(packet, count if args.kind == "stateful" else seq, received)
        if seq in args.lose_down:
            continue
        if seq in args.swap:
            held[sender] = answer
            continue
        if args.hostile:
            server.sendto(answer[:40], sender)
            server.sendto(b"", sender)
            server.sendto(changed(answer, 24, struct.pack("!I", seq + 1_000_000)), sender)
            server.sendto(changed(answer, 28, b"\xe8\xfe\x6f\x80\x80\0\0\0"), sender)
            server.sendto(changed(answer, 14, b"\x12\x34"), sender)
            stranger.sendto(answer, sender)
        for again in range(2 if seq in args.twice_down else 1):
            server.sendto(answer, sender)
    if seq not in args.swap and sender in held:
        server.sendto(held.pop(sender), sender)
