"""A PPT/1 client written from protocol/SPEC.md alone, with nothing but the standard library.

Usage: ppt_peer.py HOST PORT [--service S] [--key HEX] [--cookie-secret HEX]

Talks to a running responder and prints one line for each thing it checked. Exit code 1, with the reason on
standard error: the responder and this file read the specification differently.

--service        what the responder was configured to do: echo (the default), time, upper, sum
--key            shared key: 16 octets for SipHash-2-4 with key_id 1, 32 for HMAC-SHA-256 with key_id 2
--cookie-secret  secret of the responder's cookies, so that their content can be checked as well
"""

import argparse
import os
import re
import socket
import struct
import sys

from ppt_frame import (
    AUTH, COOKIE, ERROR, EVENT, G, I, PROBE, PROBE_ACK, PROBE_INFO, R, REQUEST, RESPONSE, ROOM, RSTAT, S, T,
    VERSION, VERSIONS, W, X, Disagreement, Frame, Key, Reply, expect, option, self_test, siphash,
)

TIMEOUT = 10.0  # seconds; only a failing check waits that long


# --- the client ---


class Peer:
    """A socket, a stream, and the responder it talks to."""

    def __init__(self, address, key, service, local_port=0):
        self.address, self.key, self.service = address, key, service
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("", local_port))
        self.socket.settimeout(TIMEOUT)
        self.stream_id, self.next_seq = int.from_bytes(os.urandom(4), "big"), 0
        self.cookie = None

    def frame(self, kind=REQUEST, cookie=True, **fields):
        fields.setdefault("stream_id", self.stream_id)
        if self.key and kind == REQUEST and cookie and fields.get("version", 1) == 1:
            # [P-110]: a request with AUTH is executed with a COOKIE only.
            self.cookie = self.cookie or self.fetch_cookie()
            fields["options"] = option(COOKIE, self.cookie) + fields.get("options", b"")
        frame = Frame(kind, self.next_seq, **fields)
        self.next_seq += 1
        return frame

    def fetch_cookie(self):
        """Warm-up frames are counted on neither side."""
        request = self.frame(cookie=False, flags=W)
        refusal = self.ask(request, 44 + self.key.option_len() + 20)
        expect((refusal.kind, refusal.code) == (ERROR, 18), f"kind {refusal.kind} code {refusal.code} without a COOKIE [P-110]")
        return refusal.options[COOKIE]

    def send(self, frame):
        datagram = frame if isinstance(frame, bytes) else frame.encode(self.key)
        self.socket.sendto(datagram, self.address)
        return datagram

    def receive(self):
        try:
            datagram, source = self.socket.recvfrom(65535)
        except socket.timeout:
            raise Disagreement(f"no answer within {TIMEOUT} s") from None
        expect(source[:2] == self.address[:2], f"a reply from {source}, not from {self.address}")
        return Reply(datagram, self.key)

    def ask(self, frame, limit=None):
        """Sends, receives, and checks all that every reply has to do with its request."""
        datagram = self.send(frame)
        reply = self.receive()
        for name in ("request_id", "stream_id", "attempt", "seq", "timestamp"):
            sent, back = getattr(frame, name), getattr(reply, name)
            expect(sent == back, f"{name} {sent:#x} came back as {back:#x} [P-50]")
        allowed = {REQUEST: (RESPONSE, ERROR), PROBE: (PROBE_ACK, ERROR)}[frame.kind]
        expect(reply.kind in allowed, f"kind {frame.kind} was answered by {reply.kind} [P-51]")
        expect(reply.flags & W == frame.flags & W, "W is not kept [P-98]")
        if limit is None:
            limit = 3 * len(datagram) if self.key and frame.kind == REQUEST else len(datagram)
        expect(len(reply.octets) <= limit, f"{len(reply.octets)} octets for {len(datagram)} [P-55]")
        expect((reply.kind == ERROR) == (reply.code != 0), f"kind {reply.kind} with code {reply.code}")
        return reply

    def padded(self, payload, **fields):
        """A request whose reply has room for any answer of any service."""
        return self.frame(payload=payload, padding=64, **fields)

    def check_answer(self, reply, payload):
        expect(reply.kind == RESPONSE, f"ERROR {reply.code} {reply.payload!r}")
        if self.service == "time":
            expect(re.fullmatch(rb"unix [0-9]+\.[0-9]{9}", reply.payload), f"time {reply.payload!r}")
            return
        expected = {"echo": bytes, "upper": bytes.upper, "sum": lambda text: b"%d" % sum(map(int, text.split()))}
        expected = expected[self.service](payload)
        expect(reply.payload == expected, f"payload {reply.payload!r}, expected {expected!r}")

    def silence(self, *frames):
        """None of these is answered: what comes next is the answer to the request behind them."""
        for frame in frames:
            self.send(frame)
        fence = self.padded(b"1")
        self.check_answer(self.ask(fence), b"1")


