"""Drops all that leaves this network namespace, or lets it leave again: firewall.py drop | accept.

Speaks nf_tables itself (linux/netfilter/nf_tables.h), so that no tool has to be there. Exit code 77: this kernel has
none, or does not let us.
"""
import errno
import socket
import struct
import sys

NFNETLINK, TABLES = 12, 10 << 8
BATCH_BEGIN, BATCH_END, NEW_TABLE, DELETE_TABLE, NEW_CHAIN = 0x10, 0x11, TABLES, TABLES | 2, TABLES | 3
REQUEST, ACKNOWLEDGE, CREATE, NESTED = 1, 4, 0x400, 0x8000
INET, OUTPUT_HOOK, DROP = 1, 3, 0


def attribute(kind, data):
    return struct.pack("HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def message(kind, flags, number, family, resource, attributes=b""):
    body = struct.pack("!BBH", family, 0, resource) + attributes
    return struct.pack("IHHII", 16 + len(body), kind, REQUEST | flags, number, 0) + body


def orders(word):
    table = attribute(1, b"polyport\0")
    if word == "accept":
        return [message(DELETE_TABLE, ACKNOWLEDGE, 2, INET, 0, table)]
    hook = attribute(1, struct.pack("!I", OUTPUT_HOOK)) + attribute(2, struct.pack("!i", 0))
    chain = (
        table
        + attribute(3, b"output\0")
        + attribute(4 | NESTED, hook)
        + attribute(5, struct.pack("!I", DROP))
        + attribute(7, b"filter\0")
    )
    flags = ACKNOWLEDGE | CREATE
    return [message(NEW_TABLE, flags, 2, INET, 0, table), message(NEW_CHAIN, flags, 3, INET, 0, chain)]


def main(word):
    todo = orders(word)
    begin, end = message(BATCH_BEGIN, 0, 1, 0, 10), message(BATCH_END, 0, 9, 0, 10)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NFNETLINK) as kernel:
        kernel.settimeout(20)
        kernel.bind((0, 0))
        kernel.send(begin + b"".join(todo) + end)
        for _ in todo:
            answer = kernel.recv(65536)
            (error,) = struct.unpack("i", answer[16:20])
            if error in (-errno.EOPNOTSUPP, -errno.EPERM, -errno.EINVAL):
                return 77
            if error:
                print(f"{word}: {errno.errorcode[-error]}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(77 if error.errno in (errno.EPROTONOSUPPORT, errno.EPERM) else 1)
