#!/usr/bin/env python3
"""What a reload that adds 10,000 ports, and one that takes them out again, makes those wait who are served all the time.

    cargo build --release
    python3 tests/bench/reload_addresses.py [--ports 10000] [--others 64] [--rate 5000] [--rounds 5] [--tables]
                                            [--before] [--daemon target/release/polyport]

A daemon serves the others, with a steady stream of datagrams to them (`steady.c`, stamps of the kernel). In a round the
ports are added by one reload (SIGHUP) and removed by the next, and before each of the two comes a window as long as a reload,
in which nothing is reloaded: what the machine makes of any wait. `--tables` gives each added port a `[[listen]]` table of its
own, instead of one range for all; `--before` writes them before those that stay, so that these get other places in the
plan.

Printed for windows with a reload and for those without: datagrams, those lost, and the wait for an answer, p50, p99, p99.9 and
the worst, the median over the windows with the least and the most. Then the CPU time of the loop's thread in the windows, and how
long the reloads took. The exit code is 1 if a datagram was lost. Root, or a limit of open files that is high enough; only the standard
library.
"""
import argparse
import array
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIRST, ADDED = 7000, 20000
# Behind a window it takes a moment until what was sent in it is answered.
SETTLES = 0.2
KINDS = ["without", "added", "removed"]


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", folder / "steady", HERE / "steady.c"], check=True)
        windows, log = measure(options, folder)
        seen = array.array("Q", (folder / "seen").read_bytes())
    sys.exit(report(windows, seen[0::2], seen[1::2], log))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ports", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=64)
    parser.add_argument("--rate", type=int, default=5000, help="datagrams a second, to all others together")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--before", action="store_true")
    parser.add_argument("--daemon", default=ROOT / "target/release/polyport", type=pathlib.Path)
    return parser.parse_args()


def measure(options, folder):
    """The windows, each with its kind, when it began and ended, and the CPU time of the loop in it; and the log."""
    config, log = folder / "polyport.toml", folder / "log"
    stays = listen("stays", "127.0.0.1", FIRST, options.others)
    if options.tables:
        more = "".join(listen(f"more-{n}", "127.7.7.7", ADDED + n, 1) for n in range(options.ports))
    else:
        more = listen("more", "127.7.7.7", ADDED, options.ports)
    both = more + stays if options.before else stays + more
    config.write_text(stays)
    with log.open("w") as written:
        # Of the debug lines those that tell how long the loop was kept.
        environment = {**os.environ, "POLYPORT_LOG": "info,polyport::apply::reload=debug"}
        command = [options.daemon, "run", "-c", config]
        daemon = subprocess.Popen(command, stdout=written, stderr=written, env=environment)
    said = Log(log, daemon)
    steady = None
    try:
        said.wait_for("serving; Ctrl-C stops", 1)
        command = [folder / "steady", "127.0.0.1", str(FIRST), str(options.others), str(options.rate), folder / "seen"]
        steady = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        steady.stdout.readline()
        windows, takes, reloads = [], 1.0, 0
        for _ in range(options.rounds):
            for kind, text in [("added", both), ("removed", stays)]:
                windows.append(window("without", daemon, lambda: time.sleep(takes)))
                config.write_text(text)
                reloads += 1

                def reload():
                    daemon.send_signal(signal.SIGHUP)
                    said.wait_for("info: reloaded: ", reloads)

                windows.append(window(kind, daemon, reload))
                takes = (windows[-1][2] - windows[-1][1]) / 1e9
                if f"{options.ports} addresses {kind}" not in said.text():
                    raise SystemExit(said.text()[-2000:])
        steady.stdin.close()
        if steady.wait() != 0:
            raise SystemExit("the stream has failed")
    finally:
        if steady and steady.poll() is None:
            steady.kill()
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    return windows, said.text()


def listen(name, ip, first, count):
    last = f"-{first + count - 1}" if count > 1 else ""
    return f'[[listen]]\nname = "{name}"\nbind = "{ip}:{first}{last}"\nplugin = "echo"\n'


class Log:
    """The output of a daemon, in a file."""

    def __init__(self, path, daemon):
        self.path, self.daemon = path, daemon

    def text(self):
        return self.path.read_text()

    def wait_for(self, words, times):
        end = time.monotonic() + 120
        while self.text().count(words) < times:
            if self.daemon.poll() is not None or time.monotonic() > end or "not reloaded: " in self.text():
                raise SystemExit(f"no {words!r}:\n{self.text()[-3000:]}")
            time.sleep(0.01)


def window(kind, daemon, body):
    time.sleep(SETTLES)
    spent, began = loop_ns(daemon.pid), time.time_ns()
    body()
    ended, after = time.time_ns(), loop_ns(daemon.pid)
    time.sleep(SETTLES)
    return kind, began, ended, after - spent


def loop_ns(pid):
    """CPU time of the thread that serves, which is the first."""
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


def report(windows, left, answered, log):
    lost = sum(1 for at in answered if at == 0)
    per = {kind: [] for kind in KINDS}
    for kind, began, ended, spent in windows:
        inside = [(sent, back) for sent, back in zip(left, answered) if began <= sent < ended]
        waits = sorted((back - sent) / 1e3 for sent, back in inside if back)
        per[kind].append((waits, sum(1 for _, back in inside if not back), spent, ended - began))
    print(f"{len(left)} datagrams, {lost} lost in all")
    print("| windows | number | datagrams | lost | p50 us | p99 us | p99.9 us | worst us | waits over 1 ms | loop's CPU |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for kind in KINDS:
        some = [entry for entry in per[kind] if entry[0]]
        if not some:
            continue
        cells = [kind, len(some), sum(len(waits) for waits, *_ in some), sum(missing for _, missing, *_ in some)]
        for share in (0.5, 0.99, 0.999, 1):
            cells.append(spread([waits[min(len(waits) - 1, int(share * len(waits)))] for waits, *_ in some]))
        cells.append(sum(1 for waits, *_ in some for wait in waits if wait > 1000))
        cells.append(f"{100 * statistics.median(spent / took for *_, spent, took in some):.0f} %")
        print(f"| {' | '.join(map(str, cells))} |")
    print("\nEach figure is the median over the windows, and the least and the most of them.")
    for line in log.splitlines():
        if "info: reloaded: " in line or "us of work" in line:
            print(line)
    return 1 if lost else 0


def spread(values):
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


if __name__ == "__main__":
    main()
