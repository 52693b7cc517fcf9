#!/usr/bin/env python3
"""A soak: one daemon under floods, faults, signals and restarts, beside clients that must not notice (R60).

    cargo build --release -p polyport -p polyport-tools -p polyport-fixture-panics
    python3 tests/soak.py [--minutes 30] [--life 5] [--seed N] [--json FILE]

Everything happens in a network namespace of its own, on loopback and a pair of interfaces, so no packet leaves the machine.
The daemon lives `--life` minutes at a time and is then stopped and started again. A life is a row of phases: an attack
of some seconds, then a rest. The attacks come in an order that the seed draws:

    spoof     echo requests from random sources, to the port that the steady client uses
    garbage   bytes that nearly are PPT/1 frames, from random sources, to the responders
    large     datagrams of 65,507 octets; empty ones between them
    many      bursts over two hundred ports
    group     broadcast and multicast datagrams that a recorder writes to a disk which is nearly full
    faults    datagrams that make a handler panic
    pause     SIGSTOP, a flood, SIGCONT
    signals   hundreds of signals that have nothing to say

Two clients go on all the while: one asks an echo a hundred times a second and knows every answer, the other is
polyport-load against a responder. At the end of each life the books of the daemon must balance; at the end of all, its
memory and its descriptors are where they were.

Ends with 0 if everything held, with 1 and the list of what did not, with 77 if the namespace cannot be made. Bounded:
never longer than the minutes asked for and two more. Only the standard library; needs unshare and ip.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

INSIDE = "POLYPORT_SOAK_INSIDE"
HERE = "10.77.0.1"                      # the daemon
STEADY = "10.77.0.2"                    # the steady clients
BROADCAST = "10.77.0.255"
ECHO, PANICS, RESPONDERS, RECORDER, MANY = 7000, 7001, range(7010, 7014), 7020, range(7200, 7400)
GROUP = "239.77.0.1"
ATTACK_SECONDS, REST_SECONDS = 4.0, 2.0
# Datagrams a second of an attack: enough to fill every table, little enough that a machine with two processors has one
# left for the daemon.
ATTACK_RATE = 15_000
# Each break doubles the pause before the handler is made again: after some more a life would be nothing but waiting.
MOST_FAULTS = 4
# Of the steady client's requests, those that may stay without an answer.
MAY_LOSE = 0.01
# A memory that grows by more than this, from the middle of a life to its end or from one life to another, leaks.
GROWTH, SLACK_KIB = 1.10, 8192
BOOKS = re.compile(
    r"received (\d+) = replied (\d+) \+ consumed (\d+) \+ dropped (\d+).*; replies (\d+) = sent (\d+)(?: \+ waiting (\d+))? \+ dropped (\d+)"
)


def main():
    options = arguments()
    if INSIDE not in os.environ:
        enter_namespace()
    make_network()
    soak = Soak(options)
    try:
        soak.run()
    finally:
        soak.end()
    sys.exit(soak.verdict())


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="how long, all lives together (30)")
    parser.add_argument("--life", type=float, default=5.0, help="minutes from a start to a stop (5)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    built = pathlib.Path("target/release")
    parser.add_argument("--daemon", type=pathlib.Path, default=built / "polyport", help="the daemon (%(default)s)")
    parser.add_argument("--load", type=pathlib.Path, default=built / "polyport-load", help="the client (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, help="write what was measured to this file")
    options = parser.parse_args()
    if not 0 < options.minutes <= 24 * 60 or not 0 < options.life:
        parser.error("minutes: more than 0, at most a day")
    for program in [options.daemon, options.load]:
        if not program.exists():
            parser.error(f"no program {program}; the head of this file says how to build it")
    return options


def enter_namespace():
    """Starts this script again in a new network namespace."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        sys.exit("soak: needs unshare (util-linux) and ip (iproute2)")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", "--net", *user]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        print("soak: a network namespace cannot be made here", file=sys.stderr)
        sys.exit(77)
    os.environ[INSIDE] = "1"
    os.execvp(command[0], [*command, sys.executable, *sys.argv])


def make_network():
    """Addresses of our own, and an interface whose other end swallows what goes to forged sources."""
    for line in [
        "link set lo up",
        f"address add {HERE}/32 dev lo",
        f"address add {STEADY}/32 dev lo",
        "link add sink type veth peer name drain",
        "link set sink arp off",
        "link set sink up",
        "link set drain up",
        f"address add 10.77.0.3/24 broadcast {BROADCAST} dev sink",
        "route add default dev sink",
    ]:
        subprocess.run(["ip", *line.split()], check=True)


