"""Sends UDP datagrams over IPv4 whose source port is 0, which no ordinary socket does.

Usage: odd_sources.py PORT COUNT     (needs CAP_NET_RAW)
"""

import socket
import struct
import sys


def main(port, count):
    payload = b"from port zero"
    # RFC 768: source port, destination port, length, checksum; 0 is "no checksum".
    datagram = struct.pack("!HHHH", 0, port, 8 + len(payload), 0) + payload
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sock:
        for _ in range(count):
            sock.sendto(datagram, ("127.0.0.1", 0))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
