#!/usr/bin/env python3
"""A relay under forged clients: 2,000 a second and more, each with an address of its own, beside clients that are real.

    cargo build --release -p polyport
    python3 tests/soak_relay.py [--seconds 600] [--rate 2000] [--seed N] [--json FILE]

Everything happens in a network namespace of its own, so no packet leaves the machine. One daemon has two relays, and each of
them gets `--rate` datagrams a second, from sources drawn by chance. Both stand before a server in a process of its own, an
echo, and have the defaults, but for what their names say:

    refuse    nothing at all: who comes when all sessions are taken gets none
    oldest    full = "oldest": the session ends that is unanswered or silent for longest (log = "off", since it ends thousands)

A real client of each asks a hundred times a second, and knows every answer. Another one comes anew every second, with a new
port and three attempts. Every few seconds memory, descriptors and the time of the processor are read.

It holds if every real client that was there first is answered as before, memory stays where it was when all sessions were
taken, there are never more descriptors than sessions and some, what is refused is counted, every datagram that was sent is in
the books, and the books balance. What newcomers got is printed and not judged, but for those of `oldest`, which must get in.

Ends with 0 if everything held, with 1 and the list of what did not, with 77 if the namespace cannot be made.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time

import soak

RELAYS = {"refuse": (7100, ""), "oldest": (7101, 'full = "oldest", log = "off", ')}
SERVER = 7200
# Those of the plugin.
SESSIONS, OPENS = 1024, 1000
# What a daemon with two listeners has open besides: log, libraries, epoll, timers, sockets.
OTHER_DESCRIPTORS = 64
# Sessions that one call opens at most ([limits] session_opens): those that end for them do so after the call.
CALL_OPENS = 64
# Forged clients of each relay till all its sessions are taken, and its tables are as large as they get.
WARM = 4 * SESSIONS
# Memory that grows by more, from the first sample behind that to the last, leaks: less than a byte for each forged client of
# ten minutes.
SLACK_KIB = 1024
# Of the requests of a real client, those that may stay without an answer on a machine that others want as well, besides what
# the kernel says that it had no room for.
MAY_LOSE = 0.01
# Newcomers of which chance alone could leave half outside: each attempt meets a token of `opens` every second time.
FEW = 20


def main():
    options = arguments()
    if soak.INSIDE not in os.environ:
        soak.enter_namespace()
    soak.make_network()
    run = Run(options)
    try:
        run.start()
        run.attack()
        run.close_books()
        code = run.verdict()
    finally:
        run.end()
    sys.exit(code)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (%(default)s)")
    parser.add_argument("--rate", type=int, default=2000, help="forged clients a second for each relay (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--daemon", type=pathlib.Path, default=pathlib.Path("target/release/polyport"), help="(%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, help="write what was measured to this file")
    options = parser.parse_args()
    if not 0 < options.seconds <= 86_400 or not 0 < options.rate:
        parser.error("seconds: more than 0, at most a day; rate: more than 0")
    if not options.daemon.exists():
        parser.error(f"no program {options.daemon}; the head of this file says how to build it")
    return options


class Run:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="polyport-soak-relay-"))
        self.faults = []
        self.samples = []
        self.books = {}
        self.server = self.daemon = None
        self.steady, self.newcomers = {}, {}
        self.forged = {name: multiprocessing.Value("Q", 0, lock=False) for name in RELAYS}
        print(f"soak: seed {options.seed}, {options.seconds:g} s, {options.rate} forged clients a second for each relay", flush=True)

    def start(self):
        """Server, daemon, and the clients that are there before the strangers come."""
        program, seed = self.options.daemon, self.options.seed
        self.server = soak.Daemon(program, self.write("server", listener("server", SERVER, "echo", "")), self.folder / "server.log")
        relays = "".join(
            listener(name, port, "relay", f'options = {{ {more}to = "{soak.HERE}:{SERVER}" }}') for name, (port, more) in RELAYS.items()
        )
        self.daemon = soak.Daemon(program, self.write("relay", relays), self.folder / "relay.log")
        for name, (port, _) in RELAYS.items():
            self.steady[name] = soak.Steady(seed + port, port)
        deadline = time.monotonic() + 30
        while not all(one.answered for one in self.steady.values()):
            if time.monotonic() > deadline:
                sys.exit(f"soak: no relay answers: {self.daemon.tail()}")
            time.sleep(0.01)
        self.newcomers = {name: Newcomers(port) for name, (port, _) in RELAYS.items()}

    def write(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def attack(self):
        start, over = time.monotonic(), threading.Event()
        every = max(0.5, min(5.0, self.options.seconds / 20))

        def watch():
            while not over.wait(every):
                self.sample(time.monotonic() - start)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        rng, out = random.Random(self.options.seed), soak.raw()
        pairs = [(port, self.forged[name]) for name, (port, _) in RELAYS.items()]

        def send():
            for port, count in pairs:
                out.sendto(soak.forged(rng, soak.HERE, port, rng.randbytes(32)), (soak.HERE, 0))
                count.value += 1

        soak.paced(send, self.options.rate, self.options.seconds)
        over.set()
        watcher.join(10)

    def sample(self, after):
        sample = {
            "after_s": round(after, 1),
            "rss_kib": self.daemon.rss_kib(),
            "anonymous_kib": self.daemon.status("RssAnon"),
            "descriptors": self.daemon.descriptors(),
            "processor_s": processor_seconds(self.daemon.process.pid),
            "answered": {name: (one.answered, one.asked) for name, one in self.steady.items()},
            "newcomers": {name: (some.served, some.came) for name, some in self.newcomers.items()},
            "forged": {name: count.value for name, count in self.forged.items()},
        }
        self.samples.append(sample)
        print(
            f"soak: {sample['after_s']:5.0f} s: memory {sample['rss_kib']} KiB, {sample['descriptors']} descriptors, "
            f"processor {sample['processor_s']:.1f} s, forged {sum(sample['forged'].values())}, real {sample['answered']}, "
            f"newcomers {sample['newcomers']}",
            flush=True,
        )

    def close_books(self):
        for name in RELAYS:
            self.newcomers[name].finish()
            self.steady[name].finish()
        code, text = self.daemon.stop()
        if code != 0:
            self.fault(f"exit code {code} after SIGTERM: {self.daemon.tail()}")
        print(text[text.find("served:") :], flush=True)
        for name in RELAYS:
            self.books[name] = Books(name, text)

    def verdict(self):
        for name, books in self.books.items():
            for what in books.wrong():
                self.fault(f"{name}: {what}")
            sent = self.forged[name].value + self.steady[name].asked + self.newcomers[name].sent
            came = books.listener["received"] + books.kernel_drops
            if sent != came:
                self.fault(f"{name}: {sent} sent, but {came} in the books or dropped by the kernel")
            asked, answered = self.steady[name].finish()
            if asked == 0 or answered < asked * (1 - MAY_LOSE) - books.kernel_drops:
                self.fault(f"{name}: the real client was answered {answered} of {asked} times")
            if books.count("opened_total") > SESSIONS + OPENS * (self.options.seconds + 10):
                self.fault(f"{name}: more sessions than `opens` and `sessions` allow")
        self.judge_refusals()
        self.judge_samples()
        summary = {
            "seed": str(self.options.seed),
            "seconds": self.options.seconds,
            "rate": self.options.rate,
            "forged": {name: count.value for name, count in self.forged.items()},
            "real": {name: one.finish() for name, one in self.steady.items()},
            "newcomers": {name: (some.served, some.came) for name, some in self.newcomers.items()},
            "books": {name: {**books.listener, **books.counters} for name, books in self.books.items()},
            "samples": self.samples,
            "faults": self.faults,
        }
        if self.options.json:
            self.options.json.write_text(json.dumps(summary, indent=2) + "\n")
        state = "FAILED" if self.faults else "held"
        real = ", ".join("{1} of {0}".format(*pair) for pair in summary["real"].values())
        forged = sum(summary["forged"].values())
        print(f"soak: {state}: relays under {forged} forged clients, real clients {real} answered, {len(self.faults)} faults")
        return 1 if self.faults else 0

    def judge_refusals(self):
        refuse, oldest = self.books["refuse"], self.books["oldest"]
        if refuse.count("refused_sessions_total") == 0:
            self.fault("refuse: nothing was refused for want of sessions")
        if oldest.count("refused_opens_total") == 0 or oldest.count("closed_full_total") == 0:
            self.fault("oldest: nothing was refused because too many began, or nothing gave way")
        some = self.newcomers["oldest"]
        if some.came >= FEW and some.served < some.came / 2:
            self.fault(f"oldest: {some.served} of {some.came} newcomers were served")

    def judge_samples(self):
        warm = [sample for sample in self.samples if min(sample["forged"].values()) >= WARM]
        if len(warm) < 2:
            self.fault("too few samples to say anything of memory")
            return
        first, last = warm[0]["rss_kib"], warm[-1]["rss_kib"]
        if last > first + SLACK_KIB:
            self.fault(f"memory grew from {first} to {last} KiB")
        most = max(sample["descriptors"] for sample in self.samples)
        if most > len(RELAYS) * (SESSIONS + CALL_OPENS) + OTHER_DESCRIPTORS:
            self.fault(f"{most} descriptors")

    def fault(self, text):
        print(f"soak: FAULT {text}", flush=True)
        self.faults.append(text)

    def end(self):
        for daemon in [self.daemon, self.server]:
            if daemon is not None:
                daemon.kill()
        if not self.faults:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"soak: the logs are in {self.folder}", flush=True)


def listener(name, port, plugin, more):
    return f'[[listen]]\nname = "{name}"\nbind = "{soak.HERE}:{port}"\nplugin = "{plugin}"\n{more}\n\n'


def processor_seconds(pid):
    """User and system time of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Newcomers:
    """A client that nobody knows comes each second, and tries three times."""

    def __init__(self, port):
        self.port = port
        self.came = self.served = self.sent = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(1.0):
            self.came += 1
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((soak.STEADY, 0))
                client.connect((soak.HERE, self.port))
                client.settimeout(0.3)
                self.served += any(self.ask(client, attempt) for attempt in range(3))

    def ask(self, client, attempt):
        try:
            self.sent += 1
            client.send(struct.pack("!QB", self.came, attempt))
            client.recv(100)
            return True
        except OSError:
            return False

    def finish(self):
        self.over.set()
        self.thread.join(5)


