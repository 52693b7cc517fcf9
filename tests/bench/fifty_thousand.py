#!/usr/bin/env python3
"""50,000 bound ports, where the machine's limit of open files does not allow so many: in a virtual machine.

    apt-get install qemu-system-x86 busybox-static cpio
    cargo build --release
    python3 tests/bench/fifty_thousand.py --kernel vmlinuz [--kvm] [--rounds 5] [--seconds 0.5]

Boots the given Linux kernel on two virtual CPUs with nothing but busybox, polyport and the load in its memory, and
measures there: how long the start takes, the memory of the process, the CPU time of five idle seconds, and what a
datagram costs with one port and with 50,000, in alternation. An emulated CPU is many times slower than a real one,
so its times are upper bounds; the memory and the ratio are what they are. Only the standard library; the file
system of the machine is an archive made here, and the machine is gone when it is done.
"""
import argparse
import pathlib
import statistics
import tempfile

import machine

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PORTS = 50_000
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
ip link set lo up
echo 4194304 > /proc/sys/net/core/rmem_max; echo 4194304 > /proc/sys/net/core/wmem_max
echo 60000 65535 > /proc/sys/net/ipv4/ip_local_port_range
now() {{ cut -d' ' -f1 /proc/uptime; }}
spent() {{ cut -d' ' -f1 /proc/$P/schedstat; }}
begin() {{
    > /tmp/out; before=$(now)
    taskset 1 /bin/polyport run -c /$1.toml > /tmp/out 2>&1 & P=$!
    until grep -q serving /tmp/out; do kill -0 $P || {{ cat /tmp/out; poweroff -f; }}; usleep 2000; done
    echo "start $1 $before $(now)"
    echo "memory $1 $(grep RssAnon /proc/$P/status | tr -dc 0-9)"
}}
end() {{ kill -INT $P; wait $P; }}
begin one; end
begin many; before=$(spent); sleep 5; echo "idle many $before $(spent)"; end
for round in $(seq {rounds}); do for setup in one many; do
    begin $setup
    for again in 1 2 3; do
        before=$(spent)
        load=$(taskset 2 /bin/generate window 127.0.0.1 10000 {seconds})
        echo "cost $setup $before $(spent) $load"
    done
    end
done; done
poweroff -f
"""


def main():
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        configurations = {
            f"{name}.toml": f'[[listen]]\nbind = "127.0.0.1:10000-{last}"\nplugin = "echo"\n'
            'recv_buffer = "4MiB"\nsend_buffer = "4MiB"\n'
            for name, last in [("one", 10_000), ("many", 10_000 + PORTS - 1)]
        }
        init = INIT.format(rounds=options.rounds, seconds=options.seconds)
        archive = pack(folder, options, ["generate"], {**configurations, "init": init})
        lines = boot(archive, options).splitlines()
    facts = [line.split(maxsplit=4) for line in lines if line.split(" ")[0] in ("start", "memory", "idle", "cost")]
    if not facts:
        raise SystemExit("the machine said:\n" + "\n".join(lines[-40:]))
    report(facts)


def arguments(description):
    """What every script takes that boots this machine."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--kernel", required=True, help="a Linux kernel image: vmlinuz of any distribution")
    parser.add_argument("--kvm", action="store_true", help="run on the CPU itself; else it is emulated, many times slower")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--release", default=str(ROOT / "target/release"), help="where polyport was built")
    return parser


def pack(folder, options, programs, files):
    """The machine's file system: polyport, the C programs of those names beside this file, and files with their text, of
    which `init` is run."""
    made = machine.Machine(folder)
    (made.root / "plugins").mkdir()
    for program in programs:
        made.compiled(HERE / f"{program}.c")
    made.program(pathlib.Path(options.release) / "polyport")
    init = files.pop("init")
    for name, text in files.items():
        (made.root / name).write_text(text)
    return made.archive(init)


def boot(archive, options):
    """What the machine has said when it is gone."""
    # An emulated timer may be too late for the kernel, where others want the machine as well: it is not to be tried.
    # As many hash chains as a machine with 24 GiB makes; the kernel would make fewer for this one's memory.
    cpu = ["-enable-kvm", "-cpu", "host"] if options.kvm else ["-accel", "tcg,thread=multi", "-cpu", "max"]
    return machine.boot(options.kernel, archive, "no_timer_check uhash_entries=16384", ["-m", "4G", "-smp", "2", *cpu], timeout=1800)


def report(facts):
    def of(kind, setup):
        return [fact[2:] for fact in facts if fact[:2] == [kind, setup]]

    starts = [float(after) - float(before) for before, after in of("start", "many")]
    memory = {setup: min(int(kib) for (kib,) in of("memory", setup)) * 1024 for setup in ("one", "many")}
    ((before, after),) = of("idle", "many")
    each = (memory["many"] - memory["one"]) / (PORTS - 1)
    print(f"{PORTS:,} ports: start {statistics.median(starts):.2f} s (median of {len(starts)})")
    print(f"user-space memory {memory['many'] / 2**20:.1f} MiB, {each:.0f} bytes a port with its slot")
    print(f"idle for 5 s: {(int(after) - int(before)) / 1e6:.3f} ms of CPU time")
    costs = {setup: [cost(*fact) for fact in of("cost", setup)] for setup in ("one", "many")}
    for setup, values in costs.items():
        print(f"{setup}: {statistics.median(values):,.0f} ns a datagram (median of {len(values)})")
    ratio = statistics.median(one / many for one, many in zip(costs["one"], costs["many"]))
    print(f"ratio {ratio:.2f}")


def cost(before, after, load):
    replies = int(load.split('"replies": ')[1].split(",")[0])
    return (int(after) - int(before)) / max(1, replies)


if __name__ == "__main__":
    main()
