"""The relays that relay.py compares: how each is configured and started, in a network namespace of its own.

A namespace has its own ports, so that ten relays with 10,000 sessions each fit beside each other, and nobody else's
traffic in it. What is started here ends with the script, also if that is killed. Only the standard library; needs
unshare, nsenter, setpriv and taskset of util-linux, ip, and root.
"""
import atexit
import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ADDRESS = "127.0.0.1"
# Quilkin refuses loopback sources. Its namespace has this network on the same interface.
OTHER_ADDRESS, OTHER_NETWORK = "10.0.0.1", "10.0.0.0/8"
PORT, UPSTREAM, NEIGHBOUR = 8000, 9000, 8001
LOOPS = ["plain", "mmsg", "gro", "single"]
BUFFER = 4 << 20
SERVER_CPU, LOAD_CPU = "0", "1"
DEADLINE = 30


class Relay:
    """One relay with its upstream and its load, each a process in the namespace.

    `wanted` may have: replies (a session ends after so many answers), sessions (most at a time), handler (more options
    of polyport's handler), ports (first and last of the range in the namespace), group (a memory control group).
    """

    def __init__(self, name, folder, options, load, upstream="mmsg", **wanted):
        self.name, self.folder, self.processes = name, folder, []
        self.anchor = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if self.anchor.stdout.readline() != "up\n":
                raise SystemExit("no network namespace can be made: this needs root")
            self.address = OTHER_ADDRESS if name == "Quilkin" else ADDRESS
            self.run(["ip", "route", "add", "local", OTHER_NETWORK, "dev", "lo"]).wait()
            if "ports" in wanted:
                self.run(["sysctl", "-qw", "net.ipv4.ip_local_port_range={} {}".format(*wanted["ports"])]).wait()
            self.upstream = self.run([folder / "echo_loops", upstream, self.address, str(UPSTREAM), "1"], LOAD_CPU)
            command = COMMANDS[name](folder, options, wanted)
            if "group" in wanted:
                command = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', wanted["group"], *command]
            self.server = self.run(command, SERVER_CPU)
            self.wait_for_an_answer()
            load = [self.address if word == ADDRESS else word for word in load or []]
            self.load = self.run([folder / load[0], *load[1:]], LOAD_CPU) if load else None
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            for pid in [*descendants(process.pid), process.pid]:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            process.wait()
        self.anchor.stdin.close()
        self.anchor.wait()

    def run(self, command, cpu=None):
        """Starts a command in the namespace."""
        pinned = ["taskset", "-c", cpu] if cpu else []
        command = ["nsenter", f"--net=/proc/{self.anchor.pid}/ns/net", "setpriv", "--pdeathsig", "KILL",
                   *pinned, *map(str, command)]
        errors = (self.folder / f"{self.name}.log").open("a")
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                                   env={**os.environ, "POLYPORT_LOG": "polyport=error"})
        self.processes.append(process)
        return process

    def wait_for_an_answer(self):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            ask = self.run([self.folder / "generate", "pingpong", self.address, str(PORT), "0.05"], LOAD_CPU)
            said = ask.communicate()[0]
            self.processes.remove(ask)
            if '"replies": ' in said and '"replies": 0' not in said:
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.05)
        log = (self.folder / f"{self.name}.log").read_text()[-2000:]
        raise SystemExit(f"{self.name} does not answer; it said:\n{log}")

    def cpu_ns(self):
        """Processor time of the relay so far, of all its processes and threads."""
        total = 0
        for pid in [self.server.pid, *descendants(self.server.pid)]:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except FileNotFoundError:
                    pass
        return total

    def user_bytes(self):
        """Memory of its own that the relay has touched."""
        total = 0
        for pid in [self.server.pid, *descendants(self.server.pid)]:
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1]) * 1024
        return total


def first_in_line():
    """Has everything of this session run before all else on the machine, where the scheduler groups processes by session."""
    group = pathlib.Path("/proc/self/autogroup")
    if group.exists():
        before = group.read_text().split()[-1]
        group.write_text("-20")
        atexit.register(group.write_text, before)


