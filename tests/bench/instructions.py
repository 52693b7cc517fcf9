#!/usr/bin/env python3
"""How many instructions a datagram takes in the daemon, by callgrind: a count, which no busy machine changes.

    cargo build --release
    python3 tests/bench/instructions.py [--program NAME=PROGRAM]... [--listen 127.0.0.1:0=echo]

A burst is sent while the daemon is stopped (SIGSTOP), so that it finds the whole burst when it goes on, in one visit. What
a burst costs is the difference between a run of many bursts and one of few, divided by how many more they are; so the start
and the end do not count. Bursts of 1 and of 64 tell what a turn costs, and what each datagram adds. Needs valgrind.
"""
import argparse
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FEW, MANY = 100, 300
PATIENCE_S = 60


def instructions(program, listen, burst, bursts):
    """Instructions of a whole run with so many bursts."""
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory) / "out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(program)]
        command += ["--sandbox", "off", "--listen", listen]
        daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            port = None
            for line in daemon.stdout:
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if found:
                    port = int(found.group(1))
                    break
            if port is None:
                raise SystemExit(f"the daemon did not start: {daemon.stderr.read()}")
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.connect(("127.0.0.1", port))
            # The first answers of a listener grow tables; they are in both runs.
            for number in range(bursts):
                os.kill(daemon.pid, signal.SIGSTOP)
                for _ in range(burst):
                    client.send(b"%063d\n" % number)
                os.kill(daemon.pid, signal.SIGCONT)
                for _ in range(burst):
                    if not select.select([client], [], [], PATIENCE_S)[0]:
                        raise SystemExit(f"burst {number} was not answered within {PATIENCE_S} s")
                    client.recv(100)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=PATIENCE_S)
        finally:
            if daemon.poll() is None:
                daemon.kill()
        said = out.read_text()
        return int(re.search(r"^(?:summary|totals): (\d+)", said, re.M).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--listen", default="127.0.0.1:0=echo")
    args = parser.parse_args()
    programs = [text.split("=", 1) for text in args.program] or [["polyport", ROOT / "target/release/polyport"]]
    print("| instructions | a turn with one datagram | each further datagram of a burst of 64 |\n| --- | --: | --: |")
    for name, program in programs:
        def cost(burst):
            few, many = (instructions(program, args.listen, burst, bursts) for bursts in (FEW, MANY))
            return (many - few) / (MANY - FEW)
        one, all_of_them = cost(1), cost(64)
        print(f"| {name} | {one:,.0f} | {(all_of_them - one) / 63:,.1f} |", flush=True)


if __name__ == "__main__":
    main()
