"""Key ceremonies among real daemons: TLS, sealed boxes, sealed memory, on this machine's cores.

Three daemons and the coordinator share the machine, so the clock says what all of them together cost; on machines of
their own they compute side by side. How many tries a key takes is luck: beside the clock of every run stands what a run
of the median number of tries takes, by the time of a batch.

    python benchmarks/key_daemons.py                          512 bits, three runs
    python benchmarks/key_daemons.py --runs 2048:5,3072:2     five at 2048 bits, two at 3072
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from clients.cli.stage import Stage
from federation.identity import control
from federation.protocols.key_ceremony.estimate import estimate_of
from federation.protocols.key_ceremony.terms import Ceremony

HOLDERS = ("guangdong", "hongkong", "macao")
BARS_S = {512: 5.0, 2048: 60.0, 3072: 240.0}  # the median run
POLL_S = 0.05
TICKS = os.sysconf("SC_CLK_TCK")
ROWS = "age\n1\n2\n3\n"
TABLES = """\
[[dataset]]
name = "people"
source = "{source}"
k = 1
[dataset.columns.age]
kind = "integer"
low = 0
high = 9
"""


class Lenient(Stage):
    """A stage whose daemons make keys that protect nobody."""

    def _write_jurisdiction(self, name: str, rest: str) -> None:
        super()._write_jurisdiction(name, rest)
        file = self.jurisdiction_file(name)
        file.write_text(file.read_text().replace("[jurisdiction]\n", "[jurisdiction]\ndevelopment_keys = true\n", 1))


def cpu_s(stage: Stage) -> float:
    """Return the processor time of all daemons so far."""
    stats = (Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2] for process in stage.processes.values())
    return sum(sum(map(int, stat.split()[11:13])) for stat in stats) / TICKS


def run(stage: Stage, bits: int) -> dict[str, Any]:
    """Make a key; return seconds on the clock from the proposal, of the processors, tries and bytes."""
    since, spent, begun = time.monotonic(), cpu_s(stage), 0.0
    order = {"holders": list(HOLDERS), "bits": bits, "lasting_s": 3600}
    which = control.ask(stage.state("macao"), "key_propose", order)["ceremony"]
    waiting = {"guangdong", "hongkong"}
    while True:
        seen = {name: told(stage, name, str(which)) for name in HOLDERS}
        for name in list(waiting):
            if seen[name].get("state") == "proposed":
                control.ask(stage.state(name), "key_approve", {"ceremony": which})
                waiting.remove(name)
        if not begun and seen["macao"].get("step") not in ("", "offer", "reply", "sums", None):
            begun = time.monotonic() - since
        if all(one.get("state") in ("made", "failed") for one in seen.values()):
            break
        time.sleep(POLL_S)
    last = seen["macao"]
    if last["state"] != "made":
        raise SystemExit(f"no key: {last['why']}")
    took = time.monotonic() - since
    return {
        "bits": bits,
        "wall_s": took,
        "setup_s": begun,
        "cpu_s": cpu_s(stage) - spent,
        "tries": last["tries"],
        "received_mb": last["received_bytes"] / 1e6,
    }


def told(stage: Stage, name: str, which: str) -> dict[str, Any]:
    found: Any = control.ask(stage.state(name), "keys", wait_s=60)["ceremonies"]
    return next((one for one in found if one["ceremony"] == which), {})


def report(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the runs of one length, and what a run of the median number of tries takes."""
    bits = runs[0]["bits"]
    terms = Ceremony.standard(id=bytes(32), holders=HOLDERS, bits=bits)
    for one in runs:
        print(
            f"{bits} bits: {one['tries']:>6,} tries, {one['wall_s']:6.1f} s, of them {one['setup_s']:.1f} until the "
            f"first batch; {one['cpu_s']:6.1f} s CPU of all; {one['received_mb']:.0f} MB received by one"
        )
    # Whole batches are computed, and the time from a modulus to a key is the same in all runs.
    batches = [-(-one["tries"] // terms.batch) for one in runs]
    spread = len(set(batches)) > 1
    slope, rest = statistics.linear_regression(batches, [one["wall_s"] for one in runs]) if spread else (
        runs[0]["wall_s"] / batches[0], 0.0
    )  # fmt: skip
    expected = estimate_of(terms)
    at = {share: rest + slope * -(-expected.tries(share) // terms.batch) for share in (0.5, 0.9, 0.99)}
    median = statistics.median(one["wall_s"] for one in runs)
    print(
        f"{bits} bits: median {median:.1f} s; a batch of {terms.batch} {slope:.2f} s; at the median of "
        f"{expected.tries(0.5):,} tries {at[0.5]:.1f} s, p90 {at[0.9]:.1f} s, p99 {at[0.99]:.1f} s; "
        f"bar {BARS_S.get(bits, 0):.0f} s: {'yes' if max(median, at[0.5]) <= BARS_S.get(bits, 0) else 'no'}\n"
    )
    return {
        "bits": bits,
        "median_s": median,
        "batch_s": slope,
        "at_median_s": at[0.5],
        "at_p90_s": at[0.9],
        "runs": runs,
    }


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="512:3", help="lengths and how many runs of each")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    given = parser.parse_args()
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.2f}\n")
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "people.csv"
        source.write_text(ROWS)
        with Lenient(Path(folder) / "stage", dict.fromkeys(HOLDERS, TABLES.format(source=source))) as stage:
            for order in given.runs.split(","):
                bits, times = map(int, order.split(":"))
                reports.append(report([run(stage, bits) for _ in range(times)]))
    if given.json:
        print(json.dumps(reports))


if __name__ == "__main__":
    main()
