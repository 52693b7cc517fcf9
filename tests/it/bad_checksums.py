"""Sends UDP datagrams over IPv4 whose checksum is wrong, which no ordinary socket does.

Usage: bad_checksums.py ADDRESS PORT COUNT     (needs CAP_NET_RAW)
"""

import socket
import struct
import sys

SOURCE_PORT = 40_000


def main(address, port, count):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sock:
        sock.connect((address, 0))
        for number in range(count):
            payload = struct.pack("!I", number)
            length = 8 + len(payload)
            # RFC 768: the one's complement sum of pseudo header, header and data; then one bit of it is wrong.
            pseudo = socket.inet_aton(sock.getsockname()[0]) + socket.inet_aton(address)
            pseudo += struct.pack("!BBH", 0, socket.IPPROTO_UDP, length)
            header = struct.pack("!HHHH", SOURCE_PORT, port, length, 0)
            right = checksum(pseudo + header + payload)
            wrong = right ^ 0x0100 or 1  # 0 would mean that there is none
            sock.send(struct.pack("!HHHH", SOURCE_PORT, port, length, wrong) + payload)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
