"""Rounds of NVFlare that train nothing: its proof of concept, a server and n sites on loopback with mutual TLS.

Runs in the environment of `make peers`; one JSON line. A round is the time between two models that the first site of
each round got, so the time after the last is not seen. What a party's memory is: the most of a process of a site.
Its server listens on port 8002 of all interfaces, which must be free. Loopback's bytes are everybody's on this machine.
Its own stop may fail and leave daemons behind: those that name this run's folder are ended here, by their ids.

    .peers/bin/python benchmarks/peers/nvflare_rounds.py --parties 3 --dim 1000000 --rounds 6
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from processes import STEP_S, Peaks, command, gaps, middle

HERE = Path(__file__).parent
PORT = 8002
LAST_S = 40.0  # a run in which no site says anything for so long has ended


def ours(folder: str) -> list[int]:
    """Return the processes whose command line names this run's folder: the daemons and jobs that it started."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and f"{folder}/" in command(pid)]


def roles(folder: str) -> dict[str, list[int]]:
    """Return the same by role: server or site, as the folder in the command line says."""
    found: dict[str, list[int]] = {"server": [], "site": []}
    for pid in ours(folder):
        line = command(pid)
        if "/prod_00/server" in line:
            found["server"].append(pid)
        elif "/prod_00/site-" in line:
            found["site"].append(pid)
    return found


def ended(folder: str) -> None:
    """End what is left of a run."""
    for _ in range(3):
        for pid in ours(folder):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)


def noted(file: Path) -> dict[int, list[list[float]]]:
    """Return round -> what each site noted: when, loopback's bytes, memory, entries."""
    found: dict[int, list[list[float]]] = {}
    if file.exists():
        for line in file.read_text().splitlines():
            index, *rest = line.split()
            found.setdefault(int(index), []).append([float(value) for value in rest])
    return found


def measured(dim: int, parties: int, rounds: int, patience_s: float) -> dict[str, Any]:
    """Provision, start, run and end a federation; return what its rounds took."""
    began = time.time()
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            raise SystemExit(f"port {PORT} is taken, and NVFlare's proof of concept takes no other")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "BENCHMARK_SCRATCH": folder,
            "HOME": folder,
            "NVFLARE_POC_WORKSPACE": f"{folder}/poc",
            "NVFLARE_PROGRESS": "0",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(HERE),
        }
        os.chdir(folder)
        peaks = Peaks(lambda: roles(folder))
        try:
            finished = run(Path(folder), dim, parties, rounds, began + patience_s)
        finally:
            ended(folder)
        held = peaks.end()
    if len(finished) < rounds or any(len(sites) < parties for sites in finished.values()):
        raise SystemExit(f"NVFlare ended after {len(finished)} of {rounds} rounds, {time.time() - began:.0f} s")
    if {site[3] for sites in finished.values() for site in sites} != {float(dim)}:
        raise SystemExit("NVFlare's sites got other models")
    firsts = [min(finished[index]) for index in sorted(finished)]
    spent = gaps([first[0] for first in firsts])
    return {
        "round_s": spent,
        "median_s": middle(spent[1:] or spent),
        "first_s": firsts[1][0] - began,
        "loopback": middle(gaps([first[1] for first in firsts])),
        "coordinator_mb": sum(held["server"].values()),
        "party_mb": max(held["site"].values()),
    }


def run(scratch: Path, dim: int, parties: int, rounds: int, until: float) -> dict[int, list[list[float]]]:
    """Run the job; return what the sites noted."""
    from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
    from nvflare.recipe.poc_env import PocEnv

    initial, notes = scratch / "initial.npy", scratch / "rounds.txt"
    np.save(initial, np.zeros(dim, np.float32))
    recipe = NumpyFedAvgRecipe(
        name="idle",
        initial_ckpt=str(initial),
        min_clients=parties,
        num_rounds=rounds,
        train_script=str(HERE / "nvflare_client.py"),
    )
    environment = PocEnv(num_clients=parties)
    try:
        recipe.execute(environment)
        while time.time() < until:
            found = noted(notes)
            if len(found) >= rounds and all(len(sites) >= parties for sites in found.values()):
                break
            if found and time.time() - notes.stat().st_mtime > LAST_S:
                break
            time.sleep(STEP_S)
    finally:
        with contextlib.suppress(Exception):  # whatever is wrong with its stop: what is left is ended by us
            environment.stop(clean_up=False)
    return noted(notes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--dim", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--patience", type=float, default=300, help="seconds after which it is given up")
    asked = parser.parse_args()
    found = measured(asked.dim, asked.parties, asked.rounds, asked.patience)
    print(json.dumps({"peer": "NVFlare, POC", "dim": asked.dim, "parties": asked.parties, **found}), flush=True)
    os._exit(0)  # threads of its own would keep it alive


if __name__ == "__main__":
    main()