class Books:
    """What the daemon printed of a listener at its end."""

    def __init__(self, name, text):
        block = re.search(rf"^  {name} +received .*\n(?:   .*\n)*", text, re.MULTILINE)
        sessions = re.search(rf"^  {name} sessions +received .*$", text, re.MULTILINE)
        self.block, self.sessions_line = (match.group(0) if match else "" for match in (block, sessions))
        self.listener = equation(self.block)
        self.sessions = equation(self.sessions_line)
        self.counters = {key: int(number) for key, number in re.findall(r"\b([a-z_]+) (\d+)(?=[,\n])", self.block)}
        drops = re.search(r"kernel drops (\d+)", self.block)
        self.kernel_drops = int(drops.group(1)) if drops else 0

    def count(self, key):
        return self.counters.get(key, 0)

    def wrong(self):
        for what, books in [("listener", self.listener), ("sessions", self.sessions)]:
            if not books or books["received"] != books["replied"] + books["consumed"] + books["dropped"]:
                yield f"the books of its {what} do not balance: {books}"
            elif books["replies"] != books["sent"] + books["unsent"]:
                yield f"the replies of its {what} do not balance: {books}"
        ends = re.search(r"opened (\d+) = open (\d+) \+ closed (\d+)", self.sessions_line)
        if ends is None or int(ends.group(1)) != int(ends.group(2)) + int(ends.group(3)):
            yield f"the sessions do not add up: {self.sessions_line}"


def equation(line):
    """The numbers of the two equations of a line."""
    match = soak.BOOKS.search(line)
    if match is None:
        return {}
    names = ["received", "replied", "consumed", "dropped", "replies", "sent", "waiting", "unsent"]
    return {name: int(number or 0) for name, number in zip(names, match.groups())}


if __name__ == "__main__":
    main()