class Soak:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="polyport-soak-"))
        self.faults = []
        self.lives = []
        self.daemon = None
        self.steady = None
        self.end_at = time.monotonic() + options.minutes * 60
        self.panics = self.find_panics()
        print(f"soak: seed {options.seed}, {options.minutes:g} minutes in lives of {options.life:g}", flush=True)
        if self.panics is None:
            print("soak: SKIPPED the attack `faults`: libpolyport_fixture_panics.so is not built", flush=True)

    def find_panics(self):
        beside = self.options.daemon.parent
        for folder in [beside, beside / "deps"]:
            library = folder / "libpolyport_fixture_panics.so"
            if library.exists():
                return library.resolve()
        return None

    # One life after the other.

    def run(self):
        number = 0
        while time.monotonic() < self.end_at:
            number += 1
            until = min(self.end_at, time.monotonic() + self.options.life * 60)
            self.live(number, until)

    def live(self, number, until):
        life = {"number": number, "rss_kib": [], "descriptors": [], "attacks": {}}
        log = self.folder / f"daemon-{number}.log"
        self.daemon = Daemon(self.options.daemon, self.configuration(), log)
        self.steady = Steady(self.options.seed + number)
        load = self.start_load(until)
        attacks = [a for a in ATTACKS if a is not faults or self.panics is not None]
        while time.monotonic() + ATTACK_SECONDS + REST_SECONDS < until or not life["attacks"]:
            row = [a for a in attacks if a is not faults or life["attacks"].get("faults", 0) < MOST_FAULTS]
            self.random.shuffle(row)
            for attack in row:
                print(f"soak: life {number}: {attack.__name__}", flush=True)
                attack(self.daemon, random.Random(self.random.randrange(2**32)))
                life["attacks"][attack.__name__] = life["attacks"].get(attack.__name__, 0) + 1
                time.sleep(REST_SECONDS)
                life["rss_kib"].append(self.daemon.rss_kib())
                life["descriptors"].append(self.daemon.descriptors())
                if self.daemon.process.poll() is not None:
                    self.fault(f"life {number}: the daemon ended in `{attack.__name__}`: {self.daemon.tail()}")
                    return
                if time.monotonic() + ATTACK_SECONDS + REST_SECONDS >= until:
                    break
        life["load"] = self.finish_load(load, number)
        life["asked"], life["answered"] = self.steady.finish()
        self.close_books(life, number)
        self.lives.append(life)
        print(
            f"soak: life {number}: steady client {life['answered']} of {life['asked']} answered, "
            f"memory {life['rss_kib'][0]} to {life['rss_kib'][-1]} KiB, {life['descriptors'][-1]} descriptors, "
            f"received {life['received']} = replied {life['replied']} + consumed {life['consumed']} + dropped {life['dropped']}",
            flush=True,
        )

    def close_books(self, life, number):
        code, text = self.daemon.stop()
        if code != 0:
            self.fault(f"life {number}: exit code {code} after SIGTERM: {self.daemon.tail()}")
        books = [[int(part or 0) for part in match.groups()] for match in BOOKS.finditer(text)]
        if not books:
            self.fault(f"life {number}: no books at the end")
        for received, replied, consumed, dropped, queued, sent, waiting, unsent in books:
            if received != replied + consumed + dropped or queued != sent + waiting + unsent:
                self.fault(f"life {number}: the books do not balance: {received} {replied} {consumed} {dropped} {queued} {sent} {unsent}")
        for place, name in enumerate(["received", "replied", "consumed", "dropped"]):
            life[name] = sum(row[place] for row in books)
        life["reasons"] = sorted(set(re.findall(r"\b([a-z_]+) \d+", " ".join(re.findall(r"\(([^)]*)\)", text)))))
        if "panicked at" in self.daemon.tail(10**6).replace("as the payload asks", "") and self.panics is None:
            self.fault(f"life {number}: something panicked")

    def configuration(self):
        """Every kind of handler; the recorder has a disk of its own that is too small."""
        full = self.folder / "disk"
        full.mkdir(exist_ok=True)
        if not os.path.ismount(full):
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0755", "soak", str(full)], capture_output=True, check=False
            )
            if mounted.returncode != 0:
                print("soak: SKIPPED the small disk: a tmpfs cannot be mounted here", flush=True)
        listeners = [
            ("echo", f"{HERE}:{ECHO}", "echo", ""),
            ("many", f"{HERE}:{MANY.start}-{MANY.stop - 1}", "lossy", 'options = { loss = "5%", delay = "5ms", jitter = "2ms" }'),
            ("responders", f"{HERE}:{RESPONDERS.start}-{RESPONDERS.stop - 1}", "responder", ""),
            (
                "recorder",
                f"0.0.0.0:{RECORDER}",
                "listener",
                f'join = ["{GROUP} on sink"]\noptions = {{ record = "pcapng", file = "{full}/heard.pcapng", rotate = "256KiB", keep = 4, report = "1s" }}',
            ),
        ]
        if self.panics is not None:
            listeners.append(("panics", f"{HERE}:{PANICS}", str(self.panics), ""))
        text = "".join(
            f'[[listen]]\nname = "{name}"\nbind = "{bind}"\nplugin = "{plugin}"\n{more}\n\n' for name, bind, plugin, more in listeners
        )
        path = self.folder / "polyport.toml"
        path.write_text(text)
        return path

    # The second client.

    def start_load(self, until):
        seconds = max(1, int(until - time.monotonic()) - 1)
        command = [str(self.options.load), "-q", "--json", "-r", "50/s", "-d", f"{seconds}s", f"{HERE}:{RESPONDERS.start}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish_load(self, load, number):
        try:
            out, err = load.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            load.kill()
            load.communicate()
            self.fault(f"life {number}: polyport-load did not end")
            return None
        if load.returncode != 0:
            self.fault(f"life {number}: polyport-load ended with {load.returncode}: {err.strip()[-300:]}")
            return None
        return json.loads(out)

    # The end.

    def fault(self, text):
        print(f"soak: FAULT {text}", flush=True)
        self.faults.append(text)

    def end(self):
        if self.steady is not None:
            self.steady.finish()
        if self.daemon is not None:
            self.daemon.kill()
        disk = self.folder / "disk"
        if os.path.ismount(disk):
            subprocess.run(["umount", str(disk)], check=False)
        if not self.faults:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"soak: the logs are in {self.folder}", flush=True)

    def verdict(self):
        asked = sum(life["asked"] for life in self.lives)
        answered = sum(life["answered"] for life in self.lives)
        if not self.lives or asked == 0:
            self.fault("nothing was asked")
        elif answered < asked * (1 - MAY_LOSE):
            self.fault(f"the steady client lost {asked - answered} of {asked}")
        ends = []
        for life in self.lives:
            rss, descriptors = life["rss_kib"], life["descriptors"]
            third = max(1, len(rss) // 3)
            middle, last = statistics.median(rss[third : 2 * third] or rss), statistics.median(rss[-third:])
            # A row shorter than all attacks fills its tables to the end.
            if len(rss) >= 3 * len(ATTACKS) and last > middle * GROWTH + SLACK_KIB:
                self.fault(f"life {life['number']}: memory grew from {middle} to {last} KiB")
            if max(descriptors) - min(descriptors) > 2:
                self.fault(f"life {life['number']}: {min(descriptors)} to {max(descriptors)} descriptors")
            ends.append(last)
        full = [end for life, end in zip(self.lives, ends) if len(life["rss_kib"]) >= len(ATTACKS)]
        if len(full) > 1 and full[-1] > full[0] * GROWTH + SLACK_KIB:
            self.fault(f"memory at the end of a life grew from {full[0]} to {full[-1]} KiB")
        summary = {
            "seed": str(self.options.seed),
            "minutes": self.options.minutes,
            "asked": asked,
            "answered": answered,
            "lives": self.lives,
            "faults": self.faults,
        }
        if self.options.json:
            self.options.json.write_text(json.dumps(summary, indent=2) + "\n")
        state = "FAILED" if self.faults else "held"
        print(f"soak: {state}: {len(self.lives)} lives, steady client {answered} of {asked} answered, {len(self.faults)} faults")
        return 1 if self.faults else 0


class Daemon:
    def __init__(self, program, configuration, log):
        self.log = log
        self.err = open(log, "wb")
        command = [str(program), "run", "-c", str(configuration)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.err, text=True)
        self.lines = []
        self.serving = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.serving.wait(30):
            code = self.process.poll()
            self.kill()
            sys.exit(f"soak: the daemon does not serve (exit code {code}): {self.tail()}")

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("serving"):
                self.serving.set()

    def status(self, key):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE)
        return int(match.group(1)) if match else 0

    def rss_kib(self):
        try:
            return self.status("VmRSS")
        except OSError:
            return 0

    def descriptors(self):
        try:
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        except OSError:
            return 0

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return None, ""
        self.reader.join(10)
        self.err.close()
        return code, "".join(self.lines)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self, count=600):
        return self.log.read_text(errors="replace")[-count:]