# --- the checks ---


def check_echoes(peer):
    """header fields come back from this very copy"""
    for attempt in (0, 1, 255):
        request = peer.padded(b"1 2 3", attempt=attempt, flags=X | I)
        peer.check_answer(peer.ask(request), b"1 2 3")
    warm = peer.ask(peer.padded(b"4", flags=W))
    peer.check_answer(warm, b"4")


def check_grease(peer):
    """unknown elective options are ignored"""
    grease = b"".join(option(number, b"\xde\xad\xbe") for number in (0x0A, 0x5A, 0x41, 0x30))
    peer.check_answer(peer.ask(peer.padded(b"7", options=grease)), b"7")


def check_statistics(peer):
    """RSTAT and TIMES, with room and without"""
    peer = Peer(peer.address, peer.key, peer.service)
    room = option(ROOM, bytes(42))
    before = 0
    for rseq, (seq, window) in enumerate([(100, 0b1), (101, 0b11), (103, 0b1101), (102, 0b111), (104, 0b11111)]):
        request = peer.padded(b"1", flags=S | T, options=room)
        request.seq = seq
        reply = peer.ask(request)
        expect(reply.rstat() == (rseq, rseq + 1, window), f"RSTAT {reply.rstat()} for seq {seq} [P-70]")
        received, sent = reply.times()
        expect(before <= received <= sent, f"TIMES {received} to {sent} after {before}")
        before = received
    silent = peer.ask(peer.padded(b"1", options=room))
    expect(silent.rstat() is None and silent.times() is None, "options nobody asked for")
    # A frame just long enough for its answer has no room for more.
    if peer.service in ("echo", "upper") and not peer.key:
        tight = peer.ask(peer.frame(payload=b"x", flags=S | T))
        expect(set(tight.options) <= {AUTH}, f"options {list(tight.options)} in a full reply [P-53]")


def check_warm_up(peer):
    """warm-up frames are answered and not counted"""
    peer = Peer(peer.address, peer.key, peer.service)
    room = option(ROOM, bytes(42))
    for flags, expected in ((W, None), (W, None), (S, (0, 1)), (W, None), (S, (1, 2))):
        reply = peer.ask(peer.padded(b"1", flags=flags, options=room))
        if expected:
            expect(reply.rstat()[:2] == expected, f"rseq and rcount {reply.rstat()[:2]}, expected {expected}")


def check_duplicates(peer):
    """a duplicate gets the same payload, and another content ERROR 20"""
    request = peer.padded(b"10 20")
    first = peer.ask(request)
    for attempt in (1, 2, 3):
        request.attempt, request.timestamp = attempt, attempt * 1000
        again = peer.ask(request)
        expect(again.payload == first.payload, f"{again.payload!r} after {first.payload!r} [P-66]")
    request.attempt, request.payload = 4, b"10 21"
    conflict = peer.ask(request)
    expect((conflict.kind, conflict.code) == (ERROR, 20), f"kind {conflict.kind} code {conflict.code}")
    request.attempt, request.payload, request.padding = 5, b"10 20", 90
    expect(peer.ask(request).payload == first.payload, "padding is no content [P-68]")
    if peer.key:
        return
    request.attempt, request.stream_id = 6, peer.stream_id ^ 1
    expect(peer.ask(request).kind == RESPONSE, "another stream is another request [P-65]")


def check_idempotent(peer):
    """requests with I are executed again"""
    request = peer.padded(b"1", flags=I)
    peer.check_answer(peer.ask(request), b"1")
    request.payload, request.attempt = b"2", 1
    peer.check_answer(peer.ask(request), b"2")


def check_probes(peer):
    """PROBE_ACK tells what arrived"""
    least = 44 + (peer.key.option_len() if peer.key else 0)
    for size in (least, least + 8, 1200, 9000):
        reply = peer.ask(peer.frame(PROBE, padding=size - least))
        expect(reply.kind == PROBE_ACK and not reply.payload, f"kind {reply.kind}")
        if size == least:
            expect(PROBE_INFO not in reply.options, "PROBE_INFO beyond the length of the request")
        else:
            length, limit = struct.unpack(">HH", reply.options[PROBE_INFO])
            expect(length == size and (limit == 0 or limit >= size), f"PROBE_INFO {length} {limit} for {size}")
            expect(len(reply.octets) in (least + 8, size), f"a PROBE_ACK of {len(reply.octets)} octets [P-88]")
        reply = peer.ask(peer.frame(PROBE, padding=size - least, flags=I))
        expect(len(reply.octets) == size, f"asked for {size} octets of PROBE_ACK, got {len(reply.octets)} [P-88]")


