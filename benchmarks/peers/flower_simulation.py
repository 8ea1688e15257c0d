"""Flower's simulation engine (ray), averaging arrays that no training changed: PARTIES ROUNDS DIM; one JSON line.

Seconds and processor seconds of a round, the median without the first; all processes of the engine are counted.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
os.environ["FLWR_HOME"] = tempfile.mkdtemp(prefix="flower-")

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

TICKS = os.sysconf("SC_CLK_TCK")
client, server = ClientApp(), ServerApp()
ends: list[tuple[float, float]] = []


def used_s() -> float:
    """Return the processor time so far of this session: us, ray's daemons and its workers."""
    session, total = os.getsid(0), 0
    for found in Path("/proc").iterdir():
        if found.name.isdigit():
            try:
                fields = (found / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                total += sum(map(int, fields[11:15]))
    return total / TICKS


@client.train()
def train(message: Message, context: Context) -> Message:  # noqa: ARG001 - Flower's contract
    moved = message.content["arrays"].to_numpy_ndarrays()[0] + np.float32(1e-3)
    content = RecordDict({"arrays": ArrayRecord([moved]), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content=content, reply_to=message)


class Watched(FedAvg):
    """FedAvg that says when a round ended."""

    def aggregate_train(self, number: int, replies: object) -> object:
        """Note the time."""
        found = super().aggregate_train(number, replies)
        ends.append((time.perf_counter(), used_s()))
        return found


@server.main()
def main(grid: Grid, context: Context) -> None:  # noqa: ARG001 - Flower's contract
    way = Watched(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=PARTIES, min_available_nodes=PARTIES)
    start = ArrayRecord([np.zeros(DIM, np.float32)])
    way.start(grid=grid, initial_arrays=start, num_rounds=ROUNDS + 1, train_config=ConfigRecord({"lr": 0.1}))


PARTIES, ROUNDS, DIM = map(int, sys.argv[1:4])
os.setsid() if os.getpid() != os.getsid(0) else None
resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
run_simulation(server_app=server, client_app=client, num_supernodes=PARTIES, backend_config=resources)
spent = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(ends)]
round_s, cpu_s = (statistics.median(one[part] for one in spent) for part in (0, 1))
found = {"who": "flower", "way": "plain", "parties": PARTIES, "dim": DIM, "round_s": round_s, "cpu_s": cpu_s}
print(json.dumps(found), flush=True)
os._exit(0)  # ray's own farewell may wait for ever
