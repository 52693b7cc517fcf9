"""Hands the sockets of a serving daemon over, again and again, under a numbered stream, and says what that costs.

    take_over.py [--ports 19000] [--restarts 100] [--kills 200] [--rate 20000] [--seed 1] [--daemon target/release/polyport]

Restarts: each starts `polyport run --take-over` beside the one that serves, and waits until that one has ended with 0. Kills: the new
process is killed (SIGKILL) after a random time, mostly before it has taken over; the old one must have the same descriptors afterwards as
before, and serve. A new process that was quicker has taken over, is not killed, and is the old one for the next; these are counted.
Meanwhile the stream sends its numbers to all ports in turn, each has to be answered once. Everything runs in a network namespace
of its own with loopback only, if that can be had (root). The exit code is 1 if a number was lost or answered twice, descriptors were
others, or a daemon did not end with 0.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

FIRST = 10000


def alone():
    """Begins again in a network namespace of its own."""
    if os.environ.get("POLYPORT_BENCH_ALONE") or os.geteuid() != 0:
        return
    os.environ["POLYPORT_BENCH_ALONE"] = "1"
    words = "ip link set lo up && exec \"$@\""
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", words, "sh", sys.executable, *sys.argv])


def descriptors(pid):
    """What a process has open, by number: sockets with their inodes."""
    there = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            there[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return there


class Daemons:
    def __init__(self, args, place):
        self.args, self.place, self.log = args, place, open(place / "log", "w+")
        self.control = place / "control.sock"
        self.config = place / "polyport.toml"
        last = FIRST + args.ports - 1
        self.config.write_text(
            f'control = "{self.control}"\ngrace = "5s"\n\n'
            f'[[listen]]\nname = "echo"\nbind = "127.0.0.1:{FIRST}-{last}"\nplugin = "echo"\n'
        )

    def start(self, *more):
        command = [self.args.daemon, "run", "-c", self.config, *more]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def serving(self):
        """Who answers by the control socket; none if nobody does in time."""
        try:
            with socket.socket(socket.AF_UNIX) as own:
                own.settimeout(30)
                own.connect(str(self.control))
                own.sendall(b'{"jsonrpc":"2.0","id":1,"method":"hello"}\n')
                return json.loads(own.makefile().readline())["result"]["pid"]
        except (OSError, ValueError):
            return None

    def reads(self, pid):
        """Whether a daemon reads its sockets, while the one that may have taken over stands still."""
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as own:
                    own.settimeout(10)
                    own.connect(str(self.control))
                    own.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
                    answer = json.loads(own.makefile().readline())["result"]
            except (OSError, ValueError):
                return False
            if answer["pid"] != pid:
                return False
            # Between the last words nobody reads; then it does again, or answers no more.
            if answer["entries"][0]["states"].get("serving") == answer["addresses"]:
                return True

    def wait_for(self, pid, seconds=120):
        end = time.monotonic() + seconds
        while self.serving() != pid:
            if time.monotonic() > end:
                self.fail(f"process {pid} does not serve")
            time.sleep(0.01)

    def fail(self, words):
        self.log.flush()
        sys.exit(f"{words}\n{(self.place / 'log').read_text()[-3000:]}")


def restarts(daemons, old, count):
    took = []
    for _ in range(count):
        began = time.monotonic()
        new = daemons.start("--take-over")
        if (code := old.wait(timeout=180)) != 0:
            daemons.fail(f"the daemon that was taken over has ended with {code}")
        daemons.wait_for(new.pid)
        took.append(time.monotonic() - began)
        old = new
    return old, took


def settled(pid):
    """Its descriptors, once the connection of who asked last is closed."""
    before = descriptors(pid)
    while True:
        time.sleep(0.05)
        after = descriptors(pid)
        if after == before:
            return after
        before = after


def kills(daemons, old, count, seed, longest):
    draw = random.Random(seed)
    taken, base = 0, settled(old.pid)
    for number in range(count):
        new = daemons.start("--take-over")
        time.sleep(draw.random() * longest)
        # It goes no further; what it has said by now is heard.
        new.send_signal(signal.SIGSTOP)
        if not daemons.reads(old.pid):
            # It was quicker, and goes on as the next one to be taken over.
            new.send_signal(signal.SIGCONT)
            if (code := old.wait(timeout=180)) != 0:
                daemons.fail(f"kill {number}: the daemon that was taken over has ended with {code}")
            daemons.wait_for(new.pid)
            taken, old, base = taken + 1, new, settled(new.pid)
            continue
        new.kill()
        new.wait()
        deadline = time.monotonic() + 30
        while (after := descriptors(old.pid)) != base:
            if old.poll() is not None or time.monotonic() > deadline:
                changed = {k: (base.get(k), after.get(k)) for k in base.keys() | after.keys() if base.get(k) != after.get(k)}
                daemons.fail(f"kill {number}: descriptors are others: {changed}")
            time.sleep(0.02)
        if daemons.serving() != old.pid:
            daemons.fail(f"kill {number}: the old one does not answer")
    return old, taken


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--ports", type=int, default=19_000)
    args.add_argument("--restarts", type=int, default=100)
    args.add_argument("--kills", type=int, default=200)
    args.add_argument("--rate", type=int, default=20_000)
    args.add_argument("--window", type=int, default=0, help="most datagrams that are unanswered [default: 100 for each port, 4000 at most]")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--daemon", default=root / "target/release/polyport", type=pathlib.Path)
    args = args.parse_args()
    alone()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    window = args.window or min(100 * args.ports, 4000)
    good = True
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        subprocess.run(["cc", "-O2", "-o", place / "stream", root / "tests/bench/stream.c"], check=True)
        daemons = Daemons(args, place)
        began = time.monotonic()
        old = daemons.start()
        daemons.wait_for(old.pid)
        print(f"{args.ports} ports, a start takes {time.monotonic() - began:.2f} s; load {os.getloadavg()[0]:.1f}")

        def under_stream(what, body):
            nonlocal good
            words = ["127.0.0.1", FIRST, args.ports, args.rate, window]
            stream = subprocess.Popen([place / "stream", *map(str, words)], stdout=subprocess.PIPE, text=True)
            try:
                began = time.monotonic()
                said = body()
                took = time.monotonic() - began
            finally:
                stream.send_signal(signal.SIGTERM)
                sent, answered, twice, lost, longest, held = map(int, stream.communicate(timeout=60)[0].split())
            print(
                f"{what}: {said}; {sent} datagrams in {took:.1f} s ({sent / took:.0f}/s), {answered} answered, {lost} lost, "
                f"{twice} twice, longest wait {longest / 1000:.1f} ms, the sender waited {held / 1000:.0f} ms; load {os.getloadavg()[0]:.1f}"
            )
            return lost == 0 and twice == 0

        try:
            longest = 1.0
            if args.restarts:

                def again():
                    nonlocal old, longest
                    old, took = restarts(daemons, old, args.restarts)
                    longest = sorted(took)[len(took) // 2]
                    return f"{args.restarts} restarts, {longest:.2f} s each (median), {max(took):.2f} s at most"

                good &= under_stream("restarts", again)
            if args.kills:

                def kill():
                    nonlocal old
                    # A little less than a take-over takes: most are killed in it.
                    old, taken = kills(daemons, old, args.kills, args.seed, 0.9 * longest)
                    return f"{args.kills - taken} killed, {taken} were quicker and have taken over"

                fine = under_stream("kills", kill)
                good &= fine
        finally:
            old.send_signal(signal.SIGTERM)
            code = old.wait(timeout=60)
        if code != 0:
            daemons.fail(f"the last daemon has ended with {code}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
