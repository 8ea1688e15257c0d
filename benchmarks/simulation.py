"""Simulations of many parties in one process: parties a second without masks, seconds a round with them; and Flower's.

No-op training of one vector: every party returns an array, so what is measured is the engine. Ours quantises, packs,
adds, opens and merges as daemons do; with masks a round is a whole masked sum, and one party in ten is lost in it.
Flower's simulation engine (ray) averages floats without masks. Each measurement is a process of its own, ours and the
peer in turn; processor time counts all processes that a measurement started, and is what another load on the machine
distorts less. Nothing here fails because something is slow.

    python benchmarks/simulation.py                 ours and Flower's, 100 and 1,000 parties: `make peers` first
    python benchmarks/simulation.py --ours-only     without the peer
    python benchmarks/simulation.py --json          one JSON line for each measurement, nothing else
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clients.local.simulation import simulate
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout, Part, Tensor
from federation.training.merging import added
from federation.training.model import Model
from federation.training.strategy import Public, Rows, Schedule, Strategy, Update, Work

HERE = Path(__file__).parent
PEERS_PYTHON = HERE.parent / ".peers" / "bin" / "python"
PEER = HERE / "peers" / "flower_simulation.py"
PLAIN, MASKED = "plain", "masked"
PARTIES_A_SECOND, ROUND_S = 2000, 15.0  # what the project promises itself
LOST = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of the vector."""

    length: int


class Flat(Model[Size]):
    """One vector that nothing is computed with."""

    name: ClassVar[str] = "flat"
    version: ClassVar[int] = 1
    Config: ClassVar[type] = Size

    def layout(self, config: Size, inputs: Inputs) -> Layout:  # noqa: ARG002 - the contract's
        return Layout(tensors=(Tensor(name="w", shape=(config.length,), part=Part.WEIGHT, fan_in=1),))

    def module(self, config: Size, inputs: Inputs) -> None:  # noqa: ARG002 - the contract's
        return None


class NoTraining(Strategy[Schedule]):
    """Every party moves every number by 0.001; `ends` are the clock and the processor time after each round."""

    name: ClassVar[str] = "no_training"
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def local_step(self, parameters: Schedule, work: Work) -> Update:  # noqa: ARG002 - the contract's
        return Update(vector=np.full(work.layout.size, 1e-3, dtype=np.float32), weight=1)

    def merge(
        self,
        parameters: Schedule,  # noqa: ARG002 - the contract's
        layout: Layout,  # noqa: ARG002
        public: Public,
        mean: NDArray[np.float64],
        round_index: int,  # noqa: ARG002
    ) -> Public:
        merged = Public(model=added(public.model, mean))
        self.ends.append((time.perf_counter(), time.process_time()))
        return merged


def ours(way: str, parties: int, rounds: int, dim: int) -> dict[str, Any]:
    """Simulate in this process; the first round pays for imports and is left out."""
    row = Rows(numbers=np.zeros((1, 1), np.float32), codes=np.zeros((1, 0), np.int64), target=np.zeros(1, np.float32))
    strategy = NoTraining()
    found, history = simulate(
        strategy,
        Schedule(rounds=rounds + 1),
        Flat(),
        Size(length=dim),
        Inputs(numbers=1, task=Task.REGRESSION),
        [row] * parties,
        1,
        masked=way == MASKED,
        dropped=LOST if way == MASKED else 0.0,
    )
    spent = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(strategy.ends)]
    first = Flat().layout(Size(length=dim), Inputs(numbers=1, task=Task.REGRESSION))
    assert len(history) == rounds + 1
    assert found.model.shape == (first.size,)
    round_s, cpu_s = (statistics.median(one[part] for one in spent) for part in (0, 1))
    return {"who": "ours", "way": way, "parties": parties, "dim": dim, "round_s": round_s, "cpu_s": cpu_s}


def measured(command: list[str]) -> dict[str, Any]:
    """Run one measurement in a process of its own; its last JSON line, and the processor time of all of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(lines[-1]), "whole_cpu_s": whole, "load": os.getloadavg()[0]}


def turns(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Take all measurements, ours and the peer's in turn."""
    peer = not asked.ours_only and PEERS_PYTHON.exists()
    if not asked.ours_only and not peer:
        print("the peer is not installed, only ours is measured: make peers", file=sys.stderr)
    found = []
    for parties in asked.parties:
        rounds = max(1, asked.rounds * 100 // parties)
        for way in (PLAIN, MASKED):
            count = rounds if way == PLAIN else 1
            own = [sys.executable, __file__, "--one", way, str(parties), str(count), str(asked.dim)]
            found.append(measured(own))
            say(asked, found[-1])
        if peer:
            found.append(
                measured([str(PEERS_PYTHON), str(PEER), str(parties), str(max(2, rounds // 4)), str(asked.dim)])
            )
            say(asked, found[-1])
    return found


def say(asked: argparse.Namespace, one: dict[str, Any]) -> None:
    """Print a measurement as soon as it is there."""
    if asked.json:
        print(json.dumps(one), flush=True)
        return
    a_second, a_cpu_second = one["parties"] / one["round_s"], one["parties"] / one["cpu_s"]
    verdict = ""
    if one["who"] == "ours":
        holds = a_second >= PARTIES_A_SECOND if one["way"] == PLAIN else one["round_s"] <= ROUND_S
        bar = f">= {PARTIES_A_SECOND} a second" if one["way"] == PLAIN else f"<= {ROUND_S:g} s a round"
        verdict = f"{bar}: {'yes' if holds else 'MISSED'}"
    clock = f"{one['round_s']:>9.3f} s a round{a_second:>8.0f} a second"
    used = f"{one['cpu_s']:>9.2f} CPU s a round{a_cpu_second:>8.0f} a CPU second"
    who = f"{one['who']:<8}{one['way']:<8}{one['parties']:>6} parties"
    print(f"{who}{clock}{used}   load {one['load']:.1f}   {verdict}".rstrip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--dim", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=20, help="of 100 parties; of more in proportion fewer")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        way, *numbers = asked.one
        print(json.dumps(ours(way, *map(int, numbers))))
        return
    turns(asked)


if __name__ == "__main__":
    main()
