"""Sends a process so many signals that must not disturb it, as fast as it can: storm.py PID COUNT"""

import os
import signal
import sys

pid, count = int(sys.argv[1]), int(sys.argv[2])
kinds = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGWINCH]
for number in range(count):
    os.kill(pid, kinds[number % len(kinds)])
