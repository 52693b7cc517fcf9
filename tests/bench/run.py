#!/usr/bin/env python3
"""What a datagram costs: polyport against hand-written C loops, in alternation.

    cargo build --release
    python3 tests/bench/run.py [--sessions 4] [--rounds 10] [--seconds 0.25] [--shapes train,window,...] [--markdown FILE]
                               [--variant NAME=PROGRAM]... [--scraped] [--watched]

Builds the C programs beside this file. In a session all servers of a shape run at once, each on ports of its own and
pinned to CPU 0; in a round each of them, in an order drawn anew, gets the load for a moment, from CPU 1. So a change
of the machine meets all of them, and those that are not asked cost nothing. The figure is the CPU time of the server
(user and system, /proc/PID/schedstat) divided by the replies the load counted; shown is the median of all rounds.

The ratio is the median, over the rounds, of (best C loop) / polyport, where the best loop is the one of the four with
the lowest median; its quartiles stand behind it. A second copy of one loop runs along: its ratio to the first is what
these figures make of two equal programs. For spin the rates are compared. Only the standard library.

A variant is another build of polyport, or polyport-ablation with something left out; it takes its turn in every
round, and what it costs is compared with polyport (or, if there is one, with the variant called `all`). `--scraped` adds
one: the same polyport with `--metrics`, which somebody reads every second, also while the others have their turn; rounds of
two seconds have two scrapes each. The time of its metrics thread counts, as that of every thread does. `--watched` adds one that
is scraped and also has a `polyport top` that follows it, in a terminal of 80 columns and 24 rows. What reads and
watches runs on CPU 1, beside the load.
"""
import argparse
import fcntl
import json
import os
import pathlib
import platform
import pty
import random
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIRST_PORT, PORTS_EACH = 20000, 1100
SCRAPED, WATCHED = "scraped", "watched"
METRICS_PORTS = {SCRAPED: 19999, WATCHED: 19998}
ROWS, COLUMNS = 24, 80
LOOPS = ["plain", "mmsg", "gro", "coalesce"]
# title, load, ports, the loop that runs twice, target
SHAPES = {
    "train": ("trains: one GSO client, 64 x 64 B, 8 in flight", "train", 1, "coalesce", 0.90),
    "window": ("window: 4 clients, 64 in flight each", "window", 1, "coalesce", 1.00),
    "peers": ("256 peers, one in flight each, one port", "peers", 1, "coalesce", 0.97),
    "ports": ("1000 ports, one in flight on each", "ports", 1000, "plain", 0.97),
    "pingpong": ("ping-pong: one in flight", "pingpong", 1, "plain", 0.97),
    "spin": ('ping-pong with spin = "50us" (rates)', "pingpong", 1, "plain", 1.50),
    "many": ("window, with 19,000 more ports bound", "window", 1, None, 0.97),
}


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for program in ["echo_loops", "generate"]:
            subprocess.run(["cc", "-O2", "-o", folder / program, HERE / f"{program}.c"], check=True)
        rows = [row(shape, measure(shape, folder, options)) for shape in options.shapes.split(",")]
    text = markdown(rows, options)
    print(text)
    if options.markdown:
        pathlib.Path(options.markdown).write_text(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--polyport", default=str(ROOT / "target/release/polyport"))
    parser.add_argument("--seed", type=int, default=1, help="of the order within a round")
    parser.add_argument("--also", type=lambda text: text.split(","), default=[], help="more loops of echo_loops.c")
    parser.add_argument("--variant", action="append", type=variant, default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--variants-only", action="store_true", help="without the C loops, for more rounds in less time")
    parser.add_argument("--scraped", action="store_true", help="a variant with metrics that are read every second")
    parser.add_argument("--watched", action="store_true", help="a variant that is also followed by `polyport top`")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    options.variant += [(name, [options.polyport]) for name in (SCRAPED, WATCHED) if getattr(options, name)]
    return options


def variant(text):
    name, _, program = text.partition("=")
    return name, program.split()


def measure(shape, folder, options):
    """For each server the results of all rounds: (cost, rate, lost)."""
    _, load, _, twin, _ = SHAPES[shape]
    if shape == "many":
        # The question is what the other ports cost, so polyport with one port is the measure, and each runs alone.
        groups = [["one port"], ["polyport"]]
    else:
        others = [name for name, _ in options.variant]
        loops = [] if options.variants_only else [*LOOPS, "epoll", "twin", *options.also]
        groups = [[*loops, *others, "polyport"]]
    results = {name: [] for group in groups for name in group}
    order = random.Random(options.seed)
    for _ in range(options.sessions):
        for group in groups:
            servers = {name: start(name, shape, index, folder, options) for index, name in enumerate(group)}
            try:
                for _ in range(options.rounds):
                    for name in order.sample(group, len(group)):
                        results[name].append(once(*servers[name], folder, load, options.seconds))
            finally:
                for process, _ in servers.values():
                    process.kill()
                    process.wait()
    return results


def start(name, shape, index, folder, options):
    _, _, ports, twin, _ = SHAPES[shape]
    port = FIRST_PORT + index * PORTS_EACH
    programs = {"polyport": [options.polyport], "one port": [options.polyport], **dict(options.variant)}
    if name in programs:
        path = configuration("window" if name == "one port" else shape, port, ports, folder)
        command = [*programs[name], "run", "-c", str(path)]
        if name in METRICS_PORTS:
            command += ["--metrics", f"127.0.0.1:{METRICS_PORTS[name]}"]
        if name == WATCHED:
            command += ["--control", str(folder / "control.sock")]
    else:
        mode = twin if name == "twin" else name
        command = [str(folder / "echo_loops"), mode, "127.0.0.1", str(port), str(ports)]
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True, env={**os.environ, "POLYPORT_LOG": "polyport=error"})
    for line in process.stdout:
        if "ready" in line or "serving" in line:
            if name in METRICS_PORTS:
                threading.Thread(target=scrape, args=[process, METRICS_PORTS[name]], daemon=True).start()
            if name == WATCHED:
                watch(process, [*programs[name], "top", "--control", str(folder / "control.sock")])
            return process, port
    raise SystemExit(f"{name} did not start")


def scrape(process, port):
    """Reads the metrics of a server every second, until it has ended. A scrape that fails before ends the benchmark."""
    os.sched_setaffinity(0, {1})
    while process.poll() is None:
        began = time.monotonic()
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
            request.add_header("Accept", "application/openmetrics-text; version=1.0.0")
            with urllib.request.urlopen(request, timeout=10) as answer:
                page = answer.read()
            assert page.endswith(b"# EOF\n"), page[-100:]
        except Exception as error:
            if process.poll() is None and process.returncode is None:
                time.sleep(1)
                if process.poll() is None:
                    print(f"a scrape has failed: {error}", flush=True)
                    os._exit(1)
            return
        time.sleep(max(0, began + 1 - time.monotonic()))


def watch(process, command):
    """Has `polyport top` follow a server until it has ended, in a terminal that is read. It returns when the first screen is
    there; a `top` that ends or is silent before the server has ended ends the benchmark."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    top = subprocess.Popen(
        ["taskset", "-c", "1", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown, seen = threading.Event(), {"at": time.monotonic(), "last": b""}

    def read():
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:
                # The last who had the terminal has gone.
                some = b""
            if not some:
                return
            seen.update(at=time.monotonic(), last=(seen["last"] + some)[-8192:])
            if b"echo" in seen["last"]:
                shown.set()

    def look():
        os.sched_setaffinity(0, {1})
        while process.poll() is None and process.returncode is None:
            if top.poll() is not None or time.monotonic() > seen["at"] + 10:
                # The server may have been ended meanwhile.
                time.sleep(1)
                if process.poll() is None:
                    print(f"top has ended ({top.poll()}) or is silent: {seen['last'][-500:]!r}", flush=True)
                    os._exit(1)
            time.sleep(0.2)
        top.kill()
        top.wait()
        os.close(ours)

    threading.Thread(target=read, daemon=True).start()
    if not shown.wait(10):
        top.kill()
        raise SystemExit(f"top shows nothing: {seen['last']!r}")
    threading.Thread(target=look, daemon=True).start()


def configuration(shape, port, ports, folder):
    last = f"-{port + ports - 1}" if ports > 1 else ""
    text = '[limits]\nspin = "50us"\n' if shape == "spin" else ""
    text += f'[[listen]]\nbind = "127.0.0.1:{port}{last}"\nplugin = "echo"\n'
    text += 'recv_buffer = "4MiB"\nsend_buffer = "4MiB"\n'
    if shape == "many":
        text += '[[listen]]\nname = "idle"\nbind = "127.0.0.1:30000-48999"\nplugin = "echo"\n'
    path = folder / f"{shape}-{port}.toml"
    path.write_text(text)
    return path


def once(process, port, folder, load, seconds):
    before = cpu_ns(process.pid)
    run = ["taskset", "-c", "1", str(folder / "generate"), load, "127.0.0.1", str(port), str(seconds)]
    result = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    spent = cpu_ns(process.pid) - before
    assert result["sent"] == result["replies"] + result["lost"] + result["in_flight"], result
    return spent / max(1, result["replies"]), result["replies"] / result["seconds"], result["lost"]


def cpu_ns(pid):
    """Of all threads: some servers have more than one."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def row(shape, results):
    costs = {name: [cost for cost, _, _ in rounds] for name, rounds in results.items()}
    rates = {name: [rate for _, rate, _ in rounds] for name, rounds in results.items()}
    lost = sum(lost for _, _, lost in results["polyport"])
    median = {name: statistics.median(values) for name, values in costs.items()}
    if shape == "spin":
        # A spinning loop buys rate with CPU time, so here the rates are compared.
        best = max((name for name in [*LOOPS, "polyport"] if name in rates), key=lambda name: statistics.median(rates[name]))
        ratios = [ours / theirs for ours, theirs in zip(rates["polyport"], rates[best])]
    else:
        best = min((name for name in [*LOOPS, "one port"] if name in costs), key=median.get, default="polyport")
        ratios = [theirs / ours for ours, theirs in zip(costs["polyport"], costs[best])]
    twin = SHAPES[shape][3]
    itself = [a / b for a, b in zip(costs[twin], costs["twin"])] if "twin" in costs else []
    return shape, median, best, ratios, itself, lost, statistics.median(rates["polyport"]), variants(costs)


def variants(costs):
    """For each variant its cost divided by that of the whole, round by round."""
    whole = "all" if "all" in costs else "polyport"
    names = [name for name in costs if name not in (*LOOPS, "epoll", "twin", "polyport", "one port", "all")]
    return {name: [a / b for a, b in zip(costs[name], costs[whole])] for name in names}


def markdown(rows, options):
    lines = [
        f"Linux {platform.release().split('-')[0]}, {os.cpu_count()} CPUs, {options.sessions} sessions of "
        f"{options.rounds} rounds of {options.seconds} s, server CPU nanoseconds a datagram (median).",
        "",
        "| shape | recvfrom/sendto | mmsg | GRO+GSO | coalesced | with epoll | polyport | ratio | quartiles | a loop "
        "to itself | target | lost | replies/s |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for shape, median, best, ratios, itself, lost, rate, _ in rows:
        title, *_, target = SHAPES[shape]
        cells = [mark(f"{median[name]:,.0f}", name == best) if name in median else "" for name in [*LOOPS, "epoll"]]
        if "one port" in median:
            cells[3] = f"one port: {median['one port']:,.0f}"
        low, middle, high = statistics.quantiles(ratios, n=4)
        control = f"{statistics.median(itself):.2f}" if itself else ""
        cells += [f"{median['polyport']:,.0f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}", control]
        lines.append(f"| {title} | {' | '.join(cells)} | {target:.2f} | {lost} | {rate:,.0f} |")
    lines.append("")
    for shape, median, *_, others in rows:
        for name, ratios in others.items():
            low, middle, high = statistics.quantiles(ratios, n=4)
            lines.append(f"{shape}, {name}: {median[name]:,.0f} ns, {middle:.3f} of the whole ({low:.3f} to {high:.3f})")
    return "\n".join([*lines, ""])


def mark(text, is_best):
    return f"**{text}**" if is_best else text


if __name__ == "__main__":
    main()
