"""Rounds of a training that trains nothing, in a federation of real processes: ours, as a peer of the peers.

The coordinator and the daemons are the programs that operators start, over mutual TLS, with everything that they sign,
seal and store; the strategy `idle` gives a constant vector. A model of about `--dim` parameters is a perceptron whose
layers have that many. The model that comes back is checked entry by entry. One JSON line:

    round_s       between two updates that the researcher saw opened, the first ones left out
    first_s       from nothing (keys, roster, processes) to the first update opened
    up, down      bytes of a party to and from the coordinator in a round, as the kernel counts them
    *_mb          the most memory that a process has held (10^6 bytes)
    lost          with --lose: a daemon is killed in a round; what passed until a later update was opened

    python benchmarks/peers/training_rounds.py --parties 3 --dim 1000000 --rounds 12 --protection masks
    python benchmarks/peers/training_rounds.py --parties 4 --dim 1000000 --rounds 12 --lose
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from processes import gaps, middle, peak_mb, tree, used_s
from sockets import Traffic, traffic

if TYPE_CHECKING:
    from clients.cli.stage import Stage
    from clients.researcher.training import Training
    from federation.domain.job import Update

HERE = Path(__file__).parent
WARM = 2  # updates that do not count: torch is imported in the first
WIDEST = 4_096  # of a layer
AWAY_S = 2.0  # how long the coordinator waits for a party whose line is closed
SEED, ROWS = 1, 40
CLIP, BITS = 0.01, 22
FEWEST = 3  # parties that must be left
TABLE = """\
[policy]
plain_sums = true

