#!/usr/bin/env python3
"""100,000 sessions of `relay`, where the machine's limit of open files does not allow so many: in a virtual machine.

    apt-get install qemu-system-x86 busybox-static cpio
    cargo build --release
    python3 tests/bench/hundred_thousand_sessions.py --kernel vmlinuz [--kvm] [--rounds 3] [--seconds 0.5] [--sessions 100000]

The machine is that of fifty_thousand.py, with an echo as upstream. The relay has four source addresses, since one has no
more than some 28,000 ports. Measured is the memory of a session, of the program and of the kernel (what /proc/meminfo has
as Slab: nothing else runs there), and, in alternation, what a datagram of one client with one in flight costs beside no
other session and beside 100,000 idle ones, and what it costs when 64 of 64 and 64 of 100,000 clients are in flight. An
emulated CPU is many times slower than a real one, so its times are upper bounds; the memory and the ratios are what they
are. Only the standard library.
"""
import json
import pathlib
import statistics
import tempfile

from fifty_thousand import arguments, boot, pack

CONFIGURATION = """[limits]
sessions = 120000
[[listen]]
bind = "127.0.0.1:8000"
plugin = "relay"
sessions = 120000
recv_buffer = "4MiB"
send_buffer = "4MiB"
options = { to = "127.0.0.1:9000", sessions = 120000, opens = 0, idle = "1h", silence = "0s", log = "off", source = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"] }
"""
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
ip link set lo up
echo 4194304 > /proc/sys/net/core/rmem_max; echo 4194304 > /proc/sys/net/core/wmem_max
ulimit -n 200000
taskset 2 /bin/echo_loops mmsg 127.0.0.1 9000 1 > /dev/null &
spent() {{ cut -d' ' -f1 /proc/$P/schedstat; }}
begin() {{
    > /tmp/out
    taskset 1 /bin/polyport run -c /relay.toml > /tmp/out 2>&1 & P=$!
    until grep -q serving /tmp/out; do kill -0 $P || {{ cat /tmp/out; poweroff -f; }}; usleep 2000; done
}}
end() {{ kill -INT $P; wait $P; }}
memory() {{ echo "memory $1 $(grep RssAnon /proc/$P/status | tr -dc 0-9) $(grep Slab: /proc/meminfo | tr -dc 0-9) $(ls /proc/$P/fd | wc -l)"; }}
# A load that stays: crowd FILE_DESCRIPTOR NAME CLIENTS IN_FLIGHT
crowd() {{
    mkfifo /tmp/$2.in; > /tmp/$2.out
    taskset 2 /bin/crowd window 127.0.0.1 8000 $3 $4 < /tmp/$2.in > /tmp/$2.out &
    eval "exec $1> /tmp/$2.in"
}}
ask() {{
    lines=$(wc -l < /tmp/$2.out); before=$(spent)
    echo $3 >&$1
    while [ $(wc -l < /tmp/$2.out) = $lines ]; do usleep 2000; done
    echo "cost $4 $before $(spent) $(tail -n 1 /tmp/$2.out)"
}}
gone() {{ eval "exec $1>&-"; rm /tmp/$2.in; }}
for round in $(seq {rounds}); do
    begin
    crowd 3 one 1 1; crowd 4 few 64 64
    ask 3 one all first; ask 4 few all first
    memory few
    for again in 1 2 3; do ask 3 one {seconds} alone; ask 4 few {seconds} few; done
    crowd 5 many {sessions} 64
    ask 5 many all open
    memory many
    for again in 1 2 3; do ask 3 one {seconds} beside; ask 5 many {seconds} many; done
    gone 3 one; gone 4 few; gone 5 many
    end
done
poweroff -f
"""


def main():
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        init = INIT.format(rounds=options.rounds, seconds=options.seconds, sessions=options.sessions)
        files = {"relay.toml": CONFIGURATION, "init": init}
        archive = pack(pathlib.Path(folder), options, ["echo_loops", "crowd"], files)
        lines = boot(archive, options).splitlines()
    facts = [line.split(maxsplit=4) for line in lines if line.split(" ")[0] in ("memory", "cost")]
    if not facts:
        raise SystemExit("the machine said:\n" + "\n".join(lines[-40:]))
    report(facts, options.sessions)


def report(facts, sessions):
    def of(kind, setup):
        return [fact[2:] for fact in facts if fact[:2] == [kind, setup]]

    costs = {setup: [cost(*fact) for fact in of("cost", setup)] for setup in ("alone", "beside", "few", "many", "open")}
    memory = {setup: [[int(number) for number in fact] for fact in of("memory", setup)] for setup in ("few", "many")}
    opened = [many[2] - few[2] for few, many in zip(memory["few"], memory["many"])]
    user, kernel = (statistics.median(1024 * (many[i] - few[i]) / n for few, many, n in zip(memory["few"], memory["many"], opened))
                    for i in (0, 1))
    answered = min(json.loads(load)["replies"] for *_, load in of("cost", "open"))
    print(f"{min(opened):,} sessions were opened; {answered:,} of {sessions:,} clients had an answer to their first datagram in time")
    print(f"a session takes {user:,.0f} bytes of the program, {kernel:,.0f} of the kernel (median of {len(opened)})")
    titles = {"alone": "one client, no other session", "beside": f"one client beside {sessions:,} sessions",
              "few": "64 clients in turn", "many": f"{sessions:,} clients in turn, 64 in flight", "open": "its first datagram, which opens it"}
    for setup, values in costs.items():
        print(f"{titles[setup]}: {statistics.median(values):,.0f} ns a datagram (median of {len(values)})")
    for a, b in [("beside", "alone"), ("many", "few")]:
        print(f"{titles[a]} / {titles[b]}: {statistics.median(x / y for x, y in zip(costs[a], costs[b])):.2f}")


def cost(before, after, load):
    return (int(after) - int(before)) / max(1, 2 * json.loads(load)["replies"])


if __name__ == "__main__":
    main()
