"""Claims, as a router would, that a datagram from SERVER:PORT to CLIENT:PORT was too long for a link.

Usage: forged_mtu.py SERVER PORT CLIENT PORT MTU     (needs CAP_NET_RAW)
"""

import socket
import struct
import sys

from bad_checksums import checksum

DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED = 3, 4


def main(server, server_port, client, client_port, mtu):
    # RFC 792: the message quotes the header and the first eight bytes of what did not fit.
    udp = struct.pack("!HHHH", server_port, client_port, 1408, 0)
    addresses = socket.inet_aton(server) + socket.inet_aton(client)
    quoted = struct.pack("!BBHHHBBH", 0x45, 0, 1428, 1, 0x4000, 63, socket.IPPROTO_UDP, 0) + addresses + udp
    head = struct.pack("!BBHHH", DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, mtu)
    message = head[:2] + struct.pack("!H", checksum(head + quoted)) + head[4:] + quoted
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.sendto(message, (server, 0))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
