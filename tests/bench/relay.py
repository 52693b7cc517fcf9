#!/usr/bin/env python3
"""What a relayed datagram costs: polyport against hand-written C loops and other relays, in alternation (Linux, root).

    cargo build --release
    python3 tests/bench/relay.py [--sessions 3] [--rounds 8] [--seconds 0.25] [--shapes train,window,...] [--markdown FILE]
                                 [--plugin relay|PATH] [--nginx] [--sozu PROGRAM] [--quilkin PROGRAM]

The method is that of run.py: in a session all relays of a shape run at once, pinned to CPU 0, each in a network
namespace of its own with an upstream, a plain echo in C, and its load, both on CPU 1. In a round each of them, in an
order drawn anew, gets the load for a moment. The figure is the CPU time of the relay (/proc/PID/schedstat, of all its
threads and processes) divided by the datagrams that went through: a request and its answer are two. Shown is the median
of all rounds; the ratio is the median, over the rounds, of polyport / the best C loop, with its quartiles. A second copy
of one loop runs along: its ratio to the first is what these figures make of two equal programs.

The rivals are run if they are named: nginx with its stream module (apt-get install nginx libnginx-mod-stream); Sozu and
Quilkin from crates.io (cargo install --root SOMEWHERE sozu; RUSTFLAGS="-C target-feature=+aes,+sse2" cargo install
--locked --root SOMEWHERE quilkin). All have one core, listeners with the same buffers
where they can be told, upstream sockets with what the system gives, and end a session after two minutes without traffic
(the loops: never). Only the standard library.

    train window peers crowd   ns a datagram: trains of one client; 4 clients with 64 in flight; 256 and 10,000 with one
    open                       sessions a second on one core, each with a request and the answer that ends it
    latency                    10,000 clients, 5,000 requests a second: what the relay adds to p50 and p99
    memory                     bytes that a session takes, of the program and of the kernel, with 10,000 of them
    impaired                   what loss, and loss with delay, add to a datagram of `relay`
    exhausted                  no ports left and 10,000 new clients a second: CPU share, and how long neighbours wait
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import tempfile
import time

from relays import ADDRESS, HERE, LOOPS, NEIGHBOUR, PORT, ROOT, UPSTREAM, Relay, first_in_line

CROWD, WAITING = 10_000, 6_000
CLIENTS = 4_000_000
# title, load, upstream, loops, the one that runs twice, target (cost / best loop), what the relay is told
SHAPES = {
    "train": ("trains: one GSO client, 64 x 64 B, 8 in flight", ["generate", "train", ADDRESS, PORT, "-"], "coalesce",
              LOOPS, "gro", 1.11, {}),
    "window": ("window: 4 clients, 64 in flight each", ["generate", "window", ADDRESS, PORT, "-"], "mmsg",
               LOOPS[:3], "gro", 1.05, {}),
    "peers": ("256 clients, one in flight each", ["generate", "peers", ADDRESS, PORT, "-"], "mmsg",
              LOOPS[:3], "plain", 1.05, {}),
    "crowd": ("10,000 clients, one in flight each of 6,000", ["crowd", "window", ADDRESS, PORT, CROWD, WAITING], "mmsg",
              LOOPS[:3], "plain", 1.08, {}),
    "open": ("sessions: open, request, answer, close", ["crowd", "window", ADDRESS, PORT, CLIENTS, 64], "mmsg",
             LOOPS[:3], "plain", 1 / 0.85, {"replies": 1}),
}


def main():
    options = arguments()
    first_in_line()
    text = ""
    with tempfile.TemporaryDirectory() as folder:
        for section in sections(pathlib.Path(folder), options):
            print("\n".join([*section, ""]), flush=True)
            text += "\n".join([*section, "", ""])
    if options.markdown:
        pathlib.Path(options.markdown).write_text(text)


def sections(folder, options):
    for program in ["relay_loops", "echo_loops", "generate", "crowd"]:
        subprocess.run(["cc", "-O2", "-o", folder / program, HERE / f"{program}.c"], check=True)
    wanted = options.shapes.split(",")
    costs = [row(shape, measure(shape, folder, options), options) for shape in wanted if shape in SHAPES]
    if costs:
        yield heading(options) + cost_table(costs, options)
    for name in wanted:
        if name not in SHAPES:
            yield OTHERS[name](folder, options)
    yield missing(options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--shapes", default=",".join([*SHAPES, *OTHERS]))
    parser.add_argument("--polyport", default=str(ROOT / "target/release/polyport"))
    parser.add_argument("--plugin", default="relay", help="relay, or the path of a library with an option `to`")
    parser.add_argument("--nginx", action="store_true")
    parser.add_argument("--sozu", metavar="PROGRAM")
    parser.add_argument("--quilkin", metavar="PROGRAM")
    parser.add_argument("--seed", type=int, default=1, help="of the order within a round")
    parser.add_argument("--markdown")
    return parser.parse_args()


def rivals(options):
    return [name for name, is_there in [("nginx", options.nginx), ("Sozu", options.sozu), ("Quilkin", options.quilkin)] if is_there]


def missing(options):
    named = rivals(options)
    absent = [name for name in ["nginx", "Sozu", "Quilkin"] if name not in named]
    return [f"Not run, because not asked for: {', '.join(absent)}."] if absent else []


def heading(options):
    return [f"Linux {platform.release().split('-')[0]}, {os.cpu_count()} CPUs, {options.sessions} sessions of {options.rounds} "
            f"rounds of {options.seconds} s; CPU nanoseconds of the relay for a datagram that went through (median)", ""]


def once(relay, seconds):
    """Lets the load work for so many seconds, or `all`: each client once. The result is what it counted, with `cpu_ns`."""
    before = relay.cpu_ns()
    relay.load.stdin.write(f"{seconds}\n")
    relay.load.stdin.flush()
    result = json.loads(relay.load.stdout.readline())
    return {**result, "cpu_ns": relay.cpu_ns() - before}


def measure(shape, folder, options):
    """For each relay the results of all rounds."""
    _, load, upstream, loops, twin, _, told = SHAPES[shape]
    names = [*loops, "twin", "polyport", *rivals(options)]
    if shape == "open" and "Quilkin" in names:
        names.remove("Quilkin")  # It has no end of a session but idleness.
    if shape == "open" and options.plugin != "relay":
        raise SystemExit("open needs a handler that ends sessions by answers: --plugin relay")
    results = {name: [] for name in names}
    order = random.Random(options.seed)
    for _ in range(options.sessions):
        with contextlib.ExitStack() as stack:
            relays = {name: stack.enter_context(Relay(twin if name == "twin" else name, folder, options, load, upstream, **told))
                      for name in names}
            if shape == "crowd":
                for relay in relays.values():
                    once(relay, "all")
            for _ in range(options.rounds):
                for name in order.sample(names, len(names)):
                    results[name].append(once(relays[name], options.seconds))
    return results


def row(shape, results, options):
    parts = 1 if shape == "open" else 2
    costs = {name: [one["cpu_ns"] / max(1, parts * one["replies"]) for one in rounds] for name, rounds in results.items()}
    rates = {name: statistics.median(one["replies"] / one["seconds"] for one in rounds) for name, rounds in results.items()}
    lost = {name: sum(one["lost"] for one in rounds) for name, rounds in results.items()}
    median = {name: statistics.median(values) for name, values in costs.items()}
    best = min((name for name in LOOPS if name in costs), key=median.get)
    ratios = {name: [a / b for a, b in zip(costs[name], costs[best])] for name in costs}
    itself = [a / b for a, b in zip(costs["twin"], costs[SHAPES[shape][4]])]
    return shape, median, best, ratios, itself, lost, rates


def cost_table(rows, options):
    named = rivals(options)
    lines = [
        "| shape | plain | mmsg | GRO+GSO | one client, no table | polyport | ratio | quartiles | target | a loop to itself | "
        + "".join(f"{name} | " for name in named) + "lost | answers/s |",
        "| --- |" + " --: |" * (11 + len(named)),
    ]
    for shape, median, best, ratios, itself, lost, rates in rows:
        title, *_, target, _ = SHAPES[shape]
        cells = [f"**{median[name]:,.0f}**" if name == best else f"{median[name]:,.0f}" if name in median else "" for name in LOOPS]
        low, middle, high = statistics.quantiles(ratios["polyport"], n=4)
        cells += [f"{median['polyport']:,.0f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}", f"{target:.2f}",
                  f"{statistics.median(itself):.2f}"]
        cells += [f"{median[name]:,.0f} ({statistics.median(ratios[name]):.2f})" if name in median else "" for name in named]
        lines.append(f"| {title} | {' | '.join(cells)} | {lost['polyport']} | {rates['polyport']:,.0f} |")
    for shape, median, *_ in rows:
        if shape == "open":
            rates = ", ".join(f"{name} {1e9 / cost:,.0f}" for name, cost in median.items() if name != "twin")
            lines += ["", f"Sessions a second that a whole core would open, serve with one answer and close: {rates}."]
    others = {name for *_, lost, _ in rows for name, count in lost.items() if count and name != "polyport"}
    for name in sorted(others):
        lines += ["", f"{name} lost " + ", ".join(f"{lost[name]} ({shape})" for shape, *_, lost, _ in rows if lost.get(name)) + "."]
    return lines


def latency(folder, options):
    """What a relay adds to the time of an answer; the first of all is the upstream without any."""
    names = ["direct", *LOOPS[:3], "polyport", *rivals(options)]
    waits = {name: [] for name in names}
    order = random.Random(options.seed)
    load = ["crowd", "pace", ADDRESS, PORT, CROWD, 5000]
    for _ in range(options.sessions):
        with contextlib.ExitStack() as stack:
            relays = {}
            for name in names:
                direct = name == "direct"
                relays[name] = stack.enter_context(
                    Relay("plain" if direct else name, folder, options, [*load[:3], UPSTREAM, *load[4:]] if direct else load))
                once(relays[name], "all")
            for _ in range(options.rounds):
                for name in order.sample(names, len(names)):
                    result = once(relays[name], 4 * options.seconds)
                    waits[name].append((result["p50_us"], result["p99_us"], result["lost"]))
    lines = ["| 10,000 clients, 5,000 requests a second | p50 | added | p99 | added | lost |", "| --- |" + " --: |" * 5]
    base = [statistics.median(wait[i] for wait in waits["direct"]) for i in (0, 1)]
    for name, rounds in waits.items():
        p50, p99 = (statistics.median(wait[i] for wait in rounds) for i in (0, 1))
        added = ["", ""] if name == "direct" else [f"{p50 - base[0]:.0f} us", f"{p99 - base[1]:.0f} us"]
        lines.append(f"| {name} | {p50:.0f} us | {added[0]} | {p99:.0f} us | {added[1]} | {sum(wait[2] for wait in rounds)} |")
    return lines


def memory(folder, options):
    """Bytes a session. What the kernel has for it is what it charges to the control group of the relay."""
    lines = ["| 10,000 sessions | of the program, bytes a session | of the kernel |", "| --- | --: | --: |"]
    for name in [*LOOPS[:3], "polyport", *rivals(options)]:
        users, kernels = [], []
        for _ in range(options.sessions):
            with control_group() as group:
                told = {"group": group} if group else {}
                with Relay(name, folder, options, ["crowd", "pace", ADDRESS, PORT, CROWD, 5000], **told) as relay:
                    before = relay.user_bytes(), kernel_bytes(group)
                    result = once(relay, "all")
                    if result["lost"]:
                        print(f"memory, {name}: {result['lost']} lost")
                    users.append((relay.user_bytes() - before[0]) / CROWD)
                    kernels.append((kernel_bytes(group) - before[1]) / CROWD)
        kernel = f"{statistics.median(kernels):,.0f}" if kernels[0] else "not to be had: no control group for memory"
        lines.append(f"| {name} | {statistics.median(users):,.0f} | {kernel} |")
    return lines


@contextlib.contextmanager
def control_group():
    """A control group that accounts for memory, of version 1 beside our own, or of version 2; None where there is none."""
    own = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    first = [pathlib.Path("/sys/fs/cgroup/memory" + path) for _, controllers, path in own if "memory" in controllers.split(",")]
    second = pathlib.Path("/sys/fs/cgroup/cgroup.subtree_control")
    if first:
        parent = first[0]
    elif second.exists() and "memory" in second.read_text():
        parent = second.parent
    else:
        yield None
        return
    group = parent / f"polyport-relay-{os.getpid()}-{time.monotonic_ns()}"
    group.mkdir()
    try:
        yield group
    finally:
        end = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.05)
        group.rmdir()


def kernel_bytes(group):
    if group is None:
        return 0
    first = group / "memory.kmem.usage_in_bytes"
    if first.exists():
        return int(first.read_text())
    return next(int(line.split()[1]) for line in (group / "memory.stat").read_text().splitlines() if line.startswith("kernel "))


def impaired(folder, options):
    """What the impairments add: the same relay without any, with loss, and with loss and delay, both ways."""
    if options.plugin != "relay":
        return ["impaired: needs --plugin relay, the example has no impairments"]
    kinds = {
        "neutral": {},
        "loss 1 %": {f"{way}.loss": '"1%"' for way in ("up", "down")},
        "loss 1 %, delay 20 ms": {f"{way}.{key}": value for way in ("up", "down") for key, value in [("loss", '"1%"'), ("delay", '"20ms"')]},
    }
    costs = {kind: [] for kind in kinds}
    shares = {kind: [] for kind in kinds}
    order = random.Random(options.seed)
    for _ in range(options.sessions):
        with contextlib.ExitStack() as stack:
            relays = {kind: stack.enter_context(Relay("polyport", folder, options, ["generate", "stream", ADDRESS, PORT, "-"], handler=told))
                      for kind, told in kinds.items()}
            for _ in range(2 * options.rounds):
                for kind in order.sample(list(kinds), len(kinds)):
                    result = once(relays[kind], 2 * options.seconds)
                    costs[kind].append(result["cpu_ns"] / (result["sent"] + result["replies"]))
                    shares[kind].append(result["lost"] / result["sent"])
    lines = ["| 32 clients, 192 in flight each | ns a datagram | on top | quartiles | not answered |", "| --- |" + " --: |" * 4]
    for kind, values in costs.items():
        low, middle, high = statistics.quantiles([a - b for a, b in zip(values, costs["neutral"])], n=4)
        lines.append(f"| {kind} | {statistics.median(values):,.0f} | {middle:,.0f} | {low:,.0f} to {high:,.0f} "
                     f"| {100 * statistics.median(shares[kind]):.2f} % |")
    return lines


def exhausted(folder, options):
    """10,000 new clients a second where no port is left. What the attempts cost is the difference to a relay that refuses the
    same clients by a limit of its own, and makes none."""
    limited = "polyport, refused by its limit"
    kinds = {"polyport": ("polyport", {}), limited: ("polyport", {"sessions": 1000}), "C loop (plain)": ("plain", {}),
             **{name: (name, {}) for name in rivals(options) if name == "nginx"}}
    spent, echo, old = ({kind: [] for kind in kinds} for _ in range(3))
    order = random.Random(options.seed)
    for _ in range(options.sessions):
        with contextlib.ExitStack() as stack:
            loads = {}
            for kind, (name, told) in kinds.items():
                relay = stack.enter_context(Relay(name, folder, options, ["crowd", "flood", ADDRESS, PORT, CLIENTS, 10_000],
                                                  ports=(40_000, 57_000), **told))
                ports = [PORT, NEIGHBOUR] if name == "polyport" else [PORT]
                beside = [relay.run([folder / "crowd", "pace", ADDRESS, port, 1, 500], "1") for port in ports]
                for load in beside:
                    ask(load, "all")
                # 17,000 ports at 10,000 a second are gone after two seconds; who is slower gets longer.
                ask(relay.load, 4 if name == "polyport" else 10)
                loads[kind] = relay, beside
            for _ in range(options.rounds):
                for kind in order.sample(list(kinds), len(kinds)):
                    relay, beside = loads[kind]
                    before, start = relay.cpu_ns(), time.monotonic()
                    for load in [relay.load, *beside]:
                        tell(load, 8 * options.seconds)
                    heard = [hear(load) for load in [relay.load, *beside]]
                    spent[kind].append(100 * (relay.cpu_ns() - before) / (time.monotonic() - start) / 1e9)
                    old[kind].append(heard[1])
                    echo[kind] += heard[2:]
    lines = ["| no ports left, 10,000 new clients a second | CPU | for attempts | quartiles | echo beside it, p50 | p99 | lost "
             "| client with a session, p50 | p99 | lost |", "| --- |" + " --: |" * 9]
    for kind in kinds:
        low, middle, high = statistics.quantiles([a - b for a, b in zip(spent[kind], spent[limited])], n=4)
        attempts = "" if kind == limited else f"{middle:.2f} %"
        quartiles = "" if kind == limited else f"{low:.2f} to {high:.2f}"
        lines.append(f"| {kind} | {statistics.median(spent[kind]):.1f} % | {attempts} | {quartiles} "
                     f"| {waits(echo[kind])} | {waits(old[kind])} |")
    return lines


def tell(load, seconds):
    load.stdin.write(f"{seconds}\n")
    load.stdin.flush()


def hear(load):
    return json.loads(load.stdout.readline())


def ask(load, seconds):
    tell(load, seconds)
    return hear(load)


def waits(heard):
    if not heard:
        return " |  | "
    lost, sent = (sum(one[key] for one in heard) for key in ("lost", "sent"))
    answered = [one for one in heard if "p50_us" in one]
    shown = [f"{statistics.median(one[key] for one in answered):,.0f} us" if answered else "none" for key in ("p50_us", "p99_us")]
    return f"{shown[0]} | {shown[1]} | {lost} of {sent}"


OTHERS = {"latency": latency, "memory": memory, "impaired": impaired, "exhausted": exhausted}


if __name__ == "__main__":
    main()