[[dataset]]
name = "rows"
source = "{source}"
k = 1
publish_own_figures = true
[dataset.columns.x]
kind = "real"
low = -5
high = 5
[dataset.columns.y]
kind = "integer"
low = 0
high = 1
"""


def widths(dim: int) -> tuple[int, ...]:
    """Return hidden layers of a perceptron with one input and one output that has about `dim` parameters."""
    squares = 1  # matrices between hidden layers of width w: squares w^2 + (squares + 3) w + 1 parameters
    while True:
        width = round((math.sqrt((squares + 3) ** 2 + 4 * squares * (dim - 1)) - squares - 3) / (2 * squares))
        if width <= WIDEST:
            return (max(1, width),) * (squares + 1)
        squares += 1


def launched(arguments: Sequence[str], state: Path) -> subprocess.Popen[bytes]:
    """Start `federation ARGUMENTS` with the idle strategy; what stands in for `clients.cli.daemons.launched`."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "daemon.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(HERE / "idle_daemon.py"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Watch:
    """Follows a training: when each of its sums was opened, and what processes and connections had used by then."""

    def __init__(self, stage: Stage, parties: Sequence[str], *, lose: bool) -> None:
        self._stage, self._parties = stage, parties
        self._port = int(stage.address.rpartition(":")[2])
        self._lose = parties[-1] if lose else ""
        self.stamps: dict[int, float] = {}  # sums opened so far -> when
        self.traffic: dict[int, Traffic | None] = {}
        self.used_s: dict[int, float] = {}
        self.killed_at = 0.0

    def see(self, update: Update) -> None:
        """Note a line of the job's life."""
        index = update.round_index
        if index in self.stamps:
            return
        self.stamps[index] = time.perf_counter()
        self.traffic[index] = traffic(self._stage.processes[self._parties[0]].pid, self._port)
        self.used_s[index] = sum(used_s(process.pid) for process in self._stage.processes.values())
        if self._lose and index > WARM + 3:
            time.sleep(middle(gaps(sorted(self.stamps.values()))[WARM + 1 :]) / 2)  # somewhere within a round
            self.killed_at = time.perf_counter()
            self._stage.kill(self._lose)
            self._lose = ""

    def counted(self, scalings: int) -> list[int]:
        """Return the sums that count, of updates, in order; where one was lost, those before."""
        opened = sorted(index for index in self.stamps if index >= scalings + WARM)
        return [index for index in opened if not self.killed_at or self.stamps[index] < self.killed_at]

    def lost(self) -> dict[str, float]:
        """What passed between the kill and the update that waited for the dead, and the deadline of that wait."""
        waited = min(at for at in self.stamps.values() if at > self.killed_at + 0.9 * AWAY_S)
        return {"took_s": waited - self.killed_at, "deadline_s": AWAY_S, "more_s": waited - self.killed_at - AWAY_S}


def followed(training: Training, watch: Watch) -> None:
    """Follow a training until it ends."""
    for update in training.handle.transport.watch(training.handle.job_hash):
        watch.see(update)
        if update.state.ended and update.state.value != "released":
            raise SystemExit(f"the training ended {update.state}: {update.blames}")


def check(training: Training, rounds: int) -> int:
    """Hold the model against what idle rounds make of the initial one; return its parameters."""
    from federation.domain.job import digest
    from federation.jobs.training import LABEL

    trained = training.result(best=False)
    initial = trained.course.chosen.layout.initial(digest(f"{LABEL}/seed", SEED.to_bytes(8, "big")))
    furthest = float(np.max(np.abs(trained.model - initial - np.float32(rounds * 1e-3))))
    if furthest > 1e-6 * rounds:
        raise SystemExit(f"the model is {furthest} away from what {rounds} idle rounds make of it")
    return trained.course.chosen.layout.size


def measured(dim: int, parties: int, rounds: int, protection: str, *, bits: int, lose: bool) -> dict[str, Any]:
    """Run a whole federation and return what a round of it takes."""
    began = time.perf_counter()
    import idle_daemon  # noqa: F401 - our own process must know the strategy too

    from clients.cli import daemons
    from clients.cli.stage import COORDINATOR, Stage
    from clients.researcher.training import strategy

    daemons.launched = launched
    names = [f"p{number}" for number in range(parties)]
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "rows.csv"
        source.write_text("x,y\n" + "".join(f"{row % 11 / 10},{row % 2}\n" for row in range(ROWS)))
        tables = dict.fromkeys(names, TABLE.format(source=source))
        with Stage(Path(scratch) / "stage", tables, coordinator_lines=f"away_s = {AWAY_S}\n") as stage:
            started = time.perf_counter()
            session = stage.session()
            watch = Watch(stage, names, lose=lose)
            training = session.train(
                model="mlp",
                data=session.table("rows", protection=protection),
                target="y",
                config={"hidden": widths(dim)},
                strategy=strategy("idle")(rounds=rounds + WARM, weighted=False, clip=CLIP, bits=bits),
                holdout=0.0,
                seed=SEED,
                minimum_parties=FEWEST if lose else None,
            )
            followed(training, watch)
            size = check(training, rounds + WARM)
            peaks = {name: sum(map(peak_mb, tree(process.pid))) for name, process in stage.processes.items()}
    scalings = max(watch.stamps) - rounds - WARM
    counted = watch.counted(scalings)
    spent = gaps([watch.stamps[index] for index in counted])
    first, last = counted[0], counted[-1]
    before, after = watch.traffic[first], watch.traffic[last]
    alive = [mb for name, mb in peaks.items() if name != COORDINATOR]
    return {
        "dim": size,
        "round_s": spent,
        "median_s": middle(spent),
        "cpu_s": (watch.used_s[last] - watch.used_s[first]) / (last - first),
        "started_s": started - began,
        "first_s": watch.stamps[scalings + 1] - began,
        "up": (after.sent - before.sent) / (last - first) if before and after else None,
        "down": (after.received - before.received) / (last - first) if before and after else None,
        "coordinator_mb": peaks[COORDINATOR],
        "party_mb": max(alive),
        "lost": watch.lost() if lose else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--dim", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--rounds", type=int, default=12, help=f"updates that count, after {WARM} that do not")
    parser.add_argument("--bits", type=int, default=BITS, help="of an entry of an update")
    parser.add_argument("--protection", default="masks", choices=("masks", "plain"))
    parser.add_argument("--lose", action="store_true", help="kill a daemon in the middle of a round")
    asked = parser.parse_args()
    found = measured(asked.dim, asked.parties, asked.rounds, asked.protection, bits=asked.bits, lose=asked.lose)
    print(json.dumps({"peer": f"ours, {asked.protection}", "parties": asked.parties, **found}))


if __name__ == "__main__":
    main()
