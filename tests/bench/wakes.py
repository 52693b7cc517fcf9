#!/usr/bin/env python3
"""How long after a thread of a plugin has woken its handler the call comes, beside a C loop that waits for an eventfd.

    cargo build --release
    python3 tests/bench/wakes.py [--program target/release/polyport] [--rounds 5]

Builds both from wakes.c, lets them take turns, and prints for each percentile the median over the rounds and the extremes.
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIGURES = ("p50", "p90", "p99", "p99.9")
PATIENCE = 120


def build(folder):
    loop, plugin = folder / "wakes", folder / "libwakes.so"
    source = HERE / "wakes.c"
    subprocess.run(["cc", "-O2", "-pthread", source, "-o", loop], check=True)
    shared = ["-shared", "-fPIC", "-DPLUGIN", "-I", ROOT / "plugins/abi/include"]
    subprocess.run(["cc", "-O2", "-pthread", *shared, source, "-o", plugin], check=True)
    plugin.chmod(0o755)
    return loop, plugin


def figures(line):
    found = {name: int(ns) for name, ns in re.findall(r"(p[0-9.]+) (\d+) ns", line)}
    return {name: found[name] for name in FIGURES}


def of_loop(loop):
    return figures(subprocess.run([loop], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout)


def of_daemon(program, plugin):
    config = plugin.with_name("polyport.toml")
    config.write_text(f'[[listen]]\nbind = "127.0.0.1:0"\nplugin = "{plugin}"\n')
    daemon = subprocess.Popen([program, "--config", config], stdout=subprocess.PIPE, text=True)
    try:
        for line in daemon.stdout:
            if line.startswith("polyport: p50"):
                return figures(line)
        raise SystemExit("the daemon ended and said nothing")
    finally:
        daemon.kill()
        daemon.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "target/release/polyport")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loop, plugin = build(pathlib.Path(folder))
        sides = {"eventfd loop in C": lambda: of_loop(loop), "polyport": lambda: of_daemon(args.program, plugin)}
        runs = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, run in sides.items():
                runs[name].append(run())
    print("| us |", " | ".join(FIGURES), "|")
    print("| --- |", " | ".join("--:" for _ in FIGURES), "|")
    for name, all_of in runs.items():
        cells = []
        for figure in FIGURES:
            us = sorted(run[figure] / 1000 for run in all_of)
            cells.append(f"{statistics.median(us):.1f} ({us[0]:.1f} to {us[-1]:.1f})")
        print(f"| {name} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
