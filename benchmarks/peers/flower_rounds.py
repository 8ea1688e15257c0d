"""Rounds of Flower's deployment mode that train nothing: a SuperLink and n SuperNodes on loopback, without TLS.

Runs in the environment of `make peers`; one JSON line. The processes are Flower's own commands as it ships them, with
telemetry and update checks off and without installing dependencies at every run. A round is the time between two
merges of the server app; what lies before the first is starting up. Loopback's bytes are everybody's on this machine.

    .peers/bin/python benchmarks/peers/flower_rounds.py --kind plain --parties 3 --dim 1000000 --rounds 4
    .peers/bin/python benchmarks/peers/flower_rounds.py --kind secagg --parties 3 --dim 1000000 --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import STEP_S, Peaks, end, free_port, gaps, middle

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
LISTENS_S = 60.0
APP = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "bench{kind}"
version = "1.0.0"
description = "rounds that train nothing"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>=1.41.0", "numpy>=1.26"]
[tool.hatch.build.targets.wheel]
packages = ["."]
[tool.flwr.app]
publisher = "bench"
fab-format-version = 1
flwr-version-target = "1.41.0"
[tool.flwr.app.components]
serverapp = "benchapp.{kind}_server:app"
clientapp = "benchapp.{kind}_client:app"
[tool.flwr.app.config]
dim = 1
parties = 3
rounds = 1
"""
HOME = """\
[superlink]
default = "bench"
[superlink.bench]
address = "127.0.0.1:{port}"
insecure = true
"""


def written(scratch: Path, kind: str, port: int) -> Path:
    """Write the app and Flower's home into a folder; return where the app is."""
    app, home = scratch / "app", scratch / "home"
    shutil.copytree(HERE / "flower_app", app / "benchapp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "processes.py", app / "benchapp" / "processes.py")
    shutil.copy(HERE.parents[1] / "LICENSE", app / "LICENSE")
    (app / "pyproject.toml").write_text(APP.format(kind=kind))
    home.mkdir()
    (home / "config.toml").write_text(HOME.format(port=port))
    return app


def measured(kind: str, dim: int, parties: int, rounds: int, patience_s: float) -> dict[str, Any]:
    """Start everything, run the app, end everything, and return what its rounds took."""
    began, port = time.time(), free_port()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        scratch = Path(folder)
        app = written(scratch, kind, port)
        log = stack.enter_context((scratch / "log.txt").open("wb"))
        switches = {
            "FLWR_HOME": str(scratch / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "BENCHMARK_SCRATCH": folder,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        processes: list[subprocess.Popen[bytes]] = []
        stack.callback(lambda: end(processes))

        def started(program: str, *arguments: object) -> int:
            line = [str(BIN / program), "--insecure", *map(str, arguments)]
            environment = {**os.environ, **switches}
            processes.append(subprocess.Popen(line, env=environment, stdout=log, stderr=log, start_new_session=True))
            return processes[-1].pid

        link = started("flower-superlink", "--disable-runtime-dependency-installation", "--port", port)
        nodes = [
            started(
                "flower-supernode", "--superlink", f"127.0.0.1:{port}", "--port", free_port(),
                "--node-config", f"partition-id={number}",
            )
            for number in range(parties)
        ]  # fmt: skip
        listening(port)
        config = f"dim={dim} parties={parties} rounds={rounds}"
        done = subprocess.run(
            [str(BIN / "flwr"), "run", str(app), "bench", "-c", config],
            env={**os.environ, **switches}, stdout=log, stderr=log, check=False,
        )  # fmt: skip
        peaks = Peaks(lambda: {"superlink": [link], "supernode": nodes})
        found = scratch / "rounds.json"
        while done.returncode == 0 and not found.exists() and time.time() - began < patience_s:
            time.sleep(STEP_S)
        seen = peaks.end()
        if not found.exists():
            log.flush()
            last = (scratch / "log.txt").read_text(errors="replace")[-600:]
            raise SystemExit(f"Flower ended without rounds after {time.time() - began:.0f} s: {last}")
        noted, clients = json.loads(found.read_text()), (scratch / "clients.txt").read_text().splitlines()
    # Descendants are the apps, which say themselves what they held, and idle launchers.
    held = {"superlink": seen["superlink"][link], "supernode": max(seen["supernode"][node] for node in nodes)}
    return summary(noted, clients, held, parties, began)


def summary(
    noted: dict[str, Any], clients: list[str], held: dict[str, float], parties: int, began: float
) -> dict[str, Any]:
    """Return the figures of a run. Raises SystemExit if an answer was missing."""
    rounds = noted["rounds"]
    if any(one["answers"] != parties for one in rounds):
        raise SystemExit("an answer of Flower's clients was missing")
    spent = gaps([one["ended"] for one in rounds])
    server_app = float(noted["peak_mb"])
    client_app = max(float(line.split()[1]) for line in clients)
    return {
        "round_s": spent,
        "median_s": middle(spent),
        "first_s": rounds[0]["ended"] - began,
        "loopback": middle(one["loopback"] for one in rounds[1:]),
        "coordinator_mb": held["superlink"] + server_app,
        "party_mb": held["supernode"] + client_app,
        "peaks_mb": {**held, "server app": server_app, "client app": client_app},
    }


def listening(port: int) -> None:
    """Return once somebody listens."""
    until = time.time() + LISTENS_S
    while time.time() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(STEP_S)
        else:
            return
    raise SystemExit("Flower's SuperLink does not listen")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("plain", "secagg"), default="plain")
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--dim", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--patience", type=float, default=300, help="seconds after which it is given up")
    asked = parser.parse_args()
    found = measured(asked.kind, asked.dim, asked.parties, asked.rounds, asked.patience)
    print(json.dumps({"peer": f"Flower, {asked.kind}", "dim": asked.dim, "parties": asked.parties, **found}))


if __name__ == "__main__":
    main()
