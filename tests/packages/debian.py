#!/usr/bin/env python3
"""Installs the Debian packages on a machine made for it, upgrades them under traffic, and purges them without a trace.

    debian.py --first DIR --second DIR     directories with the packages of two revisions, as daemon/packaging/build makes them
              --keep FILE                  an archive of a fresh Debian: made if it is not there, and used otherwise

Root only, with namespaces, and a mirror of Debian: where that cannot be had, one line says so.
"""

import argparse
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time

from machine import Machine, Skipped, debian, skipped

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = range(20000, 20020)
RATE = 4000
TRAFFIC = f"""
[[listen]]
name = "traffic"
bind = "127.0.0.1:{PORTS[0]}-{PORTS[-1]}"
plugin = "echo"
"""
# What dpkg, users and systemd keep for themselves, whatever is installed and purged.
KEPT = (
    "/var/log/",
    "/var/lib/dpkg/",
    "/var/cache/",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/timers/",
    "/var/lib/apt/",
    "/var/lib/systemd/catalog/",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/subuid-",
    "/etc/subgid-",
    "/etc/.pwd.lock",
    "/etc/machine-id",
    "/etc/.updated",
    "/var/.updated",
)


def say(text):
    print(f"packages: {text}", flush=True)


def files(root):
    """Everything on a disk, with its owner, mode and content."""
    found = {}
    for folder, names, plain in os.walk(root):
        if folder == root:
            names[:] = [name for name in names if name not in ("proc", "sys", "run", "tmp", "dev")]
        for name in names + plain:
            path = os.path.join(folder, name)
            shown = path.removeprefix(root)
            if shown.startswith(KEPT):
                continue
            status = os.lstat(path)
            what = ""
            if stat.S_ISREG(status.st_mode):
                what = hashlib.sha256(open(path, "rb").read()).hexdigest()
            elif stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)
            found[shown] = (oct(status.st_mode), status.st_uid, status.st_gid, what)
    return found


