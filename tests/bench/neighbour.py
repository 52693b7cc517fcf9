#!/usr/bin/env python3
"""How long an echo makes its client wait while its neighbours in the same process do what takes long (Linux, root).

    cargo build --release
    python3 tests/bench/neighbour.py [--rounds 5] [--seconds 4] [--polyport PROGRAM] [--conditions tables,terminal,...]

A client asks an echo 500 times a second, one request at a time. In a round every condition has its turn, in an order
drawn anew, each beside a daemon of its own:

    quiet      the neighbours have nothing to do: what the machine makes of any wait
    tables     twenty listeners with 65,536 senders each report them every second, and new senders go on coming
    terminal   the log, of everything (-vv), goes to a terminal that nobody reads, with 2,000 datagrams a second in it
    lines      3,000 listeners say where they are, on a standard output that nobody reads
    slow       the same log goes to a reader that takes 4 KiB every 90 ms

Printed are the 99th and 99.9th percentile and the worst of each condition, and how many requests waited for more than
5 and 10 ms: what is the daemon's doing shows as a difference from `quiet`. Everything stays on loopback, in a network
namespace of its own. Only the standard library; needs unshare and ip.
"""
import argparse
import os
import pathlib
import pty
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
INSIDE = "POLYPORT_NEIGHBOUR_INSIDE"
ECHO, CROWD, LISTENERS, SENDERS = 7000, 7100, 20, 65_536
EVERY = 0.002
DEADLINE = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--polyport", default=ROOT / "target/release/polyport", type=pathlib.Path)
    parser.add_argument("--conditions", default=",".join(CONDITIONS))
    options = parser.parse_args()
    if INSIDE not in os.environ:
        command = ["unshare", "--net", sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    waits = {name: [] for name in options.conditions.split(",")}
    for number in range(options.rounds):
        for name in random.Random(number).sample(list(waits), len(waits)):
            waits[name].append(CONDITIONS[name](options))
    print("| condition | requests | lost | p99 | p99.9 | worst of each round | over 5 ms | over 10 ms |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    for name, rounds in waits.items():
        every = sorted(wait for answered, _ in rounds for wait in answered)
        worst = " ".join(f"{1000 * max(answered):.1f}" for answered, _ in rounds)
        over = [sum(wait > limit for wait in every) for limit in (0.005, 0.010)]
        share = [f"{1e6 * every[int(len(every) * part)]:.0f} us" for part in (0.99, 0.999)]
        print(f"| {name} | {len(every)} | {sum(lost for _, lost in rounds)} | {share[0]} | {share[1]} | {worst} ms "
              f"| {over[0]} | {over[1]} |")


def quiet(options):
    with Daemon(options, crowd("listener")) as daemon:
        daemon.discard_output()
        return ask(options.seconds)


def tables(options):
    with Daemon(options, crowd("listener", 'options = { report = "1s" }')) as daemon:
        daemon.discard_output()
        send = forge()
        for listener in range(LISTENERS):
            for number in range(SENDERS):
                send(CROWD + listener, number)
                if number % 64 == 0:
                    # No faster than the daemon reads: what the kernel drops is in no table.
                    time.sleep(0.0005)
        return ask(options.seconds, lambda: send(CROWD + random.randrange(LISTENERS), random.randrange(1 << 22)))


def terminal(options):
    ours, theirs = pty.openpty()
    with Daemon(options, crowd("listener"), verbose=True, stderr=theirs) as daemon:
        daemon.discard_output()
        os.close(theirs)
        try:
            return ask(options.seconds, chatter())
        finally:
            os.close(ours)


def lines(options):
    with Daemon(options, '[[listen]]\nbind = "127.0.0.1:20000-22999"\nplugin = "echo"\n', verbose=True,
                stderr=subprocess.DEVNULL):
        return ask(options.seconds)


def slow(options):
    read, write = os.pipe()
    with Daemon(options, crowd("listener"), verbose=True, stderr=write) as daemon:
        daemon.discard_output()
        os.close(write)
        ended = threading.Event()

        def take():
            while not ended.wait(0.09):
                if not os.read(read, 4096):
                    return

        reader = threading.Thread(target=take, daemon=True)
        reader.start()
        try:
            return ask(options.seconds, chatter())
        finally:
            ended.set()
            reader.join()
            os.close(read)


CONDITIONS = {"quiet": quiet, "tables": tables, "terminal": terminal, "lines": lines, "slow": slow}


def crowd(plugin, more=""):
    return f'[[listen]]\nbind = "127.0.0.1:{CROWD}-{CROWD + LISTENERS - 1}"\nplugin = "{plugin}"\n{more}\n'


class Daemon:
    """A daemon with the echo and its neighbours, and whoever reads or does not read its output."""

    def __init__(self, options, neighbours, verbose=False, stderr=subprocess.DEVNULL):
        self.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.folder.name) / "polyport.toml"
        config.write_text(f'[[listen]]\nname = "asked"\nbind = "127.0.0.1:{ECHO}"\nplugin = "echo"\n{neighbours}')
        command = [options.polyport, "run", "-c", config, *(["-vv"] if verbose else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)

    def __enter__(self):
        client, end = client_socket(), time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                client.send(b"there?")
                client.recv(100)
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
        self.__exit__()
        raise SystemExit("the daemon does not answer")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def discard_output(self):
        threading.Thread(target=self.read_all, daemon=True).start()

    def read_all(self):
        try:
            while self.process.stdout.read1(65536):
                pass
        except ValueError:
            pass  # closed


def ask(seconds, meanwhile=lambda: None):
    """Asks the echo one request after another; what its neighbours get comes between. Returns the waits, and how many
    requests had no answer in two seconds."""
    client, waits, lost = client_socket(), [], 0
    client.settimeout(2)
    due = time.monotonic()
    for number in range(int(seconds / EVERY)):
        payload = struct.pack("!I", number)
        sent = time.perf_counter()
        try:
            client.send(payload)
            while client.recv(100) != payload:
                pass
            waits.append(time.perf_counter() - sent)
        except TimeoutError:
            lost += 1
        for _ in range(4):
            meanwhile()
        due = max(due + EVERY, time.monotonic() - EVERY)
        time.sleep(max(0, due - time.monotonic()))
    return waits, lost


def client_socket():
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.1)
    client.connect(("127.0.0.1", ECHO))
    return client


def chatter():
    """Sends datagrams to the neighbours that are worth a line of the log each."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return lambda: sender.sendto(b"a line of the log", ("127.0.0.1", CROWD + random.randrange(LISTENERS)))


def forge():
    """Sends from any of four million addresses of loopback, one a number."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(port, number):
        source = (127 << 24) + (1 << 22) + number
        payload = b"x"
        header = struct.pack("!BBHHHBBHII", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, source, 0x7F000001)
        raw.sendto(header + struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload, ("127.0.0.1", 0))

    return send


if __name__ == "__main__":
    main()