class Steady:
    """Asks an echo a hundred times a second and waits a second for each answer, from an address that is not loopback."""

    def __init__(self, seed, port=ECHO):
        self.going = True
        self.port = port
        self.asked = self.answered = 0
        self.result = None
        self.random = random.Random(seed)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((STEADY, 0))
            client.connect((HERE, self.port))
            client.settimeout(1.0)
            while self.going:
                number = struct.pack("!Q", self.asked) + self.random.randbytes(self.random.randrange(200))
                self.asked += 1
                try:
                    client.send(number)
                    deadline = time.monotonic() + 1.0
                    while time.monotonic() < deadline:
                        if client.recv(2048) == number:
                            self.answered += 1
                            break
                except OSError:
                    pass
                time.sleep(0.01)

    def finish(self):
        if self.result is None:
            self.going = False
            self.thread.join(5)
            self.result = self.asked, self.answered
        return self.result


# The attacks. Each takes ATTACK_SECONDS and leaves nothing running.


def paced(send, rate=ATTACK_RATE, seconds=ATTACK_SECONDS):
    """Calls `send` at a rate, in a process of its own so that it shares no interpreter with the steady client."""

    def body():
        start = time.monotonic()
        count = 0
        while (gone := time.monotonic() - start) < seconds:
            due = int(gone * rate)
            for _ in range(min(due - count, 256)):
                try:
                    send()
                except OSError:
                    pass
            count = max(count, due)
            time.sleep(0.001)
        os._exit(0)

    worker = multiprocessing.get_context("fork").Process(target=body)
    worker.start()
    worker.join(seconds + 20)
    if worker.is_alive():
        worker.kill()
        worker.join()


