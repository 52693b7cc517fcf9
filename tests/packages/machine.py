"""A machine for a test: Debian in a directory, with its own systemd as process 1 of namespaces."""

import os
import shutil
import signal
import subprocess
import sys
import time

# How long anything may take, on a machine that does other things.
PATIENCE = 180
# What the packages need that the smallest Debian has not got.
INCLUDED = "systemd"
BOOT = r"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
ip link set lo up
cd "$1"
mkdir -p .before
pivot_root . .before
umount -l /.before
rmdir /.before
exec env -i container=unshare /lib/systemd/systemd --unit=multi-user.target
"""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
}


class Skipped(Exception):
    """What is not permitted or not there."""


def apt(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def debian(root, kept):
    """A Debian of the release of this machine, from where its apt has it; or from the archive `kept`, which is made once."""
    if not (kept and os.path.exists(kept)):
        bootstrapped(root)
        if kept:
            subprocess.run(["tar", "-C", root, "--one-file-system", "-cf", kept, "."], check=True)
        return
    os.makedirs(root)
    subprocess.run(["tar", "-C", root, "-xpf", kept], check=True)


def bootstrapped(root):
    if not shutil.which("debootstrap") or not shutil.which("apt-get"):
        raise Skipped("no debootstrap, or no apt that knows where Debian is")
    words = (line.split("=", 1) for line in open("/etc/os-release") if "=" in line)
    release = dict((key, value.strip().strip('"')) for key, value in words).get("VERSION_CODENAME")
    wanted = "$(REPO_URI) $(CODENAME) $(SUITE) $(COMPONENT) $(ORIGIN)"
    known = apt("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines()
    found = [line.split() for line in known]
    mirror = next((w[0] for w in found if w[-1] == "Debian" and w[1] == release and "main" in w), None)
    if mirror is None:
        raise Skipped(f"apt knows no Debian {release}: {known}")
    environment = dict(os.environ)
    for line in apt("apt-config", "dump", "Acquire::http::Proxy").splitlines():
        if line.split(" ", 1)[0] == "Acquire::http::Proxy":
            environment["http_proxy"] = line.split('"')[1]
    command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", release, root, mirror]
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    if made.returncode != 0:
        raise Skipped(f"debootstrap: {made.stdout[-400:]}{made.stderr[-400:]}")


class Machine:
    def __init__(self, root):
        self.root = root
        kinds = ["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"]
        self.said = open(root + ".console", "w+")
        self.process = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", *kinds, "sh", "-c", BOOT, "sh", root],
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=self.said,
            start_new_session=True,
        )
        self.pid = None
        self.wait("the start of systemd", self.has_begun)
        self.wait("the end of the boot", self.has_booted)

    def has_begun(self):
        if self.process.poll() is not None:
            self.said.seek(0)
            raise Skipped(f"no machine can be made of namespaces here: {self.said.read()[-400:]}")
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        for child in children:
            if open(f"/proc/{child}/comm").read() == "systemd\n":
                self.pid = child
        return self.pid is not None

    def has_booted(self):
        said = self.run("systemctl", "is-system-running", fails=True).stdout.strip()
        return said in ("running", "degraded")

    def wait(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not come within {PATIENCE} s")
            time.sleep(0.05)

    def inside(self, *command):
        return ["nsenter", "-t", self.pid, "-m", "-u", "-i", "-n", "-p", "-r", "-w", *command]

    def run(self, *command, fails=False, stdin=None):
        ran = subprocess.run(self.inside(*command), env=ENVIRONMENT, capture_output=True, text=True, input=stdin)
        if not fails and ran.returncode != 0:
            journal = "" if command[0] == "journalctl" else self.journal()
            raise AssertionError(f"{command} ended with {ran.returncode}: {ran.stdout}{ran.stderr}\n{journal}")
        return ran

    def journal(self):
        return self.run("journalctl", "-u", "polyport", "-n", "60", "--no-pager", fails=True).stdout

    def write(self, path, text):
        """A file of the machine's disk, which lies in a directory of ours."""
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as file:
            file.write(text)

    def show(self, *properties):
        """Properties of polyport.service, as systemd has them now."""
        said = self.run("systemctl", "show", "polyport.service", "-p", ",".join(properties)).stdout
        return dict(line.split("=", 1) for line in said.splitlines())

    def main_pid(self):
        return int(self.show("MainPID")["MainPID"])

    def bound(self):
        """Addresses of UDP sockets of the machine: address and port."""
        found = []
        for line in self.run("cat", "/proc/net/udp", "/proc/net/udp6").stdout.splitlines():
            words = line.split()
            if words[0] != "sl":
                address, port = words[1].split(":")
                found.append((address, int(port, 16)))
        return found

    def in_network(self, *command):
        """A program of this machine in the network of that one."""
        return subprocess.Popen(
            ["nsenter", "-t", self.pid, "-n", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def off(self):
        # Process 1 takes everything of its namespace with it.
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.said.close()
        os.remove(self.root + ".console")


def skipped(reason):
    print(f"SKIPPED: packages: {reason}", file=sys.stderr)
