"""How fast the spine is: start-up, a masked sum over daemons, a count from submit to result, a count in `fed.local`.

Real processes on loopback with TLS; medians over many runs, the first ones left out. The engine's own figure (a
logistic step over three million rows) is `benchmarks/engine.py`. `--json` ends with one JSON object on the last line.

    python benchmarks/spine.py [--runs N] [--json] [--ours-only]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTIES = ("guangdong", "hongkong", "macao")
ROWS = 1000
CATEGORIES = 330  # cells of a grouped sum: units, sum and flag of each make 1,000 numbers
BARS = {  # what the project promises itself, in milliseconds
    "a masked sum of 1,000 numbers, one round": 30.0,
    "count, submit to result": 250.0,
    "count in fed.local": 50.0,
    "federation --version": 300.0,
    "a logistic step over 3,000,000 rows, at the engine": 1000.0,
}
MOST_MIB = 400.0  # of the process that runs the logistic step


def timed(work: Callable[[], object], runs: int, warm: int) -> list[float]:
    """Return milliseconds of `runs` calls after `warm` uncounted ones."""
    found = []
    for index in range(runs + warm):
        began = time.perf_counter()
        work()
        if index >= warm:
            found.append((time.perf_counter() - began) * 1000)
    return found


def written(folder: Path) -> dict[str, str]:
    """Write one CSV a party and return its tables: the rows as public data, and with k = 2 as data that are not."""
    codes = [f"c{i:03d}" for i in range(CATEGORIES)]
    tables = {}
    for index, party in enumerate(PARTIES):
        source = folder / f"{party}.csv"
        rows = [f"{(i * 37 + index) % 1000},{codes[i % CATEGORIES]}" for i in range(ROWS)]
        source.write_text("\n".join(["x,c", *rows]) + "\n")
        tables[party] = "".join(
            f'[[dataset]]\nname = "{name}"\nsource = "{source}"\nk = {k}\npublish_own_figures = {own}\n'
            f'[dataset.columns]\nx = {{ kind = "integer", low = 0, high = 999 }}\n'
            f'c = {{ kind = "category", categories = {json.dumps(codes)} }}\n'
            for name, k, own in (("open", 1, "true"), ("guarded", 2, "false"))
        )
    return tables


def rounds_in(log: Path) -> list[float]:
    """Return, for every job of two secure sums, the milliseconds from the first sum's opening to the second's.

    That is a round in steady state: query, mask, seal, sign, send, add up, check at every party. The support round
    before it has the same parties and keys are exchanged while it runs.
    """
    from federation.wire import convert, messages
    from federation.wire.log import frames_in

    opened: dict[bytes, list[int]] = {}
    for at_ns, direction, member, frame in frames_in(log):
        if direction == "out" and frame.signed.domain == messages.BUNDLE and member == PARTIES[0]:
            bundle = convert.bundle_of(frame.signed.body)
            if bundle.total_digest:
                opened.setdefault(bundle.job_hash, []).append(at_ns)
    return [(pair[1] - pair[0]) / 1e6 for pair in opened.values() if len(pair) == 2]


def over_daemons(runs: int) -> dict[str, list[float]]:
    """Measure over three daemons and a coordinator."""
    from clients.cli.stage import Stage

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        began = time.perf_counter()
        with Stage(folder / "stage", written(folder), wire_log=True) as stage, stage.session() as session:
            session.table("open").count()
            found = {"from nothing to the first result": [(time.perf_counter() - began) * 1000]}
            table = session.table("open")
            found["count, submit to result"] = timed(table.count, runs, 5)
            guarded = session.table("guarded")
            found["a job of two sums of 1,000 numbers"] = timed(lambda: guarded.sum("x", by="c"), runs, 5)
            found["a masked sum of 1,000 numbers, one round"] = rounds_in(
                folder / "stage" / "wire" / "coordinator.log"
            )[5:]
            return found


def in_process(runs: int) -> list[float]:
    """Measure `fed.local` over three frames of 1,000 rows."""
    import pandas as pd

    import federation as fed

    frames = {party: pd.DataFrame({"x": range(i, ROWS + i)}) for i, party in enumerate(PARTIES)}
    with fed.local(frames) as session:
        return timed(session.table("data").count, runs, 3)


def version(runs: int) -> list[float]:
    """Measure `federation --version` as a process."""
    command = [str(Path(sys.executable).parent / "federation"), "--version"]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True), runs, 2)


def logistic_step() -> tuple[list[float], float]:
    """Run `benchmarks/engine.py` and return (milliseconds, peak MiB) of its logistic step of 77 sums."""
    command = [sys.executable, str(Path(__file__).parent / "engine.py"), "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    step = json.loads(printed.splitlines()[-1])["results"]["logistic step"]
    return [step["first"] * 1000, step["best"] * 1000], step["rss"]


def machine() -> str:
    """Describe the machine, for a table that others read."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{os.cpu_count()} x {names[0] if names else platform.machine()}, Python {platform.python_version()}"


def main() -> None:
    """Run, print a table, and with `--json` one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours-only", action="store_true", help="there is no peer to leave out here; for symmetry")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {"federation --version": version(max(5, asked.runs // 4))}
    found["count in fed.local"] = in_process(asked.runs)
    found |= over_daemons(asked.runs)
    step, peak_mib = logistic_step()
    found["a logistic step over 3,000,000 rows, at the engine"] = step
    print(machine())
    print(f"{'':<52}{'median':>10}{'least':>10}{'most':>10}{'bar':>8}  ms")
    summary: dict[str, Any] = {}
    for name, values in found.items():
        middle = statistics.median(values)
        bar = BARS.get(name)
        shown = "" if bar is None else f"{bar:.0f}"
        print(f"{name:<52}{middle:>10.1f}{min(values):>10.1f}{max(values):>10.1f}{shown:>8}")
        summary[name] = {
            "median_ms": middle,
            "min_ms": min(values),
            "max_ms": max(values),
            "runs": len(values),
            "bar_ms": bar,
        }
    print(f"peak memory of the logistic step: {peak_mib:.0f} MiB (bar {MOST_MIB:.0f})")
    if asked.json:
        print(json.dumps({"machine": machine(), "measured": summary, "logistic_step_peak_mib": peak_mib}))


if __name__ == "__main__":
    main()
