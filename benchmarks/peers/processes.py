"""What processes of a benchmark used, as /proc has it: their children, their peaks, loopback's bytes; and their end.

Nothing but the standard library: it runs in our environment, in the peers', and inside their apps.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

STEP_S = 0.25  # between two looks at processes that may have ended at the next one
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants that run now."""
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += tree(int(child))
    return found


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held (VmHWM), in 10^6 bytes; 0 once it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def command(pid: int) -> str:
    """Return the command line of a process, "" once it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""


def used_s(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) * TICK_S


def loopback_bytes() -> int:
    """Return the bytes that went over loopback so far, everybody's; 0 where /proc does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/dev").read_text().splitlines():
            if line.strip().startswith("lo:"):
                return int(line.split(":")[1].split()[0])
    return 0


def free_port() -> int:
    """Return a port on which nobody listens just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def gaps(stamps: Sequence[float]) -> list[float]:
    """Return the times between stamps."""
    return [after - before for before, after in itertools.pairwise(stamps)]


def middle(found: Iterable[float]) -> float:
    """Return the median, 0 of nothing."""
    found = list(found)
    return statistics.median(found) if found else 0.0


class Peaks:
    """Looks at processes again and again until they are gone, and keeps the most memory that each has held.

    Args:
        roots: called at every look; returns role -> processes, whose descendants belong to the same role.
    """

    def __init__(self, roots: Callable[[], dict[str, list[int]]]) -> None:
        self._roots = roots
        self._found: dict[str, dict[int, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(STEP_S):
            self.look()

    def look(self) -> None:
        """Look once."""
        for role, roots in self._roots().items():
            for root in roots:
                for pid in tree(root):
                    kept = self._found.setdefault(role, {})
                    kept[pid] = max(peak_mb(pid), kept.get(pid, 0.0))

    def end(self) -> dict[str, dict[int, float]]:
        """Look a last time and return role -> process -> the most that it has held, in 10^6 bytes."""
        self._over.set()
        self._thread.join()
        self.look()
        return self._found


def end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """End processes that we started, with their descendants: asked first, killed after a second."""
    everybody = [pid for process in processes for pid in reversed(tree(process.pid))]
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in everybody:
            with contextlib.suppress(OSError):
                os.kill(pid, how)
        time.sleep(1)
    for process in processes:
        process.wait()
