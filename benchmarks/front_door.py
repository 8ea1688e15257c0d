"""The first ten minutes in figures: how long, how much memory, how many megabytes until somebody has an answer.

A federation of real processes (a coordinator and three daemons with TLS on loopback) from nothing to its first result;
what it holds in memory when it idles; what an installation weighs; a clone until the demo has ended. Each beside its
bar, and beside what is known of peers: those figures were recorded elsewhere and are not measured in this run.

    python benchmarks/front_door.py [--runs N] [--quick] [--json] [--ours-only]

`--quick` leaves out what installs anything (that part takes minutes and asks a registry). Sizes are what files hold, in
MB of 10^6 bytes. Memory is the sum of the proportional set sizes (PSS) in /proc/PID/smaps_rollup: a page that four
processes share counts once. Whatever else runs on the machine and maps the same files takes a little off: run it alone.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = "pearl-federation"
PARTIES = ("guangdong", "hongkong", "macao")
ROWS = 1000
IDLE_S = 2.0  # after the first result, before memory is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line: what was measured, its bar, and what peers are known for."""

    name: str
    unit: str
    bar: float
    peers: str = ""


FIRST = Figure(name="from nothing to the first result", unit="s", bar=4, peers="Flower 12 s, NVFlare POC 24 s")
MEMORY = Figure(name="idle: coordinator and three daemons, PSS", unit="MB", bar=400, peers="Flower 1,060 MB")
CORE = Figure(name="the core and what it needs, installed", unit="MB", bar=300)
DEMO = Figure(name="the demo's environment", unit="MB", bar=650)
CLONE = Figure(name="clone until the demo has ended", unit="s", bar=180)
AGAIN = Figure(name="the demo, once installed", unit="s", bar=60)
FIGURES = (FIRST, MEMORY, CORE, DEMO, CLONE, AGAIN)


def written(folder: Path) -> dict[str, str]:
    """Write one CSV a party and return party -> its tables."""
    tables = {}
    for index, party in enumerate(PARTIES):
        source = folder / f"{party}.csv"
        source.write_text("\n".join(["x", *(str((i * 37 + index) % 1000) for i in range(ROWS))]) + "\n")
        tables[party] = (
            f'[[dataset]]\nname = "people"\nsource = "{source}"\n'
            '[dataset.columns]\nx = { kind = "integer", low = 0, high = 999 }\n'
        )
    return tables


def first_result() -> tuple[float, dict[str, float]]:
    """Return seconds from nothing (keys, roster, four processes) to a checked mean, and the idle PSS of each in MB."""
    from clients.cli.stage import Stage

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        began = time.perf_counter()
        with Stage(folder / "stage", written(folder)) as stage, stage.session() as session:
            found = session.table("people").mean("x").value
            seconds = time.perf_counter() - began
            assert abs(found - 499.5) < 1
            time.sleep(IDLE_S)
            return seconds, {name: pss_mb(process.pid) for name, process in stage.processes.items()}


def pss_mb(pid: int) -> float:
    """Return the proportional set size of a process in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[0]) * 1024 / 1e6


def closure(name: str) -> Iterator[importlib.metadata.Distribution]:
    """Yield a distribution and what it needs, extras left out, as installed beside this process."""
    seen, wanted = set(), [name]
    while wanted:
        key = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            found = importlib.metadata.distribution(key)
        except importlib.metadata.PackageNotFoundError:  # for another system or Python
            continue
        yield found
        needed = [each for each in found.requires or () if "extra ==" not in each]
        wanted += [re.split(r"[\s<>=!~;(\[]", each)[0] for each in needed]


def recorded_mb(distribution: importlib.metadata.Distribution) -> float:
    """Return what the files of an installed distribution hold; of an editable one, what its folders do."""
    if (distribution.metadata["Name"] or "") == DISTRIBUTION:
        return sum(size_mb(ROOT / folder) for folder in ("federation", "clients", "examples"))
    return sum(each.size or 0 for each in distribution.files or ()) / 1e6


def size_mb(folder: Path) -> float:
    """Return what the files below a folder hold; links are not followed, and a file with two names counts once."""
    sizes = {}
    for place, _, names in os.walk(folder):
        for name in names:
            stat = os.lstat(Path(place) / name)
            sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(sizes.values()) / 1e6


def installed_core(folder: Path) -> float:
    """Return the MB that a fresh virtual environment grows by when the core is installed into it."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    empty = size_mb(folder)
    install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)]
    subprocess.run(install, check=True, capture_output=True)
    return size_mb(folder) - empty


