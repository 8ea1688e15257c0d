"""How fast models are through `fed.local`, beside statsmodels on the pooled frame: a logit of 10 terms, and others.

Three parties hold Parquet files, made by DuckDB from hashes so that they are the same everywhere; masks, signatures and
checks are paid for. The peer has its frame in memory before the clock starts. Ours and the peer in turn, each in a
fresh process, with its peak of resident memory; medians. Processor time stands beside the wall, since other work on the
machine moves that. (`statistics.py` would hide Python's own module.) `--json` ends with one JSON object.

    python benchmarks/models.py [--runs N] [--rows N] [--json] [--ours-only]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARTIES = {"guangdong": (0.0, 0.5), "hongkong": (0.5, 0.8), "macao": (0.8, 1.0)}
TERMS = tuple(f"x{i}" for i in range(10))
BAR, AIM, MOST_MB = 1.0, 0.5, 1000.0  # of the peer's time, and of memory, for the logit
MODELS = {
    "logit, 10 terms": ("glm", f"y ~ {' + '.join(TERMS)}", {"family": "binomial"}),
    "poisson, 10 terms": ("glm", f"c ~ {' + '.join(TERMS)}", {"family": "poisson"}),
    "least squares, 10 terms": ("ols", f"x0 ~ {' + '.join(TERMS[1:])}", {}),
    "least squares, HC3": ("ols", f"x0 ~ {' + '.join(TERMS[1:])}", {"cov_type": "HC3"}),
}


def made(folder: Path, rows: int) -> None:
    """Write one Parquet file a party: normal, skewed and whole columns, an outcome of 0 and 1, and a count."""
    import duckdb

    connection = duckdb.connect()

    def uniform(salt: int) -> str:
        return f"((hash(i * 31 + {salt}) % 1000003)::DOUBLE + 0.5) / 1000003"

    def normal(salt: int) -> str:
        return f"sqrt(-2 * ln({uniform(2 * salt)})) * cos(2 * pi() * {uniform(2 * salt + 1)})"

    columns = [f"50 + 10 * {normal(0)} AS x0", f"exp({normal(1)}) AS x1", f"floor(100 * {uniform(99)})::BIGINT AS x2"]
    columns += [f"{normal(i)} AS {name}" for i, name in enumerate(TERMS) if i > 2]
    eta = "0.02 * x0 + 0.3 * x1 - 0.01 * x2 + 0.2 * x3 - 0.2 * x4 + 0.1 * x5 - 0.1 * x6 + 0.4 * x8 - 0.3 * x9 - 1"
    outcome = f"({uniform(777)} < 1 / (1 + exp(-({eta}))))::BIGINT AS y"
    count = f"floor(-ln({uniform(778)}) * exp(0.3 * ({eta})) * 3)::BIGINT AS c"
    for party, (low, high) in PARTIES.items():
        span = f"range({int(low * rows)}, {int(high * rows)}) numbers(i)"
        inner = f"SELECT i, {', '.join(columns)} FROM {span}"
        connection.execute(
            f"COPY (SELECT * EXCLUDE (i), {outcome}, {count} FROM ({inner})) TO '{folder / party}.parquet'"
        )


def ours(name: str, folder: Path) -> dict[str, float]:
    """Fit through a federation of three parties."""
    import federation as fed

    statistic, formula, given = MODELS[name]
    with fed.local({party: str(folder / f"{party}.parquet") for party in PARTIES}) as session:
        table = session.table("data")
        table.where("x3 > 100").count()  # the first job of a process pays for imports
        wall, cpu = time.perf_counter(), time.process_time()
        result = getattr(table, statistic)(formula, **given)
        return {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "rss": peak(),
            "rounds": result.iterations,
            "llf": result.llf,
        }


def pooled(name: str, folder: Path) -> dict[str, float]:
    """Fit statsmodels on the pooled frame."""
    import pandas as pd
    import statsmodels.api as sm

    frame = pd.concat([pd.read_parquet(folder / f"{party}.parquet") for party in PARTIES], ignore_index=True)
    _, formula, given = MODELS[name]
    response, _, terms = formula.partition(" ~ ")
    wall, cpu = time.perf_counter(), time.process_time()
    columns = sm.add_constant(frame[terms.split(" + ")])
    if name.startswith("logit"):
        fit = sm.Logit(frame[response], columns).fit(disp=0)
    elif name.startswith("poisson"):
        fit = sm.GLM(frame[response], columns, family=sm.families.Poisson()).fit()
    else:
        fit = sm.OLS(frame[response], columns).fit(cov_type=given.get("cov_type", "nonrobust"))
    said = (fit.bse, fit.llf)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "rss": peak(),
        "llf": float(said[1]),
    }


def together(folder: Path) -> dict[str, float]:
    """Ask fifty statistics of at most three rounds in one job, and count its secure sums."""
    import federation as fed
    from clients.researcher.asking import ask

    asked = [ask.ols(f"x0 ~ {' + '.join(TERMS[1 : 2 + i % 8])} + I(x9 * {i + 1})", cov_type="HC1") for i in range(10)]
    asked += [ask.mean(name) for name in TERMS] + [ask.var(name) for name in TERMS]
    asked += [ask.quantile(name, 0.1 * (i + 1)) for i in range(2) for name in TERMS]
    with fed.local({party: str(folder / f"{party}.parquet") for party in PARTIES}) as session:
        table = session.table("data").where("x2 < 2")
        wall, cpu = time.perf_counter(), time.process_time()
        results = session.run(asked, data=table)
        spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "rss": peak()}
        return {**spent, "statistics": len(results), "rounds": session.jobs()[-1].round_index}


def peak() -> float:
    """Return the peak of resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(kind: str, name: str, folder: Path) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--only", kind, "--model", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def middle(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def compared(folder: Path, runs: int, *, peers: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Measure every model, ours and the peer in turn, and print a line for each."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in MODELS:
        own: list[dict[str, float]] = []
        other: list[dict[str, float]] = []
        for _ in range(runs):
            own.append(apart("ours", name, folder))
            if peers:
                other.append(apart("peer", name, folder))
        mine = middle(own)
        found[name] = {"ours": mine}
        line = f"{name:26}{mine['wall']:8.2f} s {mine['cpu']:7.2f} s {mine['rss']:7.0f} MB {mine['rounds']:4.0f} rounds"
        if other:
            found[name]["peer"] = theirs = middle(other)
            line += f"   statsmodels {theirs['wall']:6.2f} s {theirs['cpu']:6.2f} s {theirs['rss']:6.0f} MB"
            line += f"   {mine['wall'] / theirs['wall']:5.2f} x (processor {mine['cpu'] / theirs['cpu']:.2f} x)"
            if abs(mine["llf"] - theirs["llf"]) > 1e-8 * abs(theirs["llf"]):
                line += "   DIFFERENT RESULT"
        if name.startswith("logit"):
            line += f"   bar {BAR:g} x, aim {AIM:g} x, {MOST_MB:g} MB"
        print(line)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--model", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        kinds = {"ours": ours, "peer": pooled}
        folder = Path(asked.folder)
        print(json.dumps(together(folder) if asked.only == "together" else kinds[asked.only](asked.model, folder)))
        return
    machine = f"{os.cpu_count()} x {platform.processor() or platform.machine()}, Python {platform.python_version()}"
    print(f"{asked.rows:,} rows of Parquet in {len(PARTIES)} parties; {machine}; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as scratch:
        made(Path(scratch), asked.rows)
        found: dict[str, Any] = compared(Path(scratch), asked.runs, peers=not asked.ours_only)
        found["fifty in one job"] = several = apart("together", "", Path(scratch))
        print(f"{several['statistics']:.0f} statistics in one job: {several['rounds']:.0f} secure sums, bar 3")
    if asked.json:
        print(json.dumps({"rows": asked.rows, "runs": asked.runs, "machine": machine, "results": found}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
