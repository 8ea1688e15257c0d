"""Key ceremonies in one process: CPU and bytes a candidate, whole runs, and what they let one expect.

All holders take turns in one process, so CPU time is that of all of them together, whatever else the machine does; what
carries words between real daemons is not in it. Candidates are seeded: the same in every run. `cryptography` and numpy
let threads run side by side, one holder's work on two cores is what `--threads 2` shows on the clock.
No peer makes such keys in this time: TNO's distributed_keygen 4.3.0 (honest majority) took 10.5 s CPU for 512 bits
and three parties, and had not ended at 2048 bits after 260 s of it.

    python benchmarks/key_ceremony.py                                    candidates at 2048 and 3072, a run at 512
    python benchmarks/key_ceremony.py --runs 512,1024,2048 --seeds 5     whole runs as well
    python benchmarks/key_ceremony.py --bits 2048 --holders 10           another circle
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from federation.crypto import blinding
from federation.protocols.key_ceremony.estimate import estimate_of
from federation.protocols.key_ceremony.events import Abort, Begin, Boundary, Delivered, Done, Effect, Event, Heard, Send
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.party import step
from federation.protocols.key_ceremony.states import Idle, State
from federation.protocols.key_ceremony.terms import Ceremony

BARS_MS = {2048: 15.0, 3072: 35.0}  # CPU a candidate, three holders together
BAR_BYTES = {2048: 400_000}
BAR_CI_S = 5.0  # a run at 512 bits
BARS_WALL_S = {2048: 60.0, 3072: 240.0}  # the median run on two cores
CORES = 2


@dataclass
class Meter:
    """CPU seconds and bytes of every step, wall seconds and batches."""

    cpu: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    wall: float = 0.0
    batches: int = 0

    @property
    def of_batches(self) -> list[What]:
        """The steps that every batch has."""
        founding = (What.OFFER, What.REPLY, What.SUMS)
        finish = (What.CONFIRM, What.BLIND, What.SHARE, What.KEY, What.DECRYPT, What.AGREE, What.DISPUTE)
        return [what for what in What if what not in founding + finish]


class Circle:
    """All holders of one ceremony."""

    def __init__(self, ceremony: Ceremony, meter: Meter, seed: str) -> None:
        self.ceremony, self.meter = ceremony, meter
        self.states: dict[str, State] = {me: Idle() for me in ceremony.holders}
        self.effects: dict[str, tuple[Effect, ...]] = {}
        begins = {
            me: Begin(ceremony=ceremony, me=me, entropy=hashlib.sha256(f"{seed} {me}".encode()).digest())
            for me in ceremony.holders
        }
        self._step(begins, "begin")

    def _step(self, events: dict[str, Event], what: str) -> None:
        began, began_cpu = time.perf_counter(), time.process_time()
        for me, event in events.items():
            transition = step(self.states[me], event)
            self.states[me], self.effects[me] = transition.state, transition.effects
        self.meter.cpu[what] += time.process_time() - began_cpu
        self.meter.wall += time.perf_counter() - began

    def run(self, most: int | None = None) -> Iterator[What]:
        """Go on to the end, or for so many batches; yield every step whose words are on the way, before delivery."""
        while True:
            effects = [effect for of_one in self.effects.values() for effect in of_one]
            if any(isinstance(effect, Done | Abort) for effect in effects):
                return
            proceeds = {
                me: effect.proceed for me, own in self.effects.items() for effect in own if isinstance(effect, Boundary)
            }
            if proceeds and self.meter.batches == most:
                return
            if proceeds:
                self.meter.batches += 1
                self._step(dict(proceeds), "draw")
                continue
            boxes: dict[str, list[Heard]] = {me: [] for me in self.states}
            for me, own in self.effects.items():
                for send in own:
                    assert isinstance(send, Send)
                    what = send.word.what
                    boxes[send.to].append(Heard(sender=me, word=send.word, box=send.box))
                    self.meter.sent[what] += len(send.box) + len(send.word.body)
            yield what
            self._step({me: Delivered(heard=tuple(heard)) for me, heard in boxes.items()}, what)

    @property
    def done(self) -> Done:
        """Everybody's key, which is the same."""
        found = [effect for own in self.effects.values() for effect in own if isinstance(effect, Done)]
        assert len(found) == len(self.states)
        assert len({done.key for done in found}) == 1
        return found[0]


def circle_of(bits: int, holders: int, seed: str, meter: Meter) -> Circle:
    names = tuple(f"holder{i}" for i in range(holders))
    ceremony = Ceremony.standard(id=hashlib.sha256(f"{seed} {bits}".encode()).digest(), holders=names, bits=bits)
    return Circle(ceremony, meter, seed)


