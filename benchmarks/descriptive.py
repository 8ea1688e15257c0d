"""How fast descriptive statistics are through `fed.local`, beside numpy and scipy on the pooled rows.

Three parties in one process, with masks and signatures; every run is a federation of its own, since an equal question
is answered from what was opened before. Ours and the peer in turn; medians. (`statistics.py` would hide Python's own
module from the other benchmarks.) `--json` ends with one JSON object on the last line.

    python benchmarks/descriptive.py [--runs N] [--rows N] [--json] [--ours-only]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import federation as fed
from clients.researcher.asking import ask
from clients.researcher.session import Session
from federation.domain.job import Computation

PARTIES = ("guangdong", "hongkong", "macao")
COLUMNS = tuple(f"x{i}" for i in range(20))
BARS_S = {"covariance of 20 columns": 2.0, "mean and variance of one": 0.5}  # at a million and at 3 million rows


def frame(rows: int) -> pd.DataFrame:
    """Return correlated normal columns, a skewed one, and two that group."""
    dice = np.random.default_rng(1)
    made = pd.DataFrame(dice.normal(size=(rows, 20)) @ dice.normal(size=(20, 20)), columns=list(COLUMNS))
    made["gain"] = dice.lognormal(3, 1, rows)
    made["sex"] = np.where(made.x0 > 0, "f", "m")
    made["sick"] = np.where(made.x1 + made.x2 > 1, "yes", "no")
    return made


def cases() -> dict[str, tuple[list[Computation], Callable[[pd.DataFrame], object]]]:
    """Return what is asked, and what the peer computes on the pooled rows."""
    from scipy import stats

    return {
        "covariance of 20 columns": ([ask.cov(COLUMNS)], lambda rows: np.cov(rows[list(COLUMNS)].to_numpy().T)),
        "mean and variance of one": ([ask.mean("x0"), ask.var("x0")], lambda rows: (rows.x0.mean(), rows.x0.var())),
        "skewness and kurtosis": (
            [ask.skew("gain"), ask.kurtosis("gain")],
            lambda rows: (stats.skew(rows.gain), stats.kurtosis(rows.gain)),
        ),
        "chi-square of two by two": (
            [ask.chi2("sex", "sick")],
            lambda rows: stats.chi2_contingency(pd.crosstab(rows.sex, rows.sick)),
        ),
        "Welch's t-test": (
            [ask.t_test("gain", by="sex")],
            lambda rows: stats.ttest_ind(rows.gain[rows.sex == "f"], rows.gain[rows.sex == "m"], equal_var=False),
        ),
        "Gini coefficient in 1,000 bins": (
            [ask.gini("gain")],
            lambda rows: np.cumsum(np.sort(rows.gain.to_numpy())).sum(),
        ),
        "area under the curve in 256 bins": (
            [ask.auc("x3", "sick")],
            lambda rows: stats.mannwhitneyu(rows.x3[rows.sick == "yes"], rows.x3[rows.sick == "no"]),
        ),
    }


def session(rows: pd.DataFrame) -> Session:
    """Return a new federation of three unequal parties."""
    cuts = [0, int(len(rows) * 0.3), int(len(rows) * 0.7), len(rows)]
    return fed.local({name: rows[a:b] for name, a, b in zip(PARTIES, cuts, cuts[1:], strict=False)})


def measured(rows: pd.DataFrame, runs: int, *, peers: bool) -> dict[str, dict[str, float]]:
    """Return medians in seconds: ours, of the wall and of the processor, and the peer's."""
    found: dict[str, dict[str, list[float]]] = {name: {"ours": [], "cpu": [], "peer": []} for name in cases()}
    for _ in range(runs):
        with session(rows) as here:
            table = here.table("data")
            here.run([ask.count("x19")], data=table)  # the first job of a process pays for imports
            for name, (asked, peer) in cases().items():
                wall, cpu = time.perf_counter(), time.process_time()
                here.run(asked, data=table)
                found[name]["ours"].append(time.perf_counter() - wall)
                found[name]["cpu"].append(time.process_time() - cpu)
                if peers:
                    wall = time.perf_counter()
                    peer(rows)
                    found[name]["peer"].append(time.perf_counter() - wall)
    return {name: {kind: statistics.median(each) for kind, each in of.items() if each} for name, of in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours-only", action="store_true")
    options = parser.parse_args()
    rows = frame(options.rows)
    machine = f"{os.cpu_count()} x {platform.processor() or platform.machine()}, Python {platform.python_version()}"
    print(f"{options.rows:,} rows in {len(PARTIES)} parties; {machine}; load {os.getloadavg()[0]:.1f}")
    found = measured(rows, options.runs, peers=not options.ours_only)
    for name, each in found.items():
        line = f"{name:34} {each['ours']:7.3f} s  (processor {each['cpu']:.3f} s)"
        if "peer" in each:
            line += f"   pooled {each['peer']:7.3f} s   {each['ours'] / each['peer']:6.2f} x"
        bar = BARS_S.get(name)
        print(line + (f"   bar {bar} s" if bar else ""))
    if options.json:
        report: dict[str, Any] = {"rows": options.rows, "runs": options.runs, "machine": machine, "seconds": found}
        print(json.dumps(report))


if __name__ == "__main__":
    main()