def descendants(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [one for child in map(int, children) for one in [child, *descendants(child)]]


def loop(kind):
    def command(folder, _options, wanted):
        return [folder / "relay_loops", kind, ADDRESS, PORT, UPSTREAM, *([wanted["replies"]] if "replies" in wanted else [])]

    return command


def polyport(folder, options, wanted):
    handler = {"to": f'"{ADDRESS}:{UPSTREAM}"'}
    sessions = wanted.get("sessions", 20000)
    if options.plugin == "relay":
        handler |= {"sessions": sessions, "opens": 0, "log": '"off"'}
        if "replies" in wanted:
            handler["replies"] = wanted["replies"]
    handler |= wanted.get("handler", {})
    text = (
        f'[limits]\nsessions = 20000\n[[listen]]\nbind = "{ADDRESS}:{PORT}"\nplugin = "{options.plugin}"\nsessions = {sessions}\n'
        f'recv_buffer = "{BUFFER}"\nsend_buffer = "{BUFFER}"\n'
        f'options = {{ {", ".join(f"{key} = {value}" for key, value in handler.items())} }}\n'
        f'[[listen]]\nbind = "{ADDRESS}:{NEIGHBOUR}"\nplugin = "echo"\n'
    )
    path = folder / f"polyport-{abs(hash(text))}.toml"
    path.write_text(text)
    return [options.polyport, "run", "-q", "-c", path]


def nginx(folder, _options, wanted):
    answers = f"proxy_responses {wanted['replies']};" if "replies" in wanted else ""
    path = folder / "nginx.conf"
    path.write_text(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
        f"daemon off; user root; pid {folder}/nginx.pid; error_log stderr crit;\n"
        "worker_processes 1; worker_rlimit_nofile 20000; events { worker_connections 60000; }\n"
        f"stream {{ server {{ listen {ADDRESS}:{PORT} udp reuseport rcvbuf={BUFFER} sndbuf={BUFFER};\n"
        f"proxy_pass {ADDRESS}:{UPSTREAM}; proxy_timeout 120s; {answers} }} }}\n"
    )
    return ["nginx", "-c", path]


def sozu(folder, options, wanted):
    place = folder / f"sozu-{time.monotonic_ns()}"
    place.mkdir()
    answers = wanted.get("replies", 0)
    (place / "config.toml").write_text(
        f'command_socket = "{place}/sock"\nsaved_state = "{place}/state"\nworker_count = 1\nworker_automatic_restart = false\n'
        'activate_listeners = true\nlog_level = "error"\nlog_target = "stdout"\nmax_connections = 9000\n'
        f'[[listeners]]\nprotocol = "udp"\naddress = "{ADDRESS}:{PORT}"\nfront_timeout = 120\nback_timeout = 120\n'
        'max_rx_datagram_size = 9000\nmax_flows = 13000\n'
        f'[clusters.bench]\nprotocol = "tcp"\nload_balancing = "ROUND_ROBIN"\nfrontends = [{{ address = "{ADDRESS}:{PORT}" }}]\n'
        f'backends = [{{ address = "{ADDRESS}:{UPSTREAM}" }}]\n'
        f'[clusters.bench.udp]\naffinity_key = "SOURCE_IP_PORT"\nresponses = {answers}\nrequests = 0\n'
    )
    return [options.sozu, "start", "-c", place / "config.toml"]


def quilkin(_folder, options, _wanted):
    return [options.quilkin, "--quiet", "--admin.enabled", "false", "--service.udp", "--service.udp.port", PORT,
            "--service.udp.workers", "1", "--provider.static.endpoints", f"{OTHER_ADDRESS}:{UPSTREAM}"]


COMMANDS = {**{kind: loop(kind) for kind in LOOPS}, "polyport": polyport, "nginx": nginx, "Sozu": sozu, "Quilkin": quilkin}
