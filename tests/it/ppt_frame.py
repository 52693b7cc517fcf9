"""Frames of PPT/1 as protocol/SPEC.md describes them, with nothing but the standard library."""

import hashlib
import hmac
import os
import struct

MAGIC = bytes.fromhex("0e505054")
HEADER = ">4sBBBBQIBBHQQI"  # section 1
VERSION, REQUEST, RESPONSE, ERROR, EVENT, PROBE, PROBE_ACK = range(7)
R, P, G, W, S, T, I, X = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
ROOM, COOKIE, TIMES, RSTAT, RETRY_AFTER, PROBE_INFO, VERSIONS, AUTH = 1, 2, 3, 4, 5, 6, 7, 0x81
VALUE_LEN = {COOKIE: (16,), TIMES: (16,), RSTAT: (20,), RETRY_AFTER: (4,), PROBE_INFO: (4,), AUTH: (12, 20)}
MASK = (1 << 64) - 1


class Disagreement(Exception):
    """What the responder did is not what the specification says."""


def expect(condition, text):
    if not condition:
        raise Disagreement(text)


# --- integrity (section 4) ---


def crc32c(data):
    crc = 0xFFFFFFFF
    for octet in data:
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


def crc_entry(index):
    for _ in range(8):
        index = (index >> 1) ^ (0x82F63B78 if index & 1 else 0)
    return index


CRC_TABLE = [crc_entry(index) for index in range(256)]


def rotate(value, bits):
    return ((value << bits) | (value >> (64 - bits))) & MASK


def sip_round(v):
    v[0] = (v[0] + v[1]) & MASK
    v[2] = (v[2] + v[3]) & MASK
    v[1] = rotate(v[1], 13) ^ v[0]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] = rotate(v[0], 32)
    v[2] = (v[2] + v[1]) & MASK
    v[0] = (v[0] + v[3]) & MASK
    v[1] = rotate(v[1], 17) ^ v[2]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] = rotate(v[2], 32)


def siphash(key, data):
    """SipHash-2-4, its result in big-endian order [P-24]."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        sip_round(v)
        sip_round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(4):
        sip_round(v)
    return struct.pack(">Q", v[0] ^ v[1] ^ v[2] ^ v[3])


def self_test():
    """Published values, so that a disagreement is never about the arithmetic of this file."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert siphash(bytes(range(16)), bytes(range(15))).hex() == "a129ca6149be45e5"


class Key:
    """A shared key; its length tells the algorithm, as in the test vectors [P-91]."""

    def __init__(self, secret):
        self.secret = secret
        self.is_sip = len(secret) == 16
        self.id, self.tag_len = (1, 8) if self.is_sip else (2, 16)

    def tag(self, datagram):
        if self.is_sip:
            return siphash(self.secret, datagram)
        return hmac.new(self.secret, datagram, hashlib.sha256).digest()[:16]

    def option_len(self):
        return 2 + 4 + self.tag_len + 2


# --- frames (sections 1 to 3) ---


def option(number, value):
    octets = bytes([number, len(value)]) + value
    return octets + bytes(-len(octets) % 4)


class Frame:
    """The fields of one frame."""

    def __init__(self, kind, seq, **fields):
        self.version, self.kind, self.flags, self.seq = 1, kind, 0, seq
        self.request_id = 0 if kind == EVENT else int.from_bytes(os.urandom(8), "big")
        self.stream_id, self.attempt, self.code = 0, 0, 0
        self.timestamp = int.from_bytes(os.urandom(8), "big")
        self.options, self.payload, self.padding = b"", b"", 0
        self.hlen = self.payload_len = None
        self.__dict__.update(fields)

    def encode(self, key=None):
        options = self.options
        if key:
            options += option(AUTH, struct.pack(">I", key.id) + bytes(key.tag_len))
        hlen = (44 + len(options)) // 4 if self.hlen is None else self.hlen
        payload_len = len(self.payload) if self.payload_len is None else self.payload_len
        flags = self.flags | (P if self.padding else 0)
        fixed = struct.pack(
            HEADER, MAGIC, self.version, self.kind, flags, hlen, self.request_id, self.stream_id,
            self.attempt, self.code, payload_len, self.seq, self.timestamp, 0,
        )
        datagram = fixed + options + self.payload + bytes(self.padding)
        if key:
            at = 44 + len(options) - 2 - key.tag_len
            return datagram[:at] + key.tag(datagram) + datagram[at + key.tag_len :]
        return datagram[:40] + struct.pack(">I", crc32c(datagram)) + datagram[44:]


class Reply:
    """A datagram taken apart, with every check of section 6 a client makes."""

    def __init__(self, datagram, key):
        self.octets = datagram
        expect(len(datagram) >= 44, f"a reply of {len(datagram)} octets is short")
        (
            magic, self.version, self.kind, self.flags, hlen, self.request_id, self.stream_id, self.attempt,
            self.code, payload_len, self.seq, self.timestamp, checksum,
        ) = struct.unpack(HEADER, datagram[:44])
        expect(magic == MAGIC, f"magic {magic.hex()}")
        expect(self.version in (0, 1), f"version {self.version}")
        end = 4 * hlen
        expect(11 <= hlen and end <= len(datagram), f"hlen {hlen} of {len(datagram)} octets")
        expect(end + payload_len <= len(datagram), f"payload_len {payload_len} overruns")
        self.payload = datagram[end : end + payload_len]
        self.padding = datagram[end + payload_len :]
        expect(not self.padding or self.flags & P, "octets behind the payload and P clear")
        expect(not any(self.padding), "padding is not zero [P-7]")
        self.options = self.walk(datagram[44:end])
        self.verify(datagram, end, checksum, key if self.version else None)
        expect(self.flags & R, "R is clear")
        expect(not self.flags & (G | I | X | S | T), f"flags {self.flags:#x}: more than W is copied [P-98]")

    def walk(self, area):
        options = {}
        while area:
            expect(len(area) >= 2 and 2 + area[1] <= len(area), "an option overruns the header")
            number, value = area[0], area[2 : 2 + area[1]]
            total = 2 + len(value) + -(2 + len(value)) % 4
            expect(not any(area[2 + len(value) : total]), f"pad octets of option {number} are not zero")
            expect(len(value) in VALUE_LEN.get(number, (len(value),)), f"option {number} of {len(value)} octets")
            expect(AUTH not in options, "an option behind AUTH")
            options.setdefault(number, value)
            area = area[total:]
        return options

    def verify(self, datagram, end, checksum, key):
        if key is None:
            expect(AUTH not in self.options, "AUTH without a key")
            blank = datagram[:40] + bytes(4) + datagram[44:]
            expect(checksum == crc32c(blank), f"checksum {checksum:#x}, computed {crc32c(blank):#x}")
            return
        expect(AUTH in self.options, "no AUTH although a key is shared")
        expect(self.options[AUTH][:4] == struct.pack(">I", key.id), "another key_id")
        at = end - 2 - key.tag_len
        blank = datagram[:at] + bytes(key.tag_len) + datagram[at + key.tag_len :]
        expect(checksum == 0 and datagram[at : at + key.tag_len] == key.tag(blank), "wrong tag")

    def rstat(self):
        return struct.unpack(">QIQ", self.options[RSTAT]) if RSTAT in self.options else None

    def times(self):
        return struct.unpack(">QQ", self.options[TIMES]) if TIMES in self.options else None