class Story:
    def __init__(self, machine, first, second):
        self.machine, self.packages = machine, {"first": first, "second": second}

    def install(self, which):
        """dpkg -i of all packages of a revision; what was said."""
        inside = []
        for path in sorted(glob.glob(f"{self.packages[which]}/*.deb")):
            to = f"/var/cache/{os.path.basename(path)}"
            shutil.copy(path, self.machine.root + to)
            inside.append(to)
        assert len(inside) == 3, f"three packages are made, and these are there: {inside}"
        ran = self.machine.run("dpkg", "-i", *inside)
        return ran.stdout + ran.stderr

    def fresh(self):
        machine = self.machine
        self.install("first")
        state = machine.show("ActiveState", "User", "Type", "UnitFileState", "MainPID")
        assert state["ActiveState"] == "active" and state["User"] == "polyport", (state, machine.journal())
        assert state["UnitFileState"] == "enabled", state
        enabled = machine.run("systemctl", "is-enabled", "polyport.socket", fails=True).stdout.strip()
        assert enabled == "disabled", f"who wants sockets enables them: {enabled}"
        assert machine.bound() == [("0100007F", 10000)], f"a fresh service is this machine's alone: {machine.bound()}"
        assert machine.run("dpkg", "-V", "polyport", "polyport-tools", "polyport-dev").stdout == ""
        for unit in ("polyport.service", "polyport.socket"):
            verified = machine.run("systemd-analyze", "verify", "--man=no", unit)
            assert "polyport" not in verified.stderr, verified.stderr
        status = machine.run("cat", f"/proc/{state['MainPID']}/status").stdout
        assert "CapEff:\t0000000000000000" in status and "Seccomp:\t2" in status, status
        for program in sorted(glob.glob(f"{machine.root}/usr/bin/polyport*")):
            machine.run(program.removeprefix(machine.root), "--version")
        listed = machine.run("polyport", "plugin", "list").stdout
        assert "relay" in listed, listed
        machine.run("polyport", "plugin", "inspect", "/usr/lib/polyport/libpolyport_echo.so")
        sandbox = next(line for line in machine.journal().splitlines() if "sandbox: " in line)
        say(f"installed and active; {sandbox[sandbox.index('sandbox: '):]}")
        asked = machine.run("polyport", "status", "--json").stdout
        assert '"echo"' in asked, asked

    def traffic(self):
        """An administrator's own listeners, and somebody who uses them."""
        machine = self.machine
        # Signs of life that are seen within a test.
        machine.write("/etc/systemd/system/polyport.service.d/test.conf", "[Service]\nWatchdogSec=10\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "polyport")
        with open(f"{machine.root}/etc/polyport/polyport.toml", "a") as file:
            file.write("\n# a line of the administrator\n")
        machine.write("/etc/polyport/conf.d/traffic.toml", TRAFFIC)
        before = machine.main_pid()
        machine.run("systemctl", "reload", "polyport")
        machine.wait("the new listeners", lambda: {port for _, port in machine.bound()} >= set(PORTS))
        assert machine.main_pid() == before, "a reload of the same program is one by SIGHUP"
        sender = [sys.executable, f"{HERE}/traffic.py", str(RATE), *map(str, PORTS)]
        self.sender = machine.in_network(*sender)
        self.answered(RATE)

    def answered(self, more):
        """Waits until so many more datagrams were answered."""
        until = None
        while True:
            line = self.sender.stdout.readline()
            assert line, f"the traffic has ended: {self.machine.journal()}"
            said = json.loads(line)
            assert "lost" not in said, f"datagrams were lost: {said}\n{self.machine.journal()}"
            until = until or said["answered"] + more
            if said["answered"] >= until:
                return

    def followed(self, before):
        """The main process is another one, which runs what is on the disk, and the one before has ended."""
        machine = self.machine
        machine.wait("another main process", lambda: machine.main_pid() not in (0, before))
        now = machine.main_pid()
        run, disk = machine.run("stat", "-Lc", "%d:%i", f"/proc/{now}/exe", "/usr/bin/polyport").stdout.split()
        assert run == disk, f"{run} runs, and {disk} is on the disk"
        machine.wait(
            "the end of the one before",
            lambda: machine.run("test", "-e", f"/proc/{before}", fails=True).returncode != 0,
        )
        assert machine.show("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
        return now

    def upgrades(self):
        """There and back and there again: who has taken over is taken over from."""
        machine = self.machine
        for which in ("second", "first", "second"):
            before = machine.main_pid()
            began = time.monotonic()
            said = self.install(which)
            took = time.monotonic() - began
            assert "goes on serving" not in said, said
            now = self.followed(before)
            say(f"upgraded under traffic in {took:.1f} s: {which} revision, process {before} -> {now}")
            self.answered(RATE // 2)
        with open(f"{machine.root}/etc/polyport/polyport.toml") as file:
            assert file.read().endswith("# a line of the administrator\n"), "the configuration is the administrator's"

    def signs_of_life(self):
        """The manager hears them from a process that it has not started."""
        machine = self.machine
        stamp = "WatchdogTimestampMonotonic"
        for _ in range(3):
            before = machine.show(stamp)[stamp]
            machine.wait("a sign of life", lambda: machine.show(stamp)[stamp] != before)
        say("signs of life reach systemd after the take-overs")

    def refused(self):
        """A new version that cannot serve this configuration leaves the one that does."""
        machine = self.machine
        before = machine.main_pid()
        machine.write("/etc/polyport/conf.d/wrong.toml", '[[listen]]\nbind = "127.0.0.1:1"\nplugin = "nothing"\n')
        said = self.install("first")
        assert "goes on serving, since the new one could not take over" in said, said
        assert machine.main_pid() == before and machine.show("ActiveState")["ActiveState"] == "active"
        os.remove(f"{machine.root}/etc/polyport/conf.d/wrong.toml")
        self.answered(RATE // 2)
        machine.run("systemctl", "reload", "polyport")
        now = self.followed(before)
        say(f"an upgrade that was refused left process {before}; a reload took over later by {now}")
        self.answered(RATE // 2)

    def counted(self):
        self.sender.stdin.close()
        lines = [json.loads(line) for line in self.sender.stdout]
        said = lines[-1]
        assert self.sender.wait() == 0
        assert (said["lost"], said["twice"], said["others"]) == (0, 0, 0), f"{said}\n{self.machine.run('cat', '/proc/net/udp').stdout}\n{self.machine.journal()}"
        assert said["sent"] > 5 * RATE, said
        say(f"numbered traffic over four take-overs and one that was refused: {json.dumps(said)}")

    def watched(self):
        """The manager sees the end of a process that has taken over, and starts another one."""
        machine = self.machine
        before = machine.main_pid()
        machine.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "polyport")
        machine.wait("another one", lambda: machine.show("NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"})
        say(f"process {before} was killed and systemd has started {machine.main_pid()}")

    def sockets(self):
        """The socket unit starts the service by the first datagram."""
        machine = self.machine
        machine.run("systemctl", "stop", "polyport.service")
        machine.run("systemctl", "start", "polyport.socket")
        assert machine.show("ActiveState")["ActiveState"] == "inactive"
        sender = machine.in_network(sys.executable, f"{HERE}/traffic.py", "100", "10000")
        machine.wait("the service", lambda: machine.show("ActiveState")["ActiveState"] == "active")
        said, _ = sender.communicate()
        assert json.loads(said.splitlines()[-1])["lost"] == 0, said
        machine.run("systemctl", "stop", "polyport.socket", "polyport.service")
        say("the socket unit has started the service, and what came first was answered")
        machine.run("systemctl", "start", "polyport.service")

    def purged(self, before):
        machine = self.machine
        shutil.rmtree(f"{machine.root}/etc/systemd/system/polyport.service.d")
        machine.write("/var/lib/polyport/recording.txt", "left by a handler\n")
        machine.run("dpkg", "--remove", "polyport", "polyport-tools", "polyport-dev")
        assert machine.bound() == [], f"a service that was removed serves: {machine.bound()}"
        assert os.path.exists(f"{machine.root}/etc/polyport/polyport.toml"), "a removal keeps the configuration"
        machine.run("dpkg", "--purge", "polyport", "polyport-tools", "polyport-dev")
        after = files(machine.root)
        left = sorted(path for path in after if path not in before)
        gone = sorted(path for path in before if path not in after)
        other = sorted(path for path in before if after.get(path, before[path]) != before[path])
        assert (left, gone, other) == ([], [], []), f"left: {left}; gone: {gone}; changed: {other}"
        run = machine.run("find", "/run", "/tmp", "-name", "*polyport*", "-not", "-path", "/run/systemd/transient/*").stdout
        assert run == "", run
        for table in ("passwd", "group"):
            assert machine.run("getent", table, "polyport", fails=True).returncode == 2
        assert "polyport" not in open(f"{machine.root}/var/lib/dpkg/status").read()
        say(f"purged: {len(before)} files and directories as before, nothing left")


def tell(machine, first, second):
    before = files(machine.root)
    story = Story(machine, first, second)
    story.fresh()
    story.traffic()
    story.upgrades()
    story.signs_of_life()
    story.refused()
    story.counted()
    story.watched()
    story.sockets()
    story.purged(before)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--first", required=True)
    arguments.add_argument("--second", required=True)
    arguments.add_argument("--keep")
    asked = arguments.parse_args()
    if os.geteuid() != 0:
        return skipped("needs root: a machine of its own is made")
    with tempfile.TemporaryDirectory(prefix="polyport-packages-") as folder:
        machine = None
        try:
            debian(f"{folder}/debian", asked.keep)
            machine = Machine(f"{folder}/debian")
            tell(machine, asked.first, asked.second)
        except Skipped as why:
            return skipped(why)
        finally:
            if machine is not None:
                machine.off()
    return None


if __name__ == "__main__":
    main()