def measured_candidates(bits: int, holders: int, count: int) -> dict[str, Any]:
    """Measure so many candidates or a few more, in whole batches; whichever is a modulus, the next batch follows."""
    meter, turn, batches = Meter(), 0, None
    while batches is None or meter.batches < batches:
        circle = circle_of(bits, holders, f"candidates {turn}", meter)
        batches, turn = -(-count // circle.ceremony.batch), turn + 1
        for what in circle.run(batches):
            if what is What.BLIND:  # a modulus: another circle goes on
                break
    tries = meter.batches * circle.ceremony.batch
    steps = ["draw", *meter.of_batches]
    cpu = {what: 1000 * meter.cpu[what] / tries for what in steps}
    sent = {what: meter.sent[what] / tries for what in meter.of_batches}
    return {
        "bits": bits,
        "holders": holders,
        "candidates": tries,
        "batch": circle.ceremony.batch,
        "ms": sum(cpu.values()),
        "bytes": sum(sent.values()),
        "estimated_bytes": estimate_of(circle.ceremony).candidate_bytes,
        "ms_of": cpu,
        "bytes_of": sent,
        "setup_s": sum(meter.cpu[what] for what in ("begin", What.OFFER, What.REPLY, What.SUMS)) / turn,
    }


def measured_run(bits: int, holders: int, seed: int) -> dict[str, Any]:
    """Measure a ceremony from its first word to the key."""
    meter = Meter()
    circle = circle_of(bits, holders, f"run {seed}", meter)
    for _ in circle.run():
        pass
    finish = (What.CONFIRM, What.BLIND, What.SHARE, What.KEY, What.DECRYPT, What.AGREE)
    return {
        "bits": bits,
        "tries": circle.done.tries,
        "batches": meter.batches,
        "cpu_s": sum(meter.cpu.values()),
        "wall_s": meter.wall,
        "finish_s": sum(meter.cpu[what] for what in finish),
        "megabytes": sum(meter.sent.values()) / 1e6,
    }


def shown_candidates(found: dict[str, Any], ceremony: Ceremony) -> list[dict[str, Any]]:
    """Print a table of the steps and what follows for whole ceremonies; return its bars."""
    bits, estimate = found["bits"], estimate_of(ceremony)
    print(
        f"\n{bits} bits, {found['holders']} holders: {found['candidates']:,} candidates in batches of {found['batch']}"
    )
    print(f"  {'step':<10}{'ms CPU':>9}{'bytes':>10}   each candidate, all holders together")
    for what, cpu in found["ms_of"].items():
        print(f"  {what:<10}{cpu:>9.3f}{found['bytes_of'].get(what, 0):>10,.0f}")
    print(f"  {'all':<10}{found['ms']:>9.2f}{found['bytes']:>10,.0f}   estimated {found['estimated_bytes']:,}")
    print(f"  transfers set up in {found['setup_s']:.2f} s CPU, once")
    for name, tries in (
        ("median", estimate.tries(0.5)),
        ("mean", round(estimate.mean)),
        ("p90", estimate.tries(0.9)),
        ("p99", estimate.tries(0.99)),
    ):
        cpu = tries * found["ms"] / 1000 + found["setup_s"]
        said = f"{cpu:.0f} s CPU, {cpu / CORES:.0f} s on {CORES} cores, {tries * found['bytes'] / 1e6:,.0f} MB"
        print(f"  {name:<7}{tries:>7,} tries: {said}")
    rows = []
    if found["holders"] == 3 and bits in BARS_MS:
        rows.append(row(f"{bits} bits, ms CPU a candidate", BARS_MS[bits], found["ms"]))
        median = (estimate.tries(0.5) * found["ms"] / 1000 + found["setup_s"]) / CORES
        rows.append(row(f"{bits} bits, median run on {CORES} cores, s, without transport", BARS_WALL_S[bits], median))
        if bits in BAR_BYTES:
            rows.append(row(f"{bits} bits, bytes a candidate", BAR_BYTES[bits], found["bytes"]))
    return rows


def row(what: str, bar: float, reached: float) -> dict[str, Any]:
    return {"what": what, "bar": bar, "reached": reached, "reached_bar": reached <= bar}


def machine() -> dict[str, Any]:
    """Describe the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    said = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return {
        "cpu": said.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "vaes": "vaes" in said.get("flags", ""),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "load": os.getloadavg()[0],
    }


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=numbers, default=[2048, 3072], help="lengths to measure candidates of")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--holders", type=int, default=3)
    parser.add_argument("--runs", type=numbers, default=[512], help="lengths to run whole ceremonies of")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs of each")
    parser.add_argument("--threads", type=int, default=1, help="lent to one holder's work, as in a daemon")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    parser.add_argument("--ours-only", action="store_true", help="there is no peer here")
    return parser.parse_args()


def main() -> None:
    asked, here = arguments(), machine()
    print(", ".join(f"{name} {value}" for name, value in here.items()))
    rows, candidates, runs = [], [], []
    with ThreadPoolExecutor(asked.threads) as pool:
        back = blinding.lend(pool.map) if asked.threads > 1 else lambda: None
        for bits in asked.bits:
            candidates.append(measured_candidates(bits, asked.holders, asked.candidates))
            names = tuple(f"holder{i}" for i in range(asked.holders))
            rows += shown_candidates(candidates[-1], Ceremony.standard(id=bytes(32), holders=names, bits=bits))
        for bits in asked.runs:
            of_bits = [measured_run(bits, asked.holders, seed) for seed in range(asked.seeds)]
            runs += of_bits
            for run in of_bits:
                print(
                    f"run at {bits} bits: {run['tries']:,} tries, {run['batches']} batches, {run['cpu_s']:.1f} s CPU, "
                    f"{run['wall_s']:.1f} s, of it the finish {run['finish_s']:.2f}, {run['megabytes']:.0f} MB"
                )
            if bits == 512 and asked.holders == 3:
                middle = statistics.median(run["cpu_s"] for run in of_bits)
                rows.append(row("512 bits, s CPU a run, median", BAR_CI_S, middle))
        back()
    print()
    for one in rows:
        verdict = "yes" if one["reached_bar"] else "MISSED"
        print(f"{one['what']:<58}<= {one['bar']:<9g}{one['reached']:>10.3g}  {verdict}")
    if asked.json:
        print(json.dumps({"candidates": candidates, "runs": runs, "rows": rows, "machine": here}))


if __name__ == "__main__":
    main()
