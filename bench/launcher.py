# SPDX-License-Identifier: Apache-2.0
"""Starts one program and measures it: ``python -I -S launcher.py RESULT STDOUT STDERR TIMEOUT PROGRAM ARGUMENT…``.

A process of its own, because Linux counts the memory of the process that forks (until it becomes the new program) as
the child's: this one is smaller than any program that is measured.
"""

import os
import signal
import sys
import time


def main() -> None:
    result, out, err, timeout, *command = sys.argv[1:]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, err, flags, 0o600),
    ]
    began = time.perf_counter()
    at = time.time()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsigdef=[signal.SIGINT])
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, float(timeout))
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    with open(result, "w") as file:  # noqa: PTH123 - pathlib would double this process
        file.write(f"{at!r} {wall!r} {usage.ru_utime!r} {usage.ru_stime!r} {usage.ru_maxrss * 1024} {code}\n")


main()
