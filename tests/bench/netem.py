#!/usr/bin/env python3
"""The kernel's netem beside the model of polyport-impair: the same settings, a million datagrams each.

    apt-get install qemu-system-x86 busybox-static cpio iproute2
    apt-get download linux-image-6.1.0-53-amd64 && dpkg -x linux-image-*.deb kernel    # any with sch_netem
    cargo build --release -p polyport-impair --example against_netem
    python3 tests/bench/netem.py --kernel kernel [--only 'loss'] [--keep folder] [--jobs 2]

Boots that kernel in an emulated machine, hangs netem on its loopback interface, and sends numbered datagrams through
it (numbered.c). Then polyport's model decides about as many datagrams that come at the same times, and both are
compared by shares, by the lengths of runs, and by the times they took (figures.py). Prints a table in Markdown, and
fails if a figure is outside its bound. With `--keep`, what the kernel did is kept and not done again.

The machine's clock counts instructions, one a nanosecond, and stands still while others use the processor. So a busy
host makes the run longer and its figures no worse; what the machine itself takes, from the send to netem and from
there to the receiver, is measured with a constant delay, and is the noise that the bounds of times allow for.
"""
import argparse
import concurrent.futures
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import figures
import machine
from figures import Sample

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "target/release/examples/against_netem"
COUNT = 1_000_000
# Bytes of a frame of `numbered`, and of those that polyport would see: without the header of the link.
FRAME, PAYLOAD = 106, 92
# Of the settings with jitter, ns.
DELAY, JITTER = 400_000_000, 100_000_000
# More than can be under way.
QUEUE = "limit 2000000"
# What is asked of tc, and how far apart datagrams are sent, in ns. Names are those of plugins/impair/examples/against_netem.rs.
SETTINGS = {
    "noise": (f"delay 400ms {QUEUE}", 0),
    "loss": (f"loss 5% {QUEUE}", 0),
    "loss, correlation": (f"loss 20% 50% {QUEUE}", 0),
    "loss state": (f"loss state 2% 20% 10% 40% 0.5% {QUEUE}", 0),
    "loss gemodel, 2": (f"loss gemodel 1% 25% {QUEUE}", 0),
    "loss gemodel, 4": (f"loss gemodel 2% 30% 70% 0.1% {QUEUE}", 0),
    "duplicate": (f"duplicate 3% {QUEUE}", 0),
    "corrupt": (f"corrupt 2% {QUEUE}", 0),
    "delay, uniform": (f"delay 400ms 100ms {QUEUE}", 0),
    "delay, normal": (f"delay 400ms 100ms distribution normal {QUEUE}", 0),
    "delay, pareto": (f"delay 400ms 100ms distribution pareto {QUEUE}", 0),
    "delay, paretonormal": (f"delay 400ms 100ms distribution paretonormal {QUEUE}", 0),
    "reorder, gap": (f"delay 10ms reorder 25% gap 5 {QUEUE}", 0),
    "rate, limit": ("rate 8mbit limit 1000", 100_000),
}
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
for module in {modules}; do insmod $module; done
echo 100000 > /proc/sys/net/core/netdev_max_backlog
ip link set lo up
try() {{
    device=$1; shift; gap=$1; shift
    /bin/tc qdisc add dev lo root netem "$@" || poweroff -f
    numbered {count} $gap /dev/$device || poweroff -f
    /bin/tc -s qdisc show dev lo
    /bin/tc qdisc del dev lo root
    echo "written: $device"
}}
{tries}
poweroff -f
"""


def of_the_kernel(names, options):
    """Lets the kernel's netem do these settings one after the other, and keeps what `numbered` wrote of each."""
    names = [name for name in names if not kept(name, options).exists()]
    if not names:
        return
    with tempfile.TemporaryDirectory(dir=options.keep) as folder:
        made = machine.Machine(folder)
        made.program(shutil.which("tc", path="/usr/sbin:/sbin:/usr/bin:/bin"))
        tables = next(pathlib.Path("/usr/lib").rglob("paretonormal.dist"), None)
        if tables is None:
            raise SystemExit("the tables of tc are missing: apt-get install iproute2")
        shutil.copytree(tables.parent, made.root / tables.parent.relative_to("/"), dirs_exist_ok=True)
        made.compiled(HERE / "numbered.c")
        modules = made.modules(options.kernel, ["virtio_pci", "virtio_blk", "sch_netem"])
        disks, tries, drives = {}, [], []
        for letter, name in zip("abcdefghijklmnopqrstuvwxyz", names):
            netem, gap = SETTINGS[name]
            disk = disks[f"vd{letter}"] = pathlib.Path(folder) / f"vd{letter}", kept(name, options)
            tries.append(f"try vd{letter} {gap} {netem}")
            with disk[0].open("wb") as file:
                file.truncate((options.count * 32 // (1 << 20) + 1) << 20)
            drives += ["-drive", f"file={disk[0]},format=raw,if=virtio,cache=unsafe"]
        init = INIT.format(modules=" ".join(modules), count=options.count, tries="\n".join(tries))

        def heard(line):
            print(line, file=sys.stderr, flush=True)
            if line.startswith("written: "):
                disk, place = disks[line.split()[1]]
                shutil.copy(disk, disk.with_suffix(".whole"))
                disk.with_suffix(".whole").rename(place)

        (kernel,) = pathlib.Path(options.kernel).glob("boot/vmlinuz*")
        cpu = ["-smp", "1", "-accel", "tcg", "-cpu", "qemu64", "-icount", "shift=0,sleep=off"]
        machine.boot(kernel, made.archive(init), "mitigations=off", ["-m", "1G", *cpu, *drives], options.timeout, heard)
    missing = [name for name in names if not kept(name, options).exists()]
    if missing:
        raise SystemExit(f"the machine has not done {', '.join(missing)}")


def kept(name, options):
    return pathlib.Path(options.keep) / f"{name.replace(', ', '-').replace(' ', '-')}-{options.count}"


def of_polyport(name, options):
    """What the model did with datagrams that come when those of the kernel came."""
    made = pathlib.Path(options.keep) / f"{kept(name, options).name}-polyport"
    subprocess.run([options.model, name, kept(name, options), made, str(options.seed)], check=True)
    return made


def rows(name, noise, options):
    """What is compared of a setting: name, the kernel's, polyport's, what may differ, and whether it holds."""
    one, two = Sample(kept(name, options)), Sample(of_polyport(name, options))
    middle, spread = noise
    if name.startswith("loss"):
        lost = one.lost(), two.lost()
        yield figures.share("lost", *lost)
        yield figures.mean_run("lost in a row, mean", *lost)
        yield figures.same_lengths("lost in a row", *lost, 1)
        yield figures.same_lengths("arrived in a row", *lost, 0)
    elif name == "duplicate":
        twice = one.twice(), two.twice()
        yield figures.share("arrived twice", *twice)
        yield figures.same_lengths("arrived once in a row", *twice, 0)
        yield figures.share("lost", one.lost(), two.lost())
    elif name == "corrupt":
        wrong = one.corrupted(), two.corrupted()
        yield figures.share("one bit wrong", *wrong)
        yield figures.same_lengths("right in a row", *wrong, 0)
        places = [bit * 32 // (8 * FRAME) for bit in one.wrong if bit != figures.WHOLE]
        own = [bit * 32 // (8 * PAYLOAD) for bit in two.wrong if bit != figures.WHOLE]
        yield figures.same_counts("where: of the frame, of the payload", places, own, "bits")
    elif name.startswith("delay"):
        waits = one.waits(middle), two.waits()
        allowed = 0
        if name == "delay, uniform":
            # Linux takes the remainder of 32 random bits, and small ones come more often. This much, and nothing else.
            allowed = too_often(2 * JITTER)
            drawn = random.Random(options.seed)
            rule = [drawn.getrandbits(32) % (2 * JITTER) + DELAY - JITTER for _ in range(options.count)]
            yield figures.same_distribution("time, against 2^32 mod 2 jitter", waits[0], rule, spread)
        yield figures.same_distribution("time", *waits, spread, allowed)
        yield from figures.quantiles("time", *waits, (0.01, 0.5, 0.99), spread + allowed * 2 * JITTER)
        yield figures.share("before the one before it", one.before_the_one_before(), two.before_the_one_before())
    elif name == "reorder, gap":
        at_once = [bytes(wait < 5_000_000 for wait in sample.waits()) for sample in (one, two)]
        yield figures.share("at once", *at_once)
        yield figures.same_lengths("delayed in a row", *at_once, 0)
        yield figures.share("before the one before it", one.before_the_one_before(), two.before_the_one_before())
    elif name == "rate, limit":
        lost = one.lost(), two.lost()
        yield figures.share("lost, the queue is full", *lost)
        yield from figures.quantiles("from one to the next", one.spacings(), two.spacings(), (0.01, 0.5, 0.99), spread)
        yield from figures.quantiles("time", one.waits(middle), two.waits(), (0.01, 0.5, 0.99), spread)


def too_often(range):
    """How far the remainders of 2^32 numbers are from equally many each, as a distance of cumulative distributions."""
    rounds, rest = divmod(2**32, range)
    return rest / range * ((rounds + 1) * range / 2**32 - 1)


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        options.keep = options.keep or folder
        pathlib.Path(options.keep).mkdir(parents=True, exist_ok=True)
        chosen = ["noise"] + [name for name in SETTINGS if options.only in name and name != "noise"]
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            shares = [chosen[first :: options.jobs] for first in range(options.jobs)]
            list(pool.map(lambda names: of_the_kernel(names, options), shares))
        sys.exit(report(chosen[1:], options))


def report(chosen, options):
    waits = sorted(wait - DELAY for wait in Sample(kept("noise", options)).waits())
    low, middle, high = (figures.quantile(waits, share) for share in (0.001, 0.5, 0.999))
    release = next(pathlib.Path(options.kernel).glob("boot/vmlinuz*")).name.removeprefix("vmlinuz-")
    print(f"Linux {release}, {options.count:,} datagrams a setting. Of the machine itself: {middle / 1000:.1f} us, taken off;")
    print(f"from {low / 1000:.1f} to {high / 1000:.1f} us but for 2 in 1000, allowed for.\n")
    print("| setting of tc-netem(8) | figure | netem | polyport | bound | |\n|---|---|---|---|---|---|")
    failed = 0
    for name in chosen:
        words = SETTINGS[name][0].removesuffix(QUEUE).strip()
        for figure, kernel, own, bound, holds in rows(name, (middle, high - low), options):
            print(f"| `{words}` | {figure} | {kernel} | {own} | {bound} | {'holds' if holds else '**DIFFERS**'} |", flush=True)
            failed += not holds
    return 1 if failed else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", required=True, help="a kernel package, unpacked: boot/vmlinuz* and its modules")
    parser.add_argument("--only", default="", help="settings whose names hold this text")
    parser.add_argument("--model", default=str(MODEL), help="cargo build --release -p polyport-impair --example against_netem")
    parser.add_argument("--seed", type=int, default=1, help="of polyport's model; the kernel's has none")
    parser.add_argument("--keep", help="a folder for what the kernel did; default: a temporary one")
    parser.add_argument("--count", type=int, default=COUNT, help="datagrams a setting")
    parser.add_argument("--jobs", type=int, default=1, help="machines at a time")
    parser.add_argument("--timeout", type=int, default=7200, help="seconds that one machine may take")
    return parser.parse_args()


if __name__ == "__main__":
    main()