def check_critical(peer):
    """an unknown critical option of a request is ERROR 21"""
    for kind in (REQUEST, PROBE):
        reply = peer.ask(peer.frame(kind, options=option(0xC7, b"\0\1"), padding=8))
        expect((reply.kind, reply.code) == (ERROR, 21), f"kind {reply.kind} code {reply.code}")
    critical = option(0xC7, b"")
    peer.silence(
        peer.frame(EVENT, options=critical), peer.frame(flags=R, options=critical), peer.frame(flags=G, options=critical)
    )


def check_versions(peer):
    """an unknown version is answered by a VERSION frame"""
    for extra in (4, 100):
        unknown = peer.frame(version=5, payload=bytes(extra))
        datagram = unknown.encode()
        peer.send(datagram)
        reply = peer.receive()
        expect((reply.version, reply.kind) == (0, VERSION), f"version {reply.version} kind {reply.kind}")
        expect(reply.request_id == unknown.request_id, "another request_id")
        copied = reply.octets[16:20] == datagram[16:20] and reply.octets[24:40] == datagram[24:40]
        expect(copied, "octets 16 to 19 and 24 to 39 are not copied [P-28]")
        expect(len(reply.octets) <= len(datagram), "a VERSION frame longer than what it answers")
        versions = reply.options[VERSIONS]
        expect(1 in versions and any(v & 0x0F == 0x0A for v in versions), f"VERSIONS {versions.hex()} [P-30]")
    peer.silence(
        peer.frame(version=5, payload=bytes(3)).encode(),
        peer.frame(version=5, flags=R, payload=bytes(4)).encode(),
        peer.frame(version=0, payload=bytes(4)).encode(),
    )


def check_malformed(peer):
    """malformed frames are met with silence"""
    whole = peer.frame(payload=b"ping").encode(peer.key)
    flipped = bytearray(peer.frame(payload=b"ping").encode(peer.key))
    flipped[-1] ^= 1

    def odd(**fields):
        return peer.frame(**{"payload": b"ping", **fields}).encode(peer.key)

    peer.silence(
        b"", b"ping", whole[:43], b"\x0f" + whole[1:], bytes(flipped), odd() + bytes(3),
        odd(hlen=10), odd(hlen=200), odd(payload_len=500),
        odd(options=bytes([COOKIE, 16, 0, 0])), odd(options=option(COOKIE, bytes(15))), odd(options=option(RSTAT, bytes(19))),
        odd(kind=0x3A), odd(kind=0x0A), odd(kind=7), odd(kind=0x80), odd(kind=VERSION),
    )
    peer.silence(*(whole[:length] for length in range(44, len(whole))))


def check_directions(peer):
    """replies and events are never answered"""
    peer.silence(*(peer.frame(kind, flags=R, payload=b"1") for kind in range(1, 7)))
    peer.silence(*(peer.frame(kind, payload=b"1") for kind in (RESPONSE, ERROR, PROBE_ACK)))
    peer.silence(peer.frame(EVENT, payload=b"news"), peer.frame(EVENT, flags=S | T | W, payload=b"news"))


def check_denied(peer):
    """source ports of other services get nothing"""
    for port in (1900, 11211):
        try:
            denied = Peer(peer.address, peer.key, peer.service, port)
        except OSError as error:
            print(f"SKIPPED source port {port}: {error}")
            continue
        denied.send(denied.frame(cookie=False, payload=b"1"))
        denied.send(denied.frame(version=5, payload=bytes(8)).encode())
        peer.silence()
        denied.socket.setblocking(False)
        try:
            raise Disagreement(f"an answer to source port {port}: {denied.socket.recv(65535).hex()} [P-47]")
        except BlockingIOError:
            pass


def check_authentication(peer):
    """AUTH is asked for, checked, and not accepted twice"""
    if peer.key is None:
        stranger = Key(bytes(16))
        peer.silence(peer.frame(payload=b"1").encode(stranger))
        return
    wrong = bytearray(peer.frame(payload=b"1").encode(peer.key))
    wrong[50] ^= 1
    other_id = Key(peer.key.secret)
    other_id.id = 99
    peer.silence(peer.frame(payload=b"1").encode(), bytes(wrong), peer.frame(payload=b"1").encode(other_id))
    request = peer.padded(b"1")
    peer.ask(request)
    peer.silence(request.encode(peer.key))
    peer.next_seq += 5000
    peer.ask(peer.padded(b"1"))
    old = peer.frame(payload=b"1")
    old.seq -= 4000
    peer.silence(old)