def forged(rng, to, port, payload):
    """A UDP datagram over IPv4 from a random source; the kernel fills in what is 0."""
    source = struct.pack("!I", rng.randrange(0x0B000000, 0xDF000000))
    udp = struct.pack("!HHHH", rng.randrange(1024, 65536), port, 8 + len(payload), 0) + payload
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, 17, 0, source, socket.inet_aton(to)) + udp


def raw():
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def spoof(_, rng):
    out = raw()
    paced(lambda: out.sendto(forged(rng, HERE, ECHO, rng.randbytes(32)), (HERE, 0)))


def garbage(_, rng):
    out = raw()
    # The first octets of a frame; the rest is chance, and now and then the length fits.
    heads = [bytes.fromhex(head) for head in ["0e505054", "0e5050540101", "0e505054010100", "0e505054ff"]]

    def send():
        payload = rng.choice(heads) + rng.randbytes(rng.choice([0, 20, 42, 60, 200]))
        out.sendto(forged(rng, HERE, rng.choice(RESPONDERS), payload), (HERE, 0))

    paced(send)


def large(_, rng):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind((STEADY, 0))
    out.setblocking(False)
    paced(lambda: out.sendto(b"\0" * rng.choice([0, 65_507]), (HERE, rng.choice(MANY))), rate=2000)


def many(_, rng):
    out = raw()
    paced(lambda: out.sendto(forged(rng, HERE, rng.choice(MANY), rng.randbytes(64)), (HERE, 0)))


def group(_, rng):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.3"))
    out.setblocking(False)
    paced(lambda: out.sendto(rng.randbytes(800), (rng.choice([GROUP, BROADCAST]), RECORDER)), rate=3000)


def faults(_, rng):
    """One panic, and clients that go on asking the handler that broke."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind((STEADY, 0))
    out.sendto(b"boom", (HERE, PANICS))
    paced(lambda: out.sendto(rng.randbytes(8), (HERE, PANICS)), rate=100)


def pause(daemon, rng):
    out = raw()
    daemon.signal(signal.SIGSTOP)
    try:
        paced(lambda: out.sendto(forged(rng, HERE, rng.choice(MANY), b"pause"), (HERE, 0)), seconds=0.2)
    finally:
        daemon.signal(signal.SIGCONT)


def signals(daemon, rng):
    """Signals that mean nothing to a daemon; it must not even slow down."""
    harmless = [signal.SIGCONT, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD, signal.SIGPIPE]
    for _ in range(500):
        daemon.signal(rng.choice(harmless))


ATTACKS = [spoof, garbage, large, many, group, faults, pause, signals]


if __name__ == "__main__":
    main()
