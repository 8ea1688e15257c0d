"""What the apps write down for `flower_rounds.py`, which knows nothing of what happens inside Flower's processes."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

from benchapp.processes import loopback_bytes

SCRATCH = "BENCHMARK_SCRATCH"
ROUNDS, CLIENTS = "rounds.json", "clients.txt"


def folder() -> Path:
    """The folder of this run."""
    return Path(os.environ[SCRATCH])


def peak_mb() -> float:
    """The most memory that this process has held, in 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def client_ran() -> None:
    """Note the memory of a client app; every message has a process of its own."""
    with (folder() / CLIENTS).open("a") as file:
        file.write(f"{os.getpid()} {peak_mb():.1f}\n")


class Rounds:
    """When each round began and was over, with how many answers, and what went over loopback meanwhile."""

    def __init__(self) -> None:
        self._found: list[dict[str, float]] = []
        self._began = 0.0, 0

    def begin(self) -> None:
        """Note that a round is handed out."""
        self._began = time.time(), loopback_bytes()

    def end(self, answers: int) -> None:
        """Note that it is merged."""
        began, bytes_before = self._began
        moved = loopback_bytes() - bytes_before
        self._found.append({"began": began, "ended": time.time(), "answers": answers, "loopback": moved})

    def save(self) -> None:
        """Write everything where the benchmark waits for it."""
        written = {"rounds": self._found, "peak_mb": peak_mb()}
        part = folder() / f"{ROUNDS}.part"
        part.write_text(json.dumps(written))
        part.rename(folder() / ROUNDS)
