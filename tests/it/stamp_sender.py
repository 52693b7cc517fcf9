"""A Session-Sender of STAMP written from RFC 8762 alone, with nothing but the standard library.

Usage: stamp_sender.py HOST PORT [--count N] [--size OCTETS] [--key HEX] [--ptp] [--ssid N] [--ttl N] [--pcap FILE]

Sends test packets one by one, each when the one before was answered, and prints one JSON object for each answer: every field
of it, what it should repeat, and the four times in nanoseconds of Unix time. It judges nothing but what has only one
right value: an answer of a wrong length, from elsewhere, with a field that must be zero and is not, or with a wrong HMAC,
ends it with the reason on standard error.

--size   octets of a packet; below 44 (without --key) as a sender of TWAMP Light
--key    authenticated mode
--ptp    timestamps in the truncated format of PTPv2, TAI being 37 s ahead
--ssid   the session's identifier of RFC 8972
--ttl    TTL or hop limit to send with
--pcap   a file for what was sent and received, as Wireshark reads it (IPv4 only)
"""

import argparse
import hashlib
import hmac
import json
import socket
import struct
import sys
import time

PATIENCE = 20
NTP_EPOCH = 2_208_988_800
TAI_AHEAD = 37
NANOS = 1_000_000_000

# Section 4.2: a sender's packet; 4.3: a reflector's. `Q` is a timestamp, `H` an error estimate, `x` must be zero.
SENDER = {False: "!IQHH28x", True: "!I12xQHH68x"}
REFLECTOR = {False: "!IQHHQIQH2xB3x", True: "!I12xQHH4xQ8xI12xQH6xB15x"}
COVERED, TAG = 96, 16


def fail(reason):
    sys.exit(f"stamp_sender: {reason}")


def timestamp(ptp):
    nanos = time.clock_gettime_ns(time.CLOCK_REALTIME)
    seconds, rest = divmod(nanos, NANOS)
    if ptp:
        return (seconds + TAI_AHEAD) << 32 | rest
    return (seconds + NTP_EPOCH) % 2**32 << 32 | (rest << 32) // NANOS


def unix_ns(stamp, ptp):
    seconds, rest = stamp >> 32, stamp & 0xFFFFFFFF
    if ptp:
        return (seconds - TAI_AHEAD) * NANOS + rest
    # Rounded up: the fraction was rounded down.
    return (seconds - NTP_EPOCH) * NANOS + -(-rest * NANOS // 2**32)


def error_estimate(field):
    scale, multiplier = field >> 8 & 0x3F, field & 0xFF
    if multiplier == 0:
        fail("an error estimate whose multiplier is 0 is corrupt (RFC 4656, section 4.1.2)")
    return {"synchronized": bool(field & 0x8000), "ptp": bool(field & 0x4000), "seconds": multiplier * 2.0 ** (scale - 32)}


def digest(key, packet):
    return hmac.new(key, packet[:COVERED], hashlib.sha256).digest()[:TAG]


def packet_of(args, sequence):
    sealed = args.key is not None
    # A clock that nothing keeps, off by a second or less.
    error = (0x40 if args.ptp else 0) << 8 | 25 << 8 | 128
    fixed = struct.pack(SENDER[sealed], sequence, timestamp(args.ptp), error, args.ssid)
    if sealed:
        fixed += digest(args.key, fixed)
    size = args.size or len(fixed)
    padding = bytes(i % 251 + 1 for i in range(max(0, size - len(fixed))))
    return (fixed + padding)[:size]


def must_be_zero(form):
    """The octets of a packet that `form` skips."""
    at, skipped = 0, set()
    for count, letter in zip_form(form):
        width = struct.calcsize("!" + letter) * count
        if letter == "x":
            skipped.update(range(at, at + width))
        at += width
    return skipped


def zip_form(form):
    digits = ""
    for letter in form[1:]:
        if letter.isdigit():
            digits += letter
        else:
            yield int(digits or 1), letter
            digits = ""


def read(args, request, answer):
    sealed = args.key is not None
    form = REFLECTOR[sealed]
    length = struct.calcsize(form) + (TAG if sealed else 0)
    if len(answer) != max(len(request), length):
        fail(f"an answer of {len(answer)} octets to {len(request)}")
    if answer[length:] != request[length:]:
        fail("the padding of the answer is not that of the request")
    wrong = [at for at in must_be_zero(form) if answer[at] != 0]
    if wrong:
        fail(f"octets {wrong} must be zero: {answer.hex()}")
    if sealed and not hmac.compare_digest(digest(args.key, answer), answer[COVERED : COVERED + TAG]):
        fail(f"the HMAC is wrong: {answer.hex()}")
    fields = struct.unpack(form, answer[: struct.calcsize(form)])
    sequence, sent, error, ssid, received, their_sequence, their_timestamp, their_error, ttl = fields
    their_place = 16 if sealed else 4
    repeated = struct.unpack_from("!QH", request, their_place)
    if (their_sequence, their_timestamp, their_error) != (struct.unpack_from("!I", request)[0], *repeated):
        fail(f"what the sender said is repeated wrongly: {answer.hex()}")
    error = error_estimate(error)
    return {
        "sequence": sequence,
        "sender_sequence": their_sequence,
        "ssid": ssid,
        "ttl": ttl,
        "length": len(answer),
        "error": error,
        "t1": unix_ns(their_timestamp, args.ptp),
        "t2": unix_ns(received, error["ptp"]),
        "t3": unix_ns(sent, error["ptp"]),
    }


class Recording:
    """A pcap file of raw IPv4 (LINKTYPE_RAW)."""

    def __init__(self, path):
        self.file = path and open(path, "wb")
        if self.file:
            self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))

    def add(self, source, destination, payload):
        if not self.file:
            return
        udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
        addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
        packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp
        seconds, rest = divmod(time.time_ns(), NANOS)
        self.file.write(struct.pack("<IIII", seconds, rest // 1000, len(packet), len(packet)) + packet)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--size", type=int)
    parser.add_argument("--key", type=bytes.fromhex)
    parser.add_argument("--ptp", action="store_true")
    parser.add_argument("--ssid", type=int, default=0)
    parser.add_argument("--ttl", type=int)
    parser.add_argument("--pcap")
    args = parser.parse_args()
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.settimeout(PATIENCE)
    if args.ttl is not None:
        level, name = (
            (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if family == socket.AF_INET6 else (socket.IPPROTO_IP, socket.IP_TTL)
        )
        sender.setsockopt(level, name, args.ttl)
    # An answer from elsewhere does not come through.
    sender.connect((args.host, args.port))
    recording = Recording(args.pcap)
    for sequence in range(args.count):
        request = packet_of(args, sequence)
        sender.send(request)
        try:
            answer = sender.recv(65536)
        except socket.timeout:
            fail(f"no answer within {PATIENCE} s")
        told = read(args, request, answer) | {"t4": time.clock_gettime_ns(time.CLOCK_REALTIME)}
        recording.add(sender.getsockname(), sender.getpeername(), request)
        recording.add(sender.getpeername(), sender.getsockname(), answer)
        print(json.dumps(told))


main()
