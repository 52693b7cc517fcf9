"""Starts a program as a service manager does: with sockets from descriptor 3 on (sd_listen_fds(3)).

python3 activation.py [KIND:NAME:HOST:PORT]... [pid=PID] [fds=COUNT] [names=TEXT] [send=HOST:PORT] -- PROGRAM [ARGUMENT]...
"""

import os
import socket
import sys
import tempfile


def made(kind, host, port):
    if kind == "file":
        return tempfile.TemporaryFile()
    if kind == "unix":
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    family = socket.AF_INET6 if "6" in kind else socket.AF_INET
    it = socket.socket(family, socket.SOCK_STREAM if kind.startswith("tcp") else socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if kind.endswith("both") else 1)
    if kind == "unbound":
        return it
    it.bind((host, int(port)))
    if kind == "tcp":
        it.listen()
    return it


end = sys.argv.index("--")
given, names, settings, sends = [], [], {}, []
for word in sys.argv[1:end]:
    if word.startswith(("pid=", "fds=", "names=")):
        key, value = word.split("=", 1)
        settings[key] = value
    elif word.startswith("send="):
        sends.append(word[5:])
    else:
        kind, name, rest = word.split(":", 2)
        host, port = rest.rsplit(":", 1)
        given.append(made(kind, host, port))
        names.append(name)

# What comes before the program serves waits in the socket.
for to in sends:
    host, port = to.rsplit(":", 1)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"early", (host, int(port)))

# Out of the way first: one of them may have a number that another one is to get.
high = [os.dup2(it.fileno(), 100 + n) for n, it in enumerate(given)]
os.closerange(3, 100)
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
    os.close(fd)

os.environ["LISTEN_PID"] = settings.get("pid", str(os.getpid()))
os.environ["LISTEN_FDS"] = settings.get("fds", str(len(given)))
os.environ["LISTEN_FDNAMES"] = settings.get("names", ":".join(names))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