def check_cookies(peer, secret):
    """a reply longer than its request needs a COOKIE"""
    if peer.key:
        check_challenges(peer, secret)
        return
    if peer.service != "time":
        bad = peer.padded(b"1", options=option(COOKIE, bytes(16)))
        peer.check_answer(peer.ask(bad), b"1")
        return
    refusal = peer.ask(peer.frame())
    expect((refusal.kind, refusal.code) == (ERROR, 17), f"ERROR {refusal.code} without room for a COOKIE [P-56]")
    request = peer.frame(options=option(ROOM, bytes(16)))
    refusal = peer.ask(request)
    expect((refusal.kind, refusal.code) == (ERROR, 18), f"kind {refusal.kind} code {refusal.code} [P-56]")
    expect(len(refusal.octets) == 64, f"a refusal of {len(refusal.octets)} octets")
    cookie = refusal.options[COOKIE]
    expect(cookie[:4] == b"\1\0\0\0", f"cookie {cookie.hex()} [P-57]")
    if secret:
        check_cookie_content(peer, cookie, secret)
    request.attempt, request.options = 1, option(COOKIE, cookie)
    reply = peer.ask(request, 3 * 64)
    peer.check_answer(reply, b"")
    expect(len(reply.octets) > 64, "no longer than the request: nothing was shown")
    wrong = peer.ask(peer.frame(options=option(COOKIE, bytes([cookie[0]]) + bytes(15))))
    expect((wrong.kind, wrong.code) == (ERROR, 19) and COOKIE in wrong.options, f"ERROR {wrong.code} for a bad COOKIE")
    stolen = Peer(peer.address, peer.key, peer.service)
    stolen.stream_id = peer.stream_id
    stolen.next_seq = peer.next_seq + 10
    refusal = stolen.ask(stolen.frame(options=option(COOKIE, cookie)))
    expect(refusal.code == 19, f"code {refusal.code} for the cookie of another port [P-57]")


def check_challenges(peer, secret):
    """with a key nothing is executed without a COOKIE of its own"""
    peer = Peer(peer.address, peer.key, peer.service)
    longest = 44 + peer.key.option_len() + 20
    request = peer.frame(cookie=False, payload=b"1")
    refusal = peer.ask(request, longest)
    expect((refusal.kind, refusal.code) == (ERROR, 18), f"kind {refusal.kind} code {refusal.code} [P-110]")
    expect(len(refusal.octets) == longest, f"a refusal of {len(refusal.octets)} octets")
    if secret:
        check_cookie_content(peer, refusal.options[COOKIE], secret)
    request.attempt, request.options = 1, option(COOKIE, refusal.options[COOKIE])
    peer.check_answer(peer.ask(request), b"1")
    stolen = Peer(peer.address, peer.key, peer.service)
    stolen.stream_id, stolen.next_seq = peer.stream_id, peer.next_seq + 10
    refusal = stolen.ask(stolen.frame(cookie=False, options=option(COOKIE, refusal.options[COOKIE])), longest)
    expect((refusal.code, COOKIE in refusal.options) == (19, True), f"code {refusal.code} for the cookie of another port")


def check_cookie_content(peer, cookie, secret):
    probe = socket.socket(peer.socket.family, socket.SOCK_DGRAM)
    probe.connect(peer.address)
    ip = socket.inet_pton(peer.socket.family, probe.getsockname()[0])
    ports = struct.pack(">HH", peer.socket.getsockname()[1], peer.address[1])
    content = struct.pack(">I", peer.stream_id) + cookie[:8] + ip + ports
    expect(cookie[8:] == siphash(secret, content), f"cookie {cookie.hex()} has another hash [P-57]")


CHECKS = [
    check_echoes, check_grease, check_statistics, check_warm_up, check_duplicates, check_idempotent, check_probes,
    check_critical, check_versions, check_malformed, check_directions, check_denied, check_authentication,
]


def main():
    parser = argparse.ArgumentParser(description="Checks a PPT/1 responder against the specification.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--service", choices=("echo", "time", "upper", "sum"), default="echo")
    parser.add_argument("--key", type=bytes.fromhex)
    parser.add_argument("--cookie-secret", type=bytes.fromhex)
    args = parser.parse_args()
    self_test()
    peer = Peer((args.host, args.port), Key(args.key) if args.key else None, args.service)
    for check in [*CHECKS, lambda peer: check_cookies(peer, args.cookie_secret)]:
        name = (check.__doc__ or check_cookies.__doc__).strip()
        try:
            check(peer)
        except Disagreement as wrong:
            print(f"DISAGREES {name}", flush=True)
            sys.exit(f"{name}: {wrong}")
        print(f"ok {name}", flush=True)


if __name__ == "__main__":
    main()
