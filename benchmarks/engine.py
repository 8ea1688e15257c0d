"""What a party's own engine costs: a logistic step over many rows, descriptive rounds, small frames of notebooks.

The Parquet file is made by DuckDB from hashes of row numbers, so that it is the same everywhere. Every measurement runs
in a fresh process with two threads, and reports the best of several runs in seconds and the peak resident memory in MB.
`--json` ends with one JSON object. Goals: a step over 3,000,000 rows in <= 1 s and <= 400 MB, a frame in a few ms.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS = 10
RUNS = 5
GOALS = {"logistic step": (1.0, 400.0)}


def made(path: Path, rows: int) -> None:
    """Write ten real columns in [-2, 2), a 0/1 outcome and a category of seven."""
    import duckdb

    reals = ", ".join(f"(hash(i * 31 + {j}) % 1000003)::DOUBLE / 1000003 * 4 - 2 AS x{j}" for j in range(COLUMNS))
    sectors = "chr(97 + (hash(i * 13 + 5) % 7)::INTEGER)"
    outcome = "(hash(i * 7 + 99) % 2)::INTEGER"
    connection = duckdb.connect()
    connection.execute(
        f"COPY (SELECT {reals}, {outcome} AS y, {sectors} AS sector FROM range({rows}) numbers(i)) TO '{path}'"
    )


def dataset():
    """Return the publication; its ranges are narrower than the data, so that clipping is paid for."""
    from federation.domain.catalogue import Column, Dataset, Kind

    reals = [Column(name=f"x{j}", kind=Kind.REAL, low=-1.9, high=1.9) for j in range(COLUMNS)]
    return Dataset(
        name="bench",
        title="hashes",
        unit="row",
        columns=(
            *reals,
            Column(name="y", kind=Kind.INTEGER, low=0, high=1),
            Column(name="sector", kind=Kind.CATEGORY, categories=tuple("abcdefg")),
        ),
        k=1,
    )


def logistic_step():
    """Return one Newton step of a logistic regression: 66 sums of the Gram and 11 of the score."""
    from federation.query.expression import Col, Const, Gram, total
    from federation.query.query import SumQuery

    xs = [Col(f"x{j}") for j in range(COLUMNS)]
    chance = total([Const(0.1), *(Const(0.1 * (j + 1)) * x for j, x in enumerate(xs))]).expit()
    residual = Col("y") - chance
    scores = [residual, *(residual * x for x in xs)]
    return (SumQuery(dataset="bench", terms=(Gram(chance * (1 - chance), (Const(1), *xs)), *scores)),)


def describing():
    """Return what several statistics ask together: moments, means by a category, a histogram."""
    from federation.query.expression import Col
    from federation.query.query import Bins, Categories, SumQuery

    moments = [SumQuery(dataset="bench", terms=(Col(f"x{j}"), Col(f"x{j}") ** 2)) for j in range(3)]
    means = SumQuery(dataset="bench", group_by=(Categories("sector"),), terms=(Col("x0"),))
    edges = tuple(-1.9 + 3.8 * i / 40 for i in range(41))
    return (*moments, means, SumQuery(dataset="bench", group_by=(Bins(Col("x1"), edges),)))


def fine_histogram():
    """Return a histogram of 4,096 bins."""
    from federation.query.expression import Col
    from federation.query.query import Bins, SumQuery

    return (SumQuery(dataset="bench", group_by=(Bins(Col("x1"), tuple(-1.9 + 3.8 * i / 4096 for i in range(4097))),)),)


ROUNDS = {"logistic step": logistic_step, "descriptive round": describing, "histogram of 4096 bins": fine_histogram}


def best(run: Callable[[], object], runs: int = RUNS) -> float:
    """Return the least seconds of several runs."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measured(name: str, path: str) -> dict[str, float]:
    """Return the seconds of a round, and of opening, in this process."""
    from clients.jurisdiction.engines.duckdb import DuckDB

    own = dataset()
    start = time.perf_counter()
    engine = DuckDB.open(own, path, threads=2)
    opened = time.perf_counter() - start
    queries = ROUNDS[name]()
    start = time.perf_counter()
    engine.sums(queries, own)
    first = time.perf_counter() - start
    return {"open": opened, "first": first, "best": best(lambda: engine.sums(queries, own)), "rss": peak()}


def small_frame() -> dict[str, float]:
    """Return the seconds of `fed.local`'s smallest work: open a pandas frame of 1,000 rows, count it."""
    import numpy as np
    import pandas as pd

    from clients.jurisdiction.engines.duckdb import DuckDB
    from federation.query.query import SumQuery

    own, draw = dataset(), np.random.default_rng(1)
    frame = pd.DataFrame({f"x{j}": draw.normal(size=1000) for j in range(COLUMNS)})
    frame = frame.assign(y=draw.integers(0, 2, 1000), sector=draw.choice(list("abcdefg"), 1000))
    start = time.perf_counter()
    DuckDB.open(own, frame)
    first = time.perf_counter() - start
    opened = best(lambda: DuckDB.open(own, frame), 20)
    engine = DuckDB.open(own, frame)
    count = (SumQuery(dataset="bench"),)
    return {"open": opened, "first": first, "best": best(lambda: engine.sums(count, own), 50), "rss": peak()}


def peak() -> float:
    """Return the peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(name: str, path: Path) -> dict[str, float]:
    """Measure in a fresh process."""
    command = [sys.executable, __file__, "--only", name, "--path", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--path", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        found = small_frame() if asked.only not in ROUNDS else measured(asked.only, asked.path)
        print(json.dumps(found))
        return
    results: dict[str, dict[str, float]] = {}
    print(f"{asked.rows:,} rows of Parquet, {COLUMNS} real columns, 2 threads\n")
    print(f"{'':28}{'open ms':>10}{'first ms':>10}{'best ms':>10}{'peak MB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        made(path, asked.rows)
        for name in (*ROUNDS, "count of a frame of 1000"):
            found = results[name] = apart(name, path)
            times = "".join(f"{found[key] * 1000:10.1f}" for key in ("open", "first", "best"))
            print(f"{name:28}{times}{found['rss']:10.0f}{verdict(name, found)}")
    if asked.json:
        print(json.dumps({"rows": asked.rows, "results": results}))


def verdict(name: str, found: dict[str, float]) -> str:
    """Return whether the goal is met, "" where there is none."""
    if name not in GOALS:
        return ""
    seconds, memory = GOALS[name]
    is_met = found["best"] <= seconds and found["rss"] <= memory
    return f"   goal {seconds:g} s, {memory:g} MB: {'met' if is_met else 'MISSED'}"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
