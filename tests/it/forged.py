"""Sends one UDP datagram from 127.0.0.1:FROM to 127.0.0.1:TO, whoever owns FROM: forged.py FROM TO."""
import socket
import struct
import sys

source, destination = int(sys.argv[1]), int(sys.argv[2])
payload = b"forged"
# A checksum of 0 says that there is none (RFC 768).
header = struct.pack("!HHHH", source, destination, 8 + len(payload), 0)
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
    raw.sendto(header + payload, ("127.0.0.1", 0))
