#!/usr/bin/env python3
"""What a port takes with an instance for each address, and with one for all of them: the same plugin in C, once with and once without
PP_F_PER_LISTENER. Needs cc, Linux, and room for 18,000 open files."""

import argparse
import os
import re
import signal
import struct
import subprocess
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MAGIC = b"POLYPORT-PLUGIN1"
PER_LISTENER = 4
FEW, MANY = 2000, 18_000


def libraries(directory):
    """The library as it is, and a copy whose identity lacks the flag."""
    one, each = (os.path.join(directory, f"{name}.so") for name in ("one", "each"))
    source = os.path.join(ROOT, "tests/fixtures/c/gathers.c")
    include = os.path.join(ROOT, "plugins/abi/include")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-std=c11", "-fvisibility=hidden", "-I", include, "-o", one, source], check=True)
    with open(one, "rb") as file:
        code = bytearray(file.read())
    at = code.find(MAGIC) + 28
    (flags,) = struct.unpack_from("<I", code, at)
    struct.pack_into("<I", code, at, flags & ~PER_LISTENER)
    with open(each, "wb") as file:
        file.write(code)
    for path in (one, each):
        os.chmod(path, 0o755)
    return each, one


def anonymous(polyport, library, ports):
    """Anonymous memory of a daemon that serves so many ports, bytes."""
    listen = f"127.5.0.1:20000-{20000 + ports - 1}={library},name=a"
    daemon = subprocess.Popen([polyport, "--listen", listen], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in daemon.stdout:
        if "Ctrl-C stops" in line:
            break
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
        kib = int(re.search(r"RssAnon:\s+(\d+)", status.read())[1])
    daemon.send_signal(signal.SIGINT)
    daemon.communicate()
    return kib * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polyport", default=os.path.join(ROOT, "target/release/polyport"))
    polyport = parser.parse_args().polyport
    with tempfile.TemporaryDirectory() as directory:
        for name, library in zip(("an instance for each address", "one for all addresses"), libraries(directory)):
            few, many = (sorted(anonymous(polyport, library, n) for _ in range(3))[1] for n in (FEW, MANY))
            print(f"{name}: {(many - few) // (MANY - FEW)} bytes a port")


main()
