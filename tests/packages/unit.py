"""Starts, reloads and stops a unit of systemd where systemd is not there: what the unit says of the command, the user, its
rights, its directories and its messages is done; what it says of namespaces and system calls is not.
"""

import configparser
import os
import shutil
import signal
import socket
import struct
import threading
import time

# How long anything may take, on a machine that does other things.
PATIENCE = 120


class Repeated(dict):
    """Keys of a unit may come more than once; the values are joined."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and isinstance(self.get(key), list):
            self[key].extend(value)
        else:
            super().__setitem__(key, value)


class Unit:
    """One service below `root`, the only one of its manager."""

    def __init__(self, root, name):
        self.root, self.name = root, name
        self.messages = []
        self.main = None
        self.ends = {}
        self.known = set()
        self.lock = threading.Condition()
        os.makedirs(f"{root}/run/systemd", exist_ok=True)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.manager.bind(f"{root}/run/systemd/notify")
        os.chmod(f"{root}/run/systemd/notify", 0o777)
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=self.reap, daemon=True).start()

    def read(self):
        text = configparser.RawConfigParser(strict=False, dict_type=Repeated, interpolation=None)
        text.optionxform = str
        text.read(f"{self.root}/usr/lib/systemd/system/{self.name}")
        return text["Service"]

    def listen(self):
        while True:
            data, beside, _, _ = self.manager.recvmsg(4096, socket.CMSG_SPACE(12))
            sender = struct.unpack("3i", beside[0][2])[0]
            lines = data.decode().split("\n")
            with self.lock:
                for line in filter(None, lines):
                    self.messages.append((sender, line))
                    if line.startswith("MAINPID="):
                        self.main = int(line.removeprefix("MAINPID="))
                        self.known.add(self.main)
                self.lock.notify_all()

    def reap(self):
        """What has lost its parent is this process's: it is a subreaper, as the manager is."""
        while True:
            with self.lock:
                for pid in list(self.known):
                    try:
                        ended, status = os.waitpid(pid, os.WNOHANG)
                    except ChildProcessError:
                        continue
                    if ended:
                        self.ends[pid] = os.waitstatus_to_exitcode(status)
                        self.known.discard(pid)
                        self.lock.notify_all()
            time.sleep(0.01)

    def wait(self, what, condition):
        with self.lock:
            if not self.lock.wait_for(condition, PATIENCE):
                raise AssertionError(f"{what} did not come within {PATIENCE} s: {self.messages[-10:]}")

    def spawn(self, command, more):
        """A process of the unit, with the rights and the environment that the unit says."""
        unit = self.read()
        user = unit["User"]
        ids = dict(line.split(":")[0::2] for line in map(str.rstrip, open(f"{self.root}/etc/passwd")))
        caps = [word.removeprefix("CAP_").lower() for word in unit["AmbientCapabilities"].split()]
        bounds = [word.removeprefix("CAP_").lower() for word in unit["CapabilityBoundingSet"].split()]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "USER": user,
            "LOGNAME": user,
            "NOTIFY_SOCKET": "/run/systemd/notify",
            "RUNTIME_DIRECTORY": f"/run/{unit['RuntimeDirectory']}",
            "STATE_DIRECTORY": f"/var/lib/{unit['StateDirectory']}",
            **more,
        }
        confined = ["setpriv", "--reuid", ids[user], "--regid", user, "--init-groups"]
        for flag, names in (("--inh-caps", caps), ("--ambient-caps", caps), ("--bounding-set", bounds)):
            confined += [flag, ",".join(["-all", *("+" + name for name in names)])]
        if unit["NoNewPrivileges"] == "yes":
            confined.append("--no-new-privs")
        pid = os.fork()
        if pid == 0:
            os.umask(int(unit["UMask"], 8))
            os.chroot(self.root)
            os.chdir("/")
            os.setsid()
            os.execvpe("setpriv", [*confined, *command.split()], environment)
        with self.lock:
            self.known.add(pid)
        return pid

    def directories(self):
        unit = self.read()
        lines = (line.split(":") for line in open(f"{self.root}/etc/passwd"))
        uid, gid = next((int(line[2]), int(line[3])) for line in lines if line[0] == unit["User"])
        for kind, below in (("Runtime", "run"), ("State", "var/lib")):
            path = f"{self.root}/{below}/{unit[kind + 'Directory']}"
            os.makedirs(path, exist_ok=True)
            os.chmod(path, int(unit[kind + "DirectoryMode"], 8))
            os.chown(path, uid, gid)

    def start(self):
        self.directories()
        unit = self.read()
        assert unit["Type"] == "notify" and unit["NotifyAccess"] == "all", "what is played here is this"
        usec = str(int(unit["WatchdogSec"]) * 1_000_000)
        first = len(self.messages)
        self.main = self.spawn(unit["ExecStart"], {"WATCHDOG_USEC": usec})
        self.wait("the start", lambda: self.main in self.ends or self.ready_since(first))
        assert self.main not in self.ends, f"it ended with {self.ends[self.main]}"

    def ready_since(self, first):
        return any(line == "READY=1" for _, line in self.messages[first:])

    def reload(self):
        """Runs ExecReload= as the manager does, and says how it ended."""
        pid = self.spawn(self.read()["ExecReload"], {"MAINPID": str(self.main)})
        self.wait("the end of ExecReload=", lambda: pid in self.ends)
        return self.ends[pid]

    def is_active(self):
        return self.main is not None and self.main not in self.ends

    def stop(self):
        if self.is_active():
            os.kill(self.main, signal.SIGTERM)
            self.wait("the end", lambda: self.main in self.ends)
        shutil.rmtree(f"{self.root}/run/{self.read()['RuntimeDirectory']}", ignore_errors=True)
        return self.ends.get(self.main)
