#!/usr/bin/env python3
"""How many datagrams a second the load tester sends and accounts for, beside sockperf and iperf3, and how late it is.

    apt-get install sockperf iperf3
    cargo build --release
    python3 tests/bench/load.py [--rounds 9] [--seconds 1] [--markdown FILE] [--polyport FILE] [--load FILE]

All servers run at once, pinned to CPU 0, and those that are not asked sleep; the generators have their turns on CPU 1, in
every round in an order drawn anew, each for a moment. So a change of the machine meets all of them. Shown are medians over
the rounds with their quartiles, and ratios within a round. Takes three minutes and a half. Only the standard library.

sockperf and iperf3 count what they send, and nothing comes back. The load tester is measured the same way, against the
handler `discard`, where every datagram is entered into the books and is lost in the end; and against `echo`, where each is
answered and the answer is decoded, checked and entered as well. What does not come back is in the table.
"""
import argparse
import json
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ECHO, DISCARD, SOCKPERF, IPERF = 19101, 19102, 19103, 19104
# Octets of a datagram: a frame with 32 octets of payload.
SIZE = 76
# More than anybody reaches: the tester sends what it can, and gives up the rest.
BEYOND = "20M/s"
FAST = f"--rate {BEYOND} --timeout 500ms --pacing busy --warmup 200ms --raw-echo"
SLOW = "--rate 10000/s --warmup 200ms --raw-echo"
# name: what it is, and how the load tester is called for it
LOADS = {
    "discard": ("polyport-load, no trains, one way", DISCARD, f"{FAST} --gso off --no-handshake --drain 50ms"),
    "echo": ("polyport-load, no trains, answered", ECHO, f"{FAST} --gso off"),
    "trains": ("polyport-load, trains, answered", ECHO, f"{FAST} --gso on"),
}
OTHERS = {"sockperf": "sockperf throughput, one way", "iperf3": "iperf3 -u, one way"}
PACES = {"sleep": "", "hybrid": "", "busy": "", "hybrid, kernel stamps": "--rx-time kernel"}
TRAINS_TARGET, RATIO_TARGET, LAG_TARGET_US = 3_000_000, 1.00, 50


def main():
    options = arguments()
    order = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        servers = start(pathlib.Path(folder), options)
        try:
            jobs = [*LOADS, *OTHERS, *[f"pace {pace}" for pace in PACES]]
            results = {job: [] for job in jobs}
            for _ in range(options.rounds):
                for job in order.sample(jobs, len(jobs)):
                    results[job].append(once(job, options))
        finally:
            for server in servers:
                server.kill()
                server.wait()
    text = markdown(results, options)
    print(text)
    if options.markdown:
        pathlib.Path(options.markdown).write_text(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=1, help="of each run: whole ones, since sockperf takes no others")
    parser.add_argument("--polyport", default=str(ROOT / "target/release/polyport"))
    parser.add_argument("--load", default=str(ROOT / "target/release/polyport-load"))
    parser.add_argument("--seed", type=int, default=1, help="of the order within a round")
    parser.add_argument("--markdown")
    return parser.parse_args()


def start(folder, options):
    """The servers, on CPU 0, once all of them are ready."""
    path = folder / "load.toml"
    path.write_text("".join(
        f'[[listen]]\nbind = "127.0.0.1:{port}"\nplugin = "{plugin}"\nrecv_buffer = "4MiB"\nsend_buffer = "4MiB"\n'
        for port, plugin in [(ECHO, "echo"), (DISCARD, "discard")]
    ))
    env = {**os.environ, "POLYPORT_LOG": "polyport=error"}
    pinned = ["taskset", "-c", "0"]
    polyport = subprocess.Popen([*pinned, options.polyport, "run", "-c", str(path)], stdout=subprocess.PIPE, text=True, env=env)
    ready = any("serving" in line for line in polyport.stdout)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    sockperf = subprocess.Popen([*pinned, "sockperf", "server", "-i", "127.0.0.1", "-p", str(SOCKPERF)], **quiet)
    iperf3 = subprocess.Popen([*pinned, "iperf3", "-s", "-B", "127.0.0.1", "-p", str(IPERF)], **quiet)
    servers = [polyport, sockperf, iperf3]
    time.sleep(1)
    if not ready or any(server.poll() is not None for server in servers):
        raise SystemExit("a server did not start: " + str([server.args for server in servers if server.poll() is not None]))
    return servers


