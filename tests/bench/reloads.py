"""Reloads a serving daemon again and again under load, and says what that costs.

    reloads.py [--reloads 1000] [--kind options|library] [--daemon target/release/polyport]

Two clients ask without a pause, one datagram under way each, and count every answer that does not come. `options` changes an option of
two listeners at each reload; `library` puts a build of `echo` at its path that was never there (bytes behind its end), so that each
reload loads one more generation. Printed: datagrams and those lost, the longest wait for an answer, descriptors and resident memory
before and after, and memory a reload. The exit code is 1 if anything was lost or descriptors have become more.
"""

import argparse
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client(threading.Thread):
    """Asks one port until it is told to stop."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stop = port, False
        self.asked, self.lost, self.longest = 0, 0, 0.0

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.connect(("127.0.0.1", self.port))
            own.settimeout(5)
            while not self.stop:
                self.asked += 1
                question = self.asked.to_bytes(8, "big")
                began = time.monotonic()
                own.send(question)
                try:
                    while own.recv(64) != question:
                        pass
                except TimeoutError:
                    self.lost += 1
                self.longest = max(self.longest, time.monotonic() - began)


def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit("no VmRSS")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--reloads", type=int, default=1000)
    args.add_argument("--kind", choices=["options", "library"], default="options")
    args.add_argument("--daemon", default=root / "target/release/polyport", type=pathlib.Path)
    args = args.parse_args()
    library = args.daemon.parent / "libpolyport_echo.so"
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        config, own, log = place / "polyport.toml", place / "libmine.so", place / "log"
        ports = [free_port(), free_port()]
        original = library.read_bytes()

        def build(number):
            own.write_bytes(original + (number.to_bytes(8, "big") if args.kind == "library" else b""))
            own.chmod(0o755)

        def configure(number):
            seed = number if args.kind == "options" else 0
            config.write_text(
                f'[[listen]]\nbind = "127.0.0.1:{ports[0]}"\nplugin = "./libmine.so"\n'
                f'options = {{ reply = "same" }}\n'
                f'[[listen]]\nbind = "127.0.0.1:{ports[1]}"\nplugin = "lossy"\noptions = {{ seed = {seed} }}\n'
            )

        build(0)
        configure(0)
        with open(log, "w") as written:
            daemon = subprocess.Popen([args.daemon, "run", "-c", config], stdout=written, stderr=written)

        def wait_for(words, times=1):
            end = time.monotonic() + 60
            while log.read_text().count(words) < times:
                if daemon.poll() is not None or time.monotonic() > end:
                    sys.exit(f"no {words!r}:\n{log.read_text()[-3000:]}")
                time.sleep(0.002)

        try:
            wait_for("serving; Ctrl-C stops")
            clients = [Client(port) for port in ports]
            for client in clients:
                client.start()
            began, before = time.monotonic(), None
            for number in range(1, args.reloads + 1):
                build(number)
                configure(number)
                daemon.send_signal(signal.SIGHUP)
                wait_for("info: reloaded: ", number)
                if number == min(10, args.reloads):
                    before = (len(os.listdir(f"/proc/{daemon.pid}/fd")), resident(daemon.pid), number)
            after = (len(os.listdir(f"/proc/{daemon.pid}/fd")), resident(daemon.pid), args.reloads)
            took = time.monotonic() - began
            for client in clients:
                client.stop = True
            for client in clients:
                client.join()
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        lost = sum(client.lost for client in clients)
        asked = sum(client.asked for client in clients)
        reloads = max(after[2] - before[2], 1)
        text = log.read_text()
        print(f"{args.reloads} reloads ({args.kind}) in {took:.1f} s, {text.count('nothing has changed')} without a change")
        print(f"asked {asked}, lost {lost}, longest wait {max(c.longest for c in clients) * 1000:.1f} ms")
        print(f"descriptors {before[0]} after {before[2]}, {after[0]} after {after[2]}")
        print(f"resident {before[1]} KiB after {before[2]}, {after[1]} KiB after {after[2]}: "
              f"{(after[1] - before[1]) / reloads:.1f} KiB a reload (library: {len(original) // 1024} KiB)")
        print(text[text.find("served:"):])
        return 1 if lost or after[0] > before[0] else 0


if __name__ == "__main__":
    sys.exit(main())
