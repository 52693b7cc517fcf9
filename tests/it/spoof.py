"""Sends UDP datagrams whose source is somebody else's: spoof.py SOURCE SOURCE_PORT DESTINATION PORT COUNT [INTERFACE].

Both families; needs CAP_NET_RAW. INTERFACE is for link-local destinations.
"""

import socket
import struct
import sys

PAYLOAD = b"forged"


def udp(source, source_port, destination, port, family):
    length = 8 + len(PAYLOAD)
    header = struct.pack("!HHHH", source_port, port, length, 0)
    pseudo = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    pseudo += struct.pack("!II", length, socket.IPPROTO_UDP)
    total = checksum(pseudo + header + PAYLOAD) or 0xFFFF
    return struct.pack("!HHHH", source_port, port, length, total) + PAYLOAD


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main(source, source_port, destination, port, count, interface=None):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    datagram = udp(source, source_port, destination, port, family)
    if family == socket.AF_INET:
        # The kernel fills in what is 0: the total length, the identification and the checksum.
        header = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0)
        address = (destination, 0)
    else:
        header = struct.pack("!IHBB", 6 << 28, len(datagram), socket.IPPROTO_UDP, 64)
        address = (destination, 0, 0, socket.if_nametoindex(interface) if interface else 0)
    header += socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for _ in range(count):
            raw.sendto(header + datagram, address)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), *sys.argv[6:])
