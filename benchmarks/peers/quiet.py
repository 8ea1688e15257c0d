"""Whether other processes used the processor while something was measured, and measuring again until they did not.

A ratio of two times survives a busy machine badly: what is spread over two cores loses more than what runs on one. So a
measurement says how much of a core others had meanwhile, and is taken again while there is patience for it; the calmest
one counts, whatever it says. Reads /proc; elsewhere everything counts as calm.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CALM = 0.06  # of one core: what others may use
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAUSE_S = 0.5  # before a measurement is taken again


def used_by_all_s() -> float:
    """Return processor seconds that anybody has used since the machine started, stolen ones included."""
    try:
        user, nice, system, _idle, _waiting, *rest = map(
            int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
        )
    except OSError:
        return 0.0
    return (user + nice + system + sum(rest)) * TICK_S


def used_by_us_s(processes: Iterable[int]) -> float:
    """Return processor seconds of this process, its ended children, and these other processes."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


class Quiet:
    """Takes measurements until they are calm.

    Args:
        patience_s: how long in all measurements may be taken again.
    """

    def __init__(self, patience_s: float) -> None:
        self._left_s = patience_s
        self.shares: list[float] = []  # of one core that others used during each measurement that counts

    def calmest(self, work: Callable[[], T], processes: Iterable[int] = ()) -> T:
        """Return the result of the calmest call of `work`, in which also `processes` work for us."""
        processes = tuple(processes)
        best: tuple[float, T] | None = None
        while best is None or (best[0] > CALM and self._left_s > 0):
            if best is not None:
                time.sleep(PAUSE_S)
            began, all_s, us_s = time.perf_counter(), used_by_all_s(), used_by_us_s(processes)
            result = work()
            spent = time.perf_counter() - began
            others_s = used_by_all_s() - all_s - (used_by_us_s(processes) - us_s)
            share = max(0.0, others_s - 2 * TICK_S) / spent  # both counters are coarse
            if best is not None:
                self._left_s -= spent + PAUSE_S
            if best is None or share < best[0]:
                best = share, result
        self.shares.append(best[0])
        return best[1]