def cloned(folder: Path) -> tuple[float, float, float]:
    """Return seconds from the clone to the end of `make demo`, MB of its environment, seconds of a second demo."""
    inherited = ("PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")  # not a newcomer's
    environment = {name: value for name, value in os.environ.items() if name not in inherited}
    began = time.perf_counter()
    subprocess.run([shutil.which("git") or "git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    demo = [shutil.which("make") or "make", "--silent", "demo", f"PYTHON={sys.executable}"]
    subprocess.run(demo, cwd=folder, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    demo = [str(folder / ".venv/bin/federation"), "demo"]
    subprocess.run(demo, cwd=folder, env=environment, check=True, capture_output=True)
    return seconds, size_mb(folder / ".venv"), time.perf_counter() - began


def machine() -> str:
    """Describe the machine, for a table that others read."""
    info = Path("/proc/cpuinfo").read_text()
    names = re.findall(r"^model name\s*:\s*(.*)$", info, re.MULTILINE) or [platform.machine()]
    return f"{os.cpu_count()} x {names[0]}, Python {platform.python_version()}"


def measured(runs: int, *, quick: bool) -> tuple[dict[Figure, list[float]], dict[str, float]]:
    """Return the values of each figure, and the memory of each process in the last run."""
    found: dict[Figure, list[float]] = {figure: [] for figure in FIGURES}
    memory: dict[str, float] = {}
    for _ in range(runs):
        seconds, memory = first_result()
        found[FIRST].append(seconds)
        found[MEMORY].append(sum(memory.values()))
    if quick:
        found[CORE] = [sum(recorded_mb(each) for each in closure(DISTRIBUTION))]
        return found, memory
    with tempfile.TemporaryDirectory() as scratch:
        found[CORE] = [installed_core(Path(scratch) / "core")]
        clone, size, again = cloned(Path(scratch) / "clone")
    found[CLONE], found[DEMO], found[AGAIN] = [clone], [size], [again]
    return found, memory


def main() -> None:
    """Run, print a table, and with `--json` one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of the federation; what installs is done once")
    parser.add_argument("--quick", action="store_true", help="leave out what installs; RECORDs tell the core's size")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours-only", action="store_true", help="leave out what is known of peers")
    asked = parser.parse_args()
    found, memory = measured(asked.runs, quick=asked.quick)
    print(machine())
    peers = "" if asked.ours_only else "  recorded elsewhere, not in this run"
    print(f"{'':<44}{'median':>9}{'least':>9}{'most':>9}{'bar':>8}{'':>5}{peers}")
    summary: dict[str, object] = {}
    for figure, values in found.items():
        if not values:
            print(f"{figure.name:<44}{'left out by --quick':>35}")
            continue
        middle = statistics.median(values)
        verdict = "" if middle <= figure.bar else "  over its bar"
        known = f"  {figure.peers}" if figure.peers and not asked.ours_only else ""
        numbers = "".join(f"{value:>9.1f}" for value in (middle, min(values), max(values)))
        print(f"{figure.name:<44}{numbers}{figure.bar:>8.0f} {figure.unit:<4}{known}{verdict}")
        summary[figure.name] = {
            "unit": figure.unit,
            "median": middle,
            "min": min(values),
            "max": max(values),
            "runs": len(values),
            "bar": figure.bar,
        }
    print("idle, each: " + ", ".join(f"{name} {value:.0f} MB" for name, value in memory.items()))
    if asked.json:
        known_of = {figure.name: figure.peers for figure in FIGURES if figure.peers and not asked.ours_only}
        told = {"machine": machine(), "measured": summary, "idle_pss_mb": memory}
        print(json.dumps({**told, "recorded_elsewhere_not_in_this_run": known_of}))


if __name__ == "__main__":
    main()
