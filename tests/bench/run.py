#!/usr/bin/env python3
"""What a datagram costs: polyport against hand-written C loops, in alternation.

    cargo build --release
    python3 tests/bench/run.py [--rounds 5] [--seconds 1] [--shapes train,window,...] [--markdown FILE]

Builds the C programs beside this file, pins the server to CPU 0 and the load to CPU 1, and runs every server
once a round, so that a change of the machine meets all of them. The figure is the CPU time of the server (user
and system, /proc/PID/schedstat) divided by the replies the load counted. Of each server the median is shown;
the ratio is the median, over the rounds, of (best C loop of the round) / polyport; for spin it is the ratio of
the rates. Only the standard library.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PORT = 21000
LOOPS = ["plain", "mmsg", "gro", "coalesce"]
SHAPES = {
    "train": ("trains: one GSO client, 64 x 64 B, 8 in flight", 1, 0.90),
    "window": ("window: 4 clients, 64 in flight each", 1, 1.00),
    "peers": ("256 peers, one in flight each, one port", 1, 0.97),
    "ports": ("1000 ports, one in flight on each", 1000, 0.97),
    "pingpong": ("ping-pong: one in flight", 1, 0.97),
    "spin": ("ping-pong with spin = \"50us\"", 1, 1.50),
    "many": ("window, with 19,000 more ports bound", 1, 0.97),
}


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for program in ["echo_loops", "generate"]:
            subprocess.run(["cc", "-O2", "-o", folder / program, HERE / f"{program}.c"], check=True)
        rows = [measure(shape, folder, options) for shape in options.shapes.split(",")]
    text = markdown(rows, options)
    print(text)
    if options.markdown:
        pathlib.Path(options.markdown).write_text(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--polyport", default=str(ROOT / "target/release/polyport"))
    parser.add_argument("--markdown")
    return parser.parse_args()


def measure(shape, folder, options):
    load = {"spin": "pingpong", "many": "window"}.get(shape, shape)
    servers = {name: loop(folder, name, shape) for name in LOOPS}
    servers["polyport"] = polyport(folder, shape, options)
    if shape == "many":
        # The question is what the other ports cost, so polyport with one port is the measure.
        servers = {"one port": polyport(folder, "window", options), "polyport": servers["polyport"]}
    costs = {name: [] for name in servers}
    lost = {name: 0 for name in servers}
    rates = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, command in servers.items():
            cost, rate, missing = once(folder, command, load, options.seconds)
            costs[name].append(cost)
            rates[name].append(rate)
            lost[name] += missing
    others = [name for name in servers if name != "polyport"]
    if shape == "spin":
        # A spinning loop buys rate with CPU time, so here the rates are compared.
        ratios = [rates["polyport"][i] / max(rates[o][i] for o in others) for i in range(options.rounds)]
    else:
        ratios = [min(costs[o][i] for o in others) / costs["polyport"][i] for i in range(options.rounds)]
    return shape, costs, rates, lost, statistics.median(ratios)


def loop(folder, name, shape):
    return [str(folder / "echo_loops"), name, "127.0.0.1", str(PORT), str(SHAPES[shape][1])]


def polyport(folder, shape, options):
    ports = SHAPES[shape][1]
    last = f"-{PORT + ports - 1}" if ports > 1 else ""
    text = '[limits]\nspin = "50us"\n' if shape == "spin" else ""
    text += f'[[listen]]\nbind = "127.0.0.1:{PORT}{last}"\nplugin = "echo"\n'
    text += 'recv_buffer = "4MiB"\nsend_buffer = "4MiB"\n'
    if shape == "many":
        text += '[[listen]]\nname = "idle"\nbind = "127.0.0.1:30000-48999"\nplugin = "echo"\n'
    path = folder / f"{shape}.toml"
    path.write_text(text)
    return [options.polyport, "run", "-q", "-c", str(path)]


def once(folder, command, load, seconds):
    server = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout:
            if "ready" in line or "serving" in line:
                break
        before = cpu_ns(server.pid)
        run = ["taskset", "-c", "1", str(folder / "generate"), load, "127.0.0.1", str(PORT), str(seconds)]
        result = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
        spent = cpu_ns(server.pid) - before
    finally:
        server.kill()
        server.wait()
    assert result["sent"] == result["replies"] + result["lost"] + result["in_flight"], result
    return spent / max(1, result["replies"]), result["replies"] / result["seconds"], result["lost"]


def cpu_ns(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def markdown(rows, options):
    lines = [
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, {options.rounds} rounds of {options.seconds} s, server CPU "
        "nanoseconds a datagram (median).",
        "",
        "| shape | recvfrom/sendto | mmsg | GRO+GSO | coalesced | polyport | ratio | target | lost |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for shape, costs, _, lost, ratio in rows:
        title, _, target = SHAPES[shape]
        cells = [cost(costs.get(name)) for name in LOOPS]
        if "one port" in costs:
            cells = ["", "", "", f"one port: {cost(costs['one port'])}"]
        cells.append(cost(costs["polyport"]))
        lines.append(
            f"| {title} | {' | '.join(cells)} | {ratio:.2f} | {target:.2f} | {lost['polyport']} |"
        )
    rate = [
        f"{SHAPES[shape][0].split(':')[0]} {statistics.median(rates['polyport']) / 1e6:.2f}" for shape, _, rates, _, _ in rows
    ]
    lines += ["", f"Replies of polyport, million a second: {', '.join(rate)}.", ""]
    return "\n".join(lines)


def cost(values):
    return "" if not values else f"{statistics.median(values):,.0f}"


if __name__ == "__main__":
    main()