def once(job, options):
    if job == "sockperf":
        said = run(["sockperf", "throughput", "-i", "127.0.0.1", "-p", SOCKPERF, "-m", SIZE, "-t", options.seconds])
        return {"rate": float(re.search(r"Message Rate is (\d+)", said).group(1))}
    if job == "iperf3":
        said = json.loads(run(["iperf3", "-u", "-c", "127.0.0.1", "-p", IPERF, "-b", 0, "-l", SIZE, "-t", options.seconds, "-J"]))
        sent = said["end"]["streams"][0]["udp"]
        return {"rate": sum(part["sum"]["packets"] for part in said["intervals"]) / sent["seconds"]}
    if job in LOADS:
        _, port, arguments = LOADS[job]
    else:
        pace = job.removeprefix("pace ")
        port, arguments = ECHO, f"{SLOW} --pacing {pace.split(',')[0]} {PACES[pace]}"
    command = [options.load, f"127.0.0.1:{port}", "-d", f"{options.seconds}s", "--json", "-q", *arguments.split()]
    said = json.loads(run(command, allowed={0, 69} if job == "discard" else {0}))
    counts, classes = said["counts"], said["classes"]
    assert counts["planned"] == counts["sent"] + counts["not_sent"], counts
    assert counts["sent"] == counts["ok"] + counts["late"] + counts["error"] + counts["lost"], counts
    assert counts["received"] == sum(classes.values()), classes
    latency = said["latency"]
    return {
        "rate": said["achieved_per_second"],
        "sent": counts["sent"],
        "ok": counts["ok"],
        "lost": counts["lost"],
        "lag": latency["lag"],
        "rtt": latency["rtt_from_send"],
        "train": said["local"]["in_trains"] / max(1, said["local"]["trains"]),
    }


def run(command, allowed=(0,)):
    command = ["taskset", "-c", "1", *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def markdown(results, options):
    rates = {job: [result["rate"] for result in rounds] for job, rounds in results.items()}
    model = next((line.split(": ")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "?")
    load = os.getloadavg()[0]
    lines = [
        f"Linux {platform.release().split('-')[0]}, {os.cpu_count()} CPUs ({model}), load {load:.1f} at the end, {options.rounds} rounds of "
        f"{options.seconds} s, datagrams of {SIZE} octets over loopback, generator on one CPU (medians).",
        "",
        "| generator | datagrams/s | quartiles | of sockperf | of iperf3 | target | answered | datagrams a train |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for job, name in [*OTHERS.items(), *[(job, name) for job, (name, _, _) in LOADS.items()]]:
        low, middle, high = statistics.quantiles(rates[job], n=4)
        cells = [f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"]
        cells += [f"{statistics.median(a / b for a, b in zip(rates[job], rates[other])):.2f}" for other in OTHERS]
        cells.append({"discard": f"{RATIO_TARGET:.2f} of both", "trains": f"{TRAINS_TARGET:,}"}.get(job, ""))
        rounds = results[job]
        answered = job in LOADS and sum(result["sent"] for result in rounds)
        cells.append(f"{sum(result['ok'] for result in rounds) / answered:.2%}" if answered and job != "discard" else "")
        cells.append(f"{statistics.median(result['train'] for result in rounds):.0f}" if job == "trains" else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| 10,000 a second, answered | lag p50 | lag p99 | lag max | target p99 | rtt from send p50 | p99 |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for pace in PACES:
        rounds = results[f"pace {pace}"]
        middle = lambda of, at: f"{statistics.median(result[of][at] for result in rounds) / 1000:,.1f} us"
        target = f"{LAG_TARGET_US} us" if pace == "hybrid" else ""
        cells = [middle("lag", "p50"), middle("lag", "p99"), middle("lag", "max"), target, middle("rtt", "p50"), middle("rtt", "p99")]
        lines.append(f"| {pace} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
