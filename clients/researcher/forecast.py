"""What a job would open, to whom, and under which promise: known before anybody is asked, since plans are pure.

Only the first queries of a statistic can be told: later ones depend on what is opened. The forecast looks at no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.researcher import rendering
from clients.researcher.asking import FAMILY, written
from clients.researcher.receipt import Plain, as_mapping
from clients.researcher.submission import promised_colluders
from federation import registry
from federation.analytics.statistic import Statistic, parameters_of
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation, Job
from federation.errors import FederationError, Misuse
from federation.query import expression, predicate
from federation.query.expression import Gram, Term
from federation.query.query import Argmin, Axis, Bins, Categories, SumQuery, shape

if TYPE_CHECKING:
    from rich.table import Table as TerminalTable

COLUMNS = ("question", "opens", "per", "cells", "numbers", "rounds")
_NUMBER_BYTES = 16  # one number of Z_2^128


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One query of the first round, in words.

    Attributes:
        question: who asks it.
        opens: what is summed in every cell.
        per: what the cells are.
        numbers: integers that are opened: cells x (1 + sums), and the counts of rows left out.
        rounds: most rounds of sums that the question takes, this one included.
        failure: why the question would fail at once; "" if it would not.
    """

    question: str
    opens: str = ""
    per: str = ""
    cells: int = 0
    numbers: int = 0
    rounds: int = 0
    failure: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a job would do.

    Attributes:
        colluders: c: the coordinator and up to c parties together learn only the opened sums.
        k: least units in a party's own cell; it withholds smaller ones.
        own_figures: True where a cell to which fewer than three parties contribute may open.
        max_rounds: most secure sums.
        vector_bytes: what each party sends in the first secure sum of numbers, without framing.
    """

    job: str
    dataset: str
    where: str
    purpose: str
    parties: tuple[str, ...]
    protection: str
    colluders: int
    k: int
    own_figures: bool
    max_rounds: int
    vector_bytes: int
    openings: tuple[Opening, ...]

    def rows(self) -> list[tuple[rendering.Cell, ...]]:
        """Return one row per query, as `COLUMNS` names the fields."""
        return [
            (o.question, f"would fail: {o.failure}" if o.failure else o.opens, o.per, o.cells, o.numbers, o.rounds)
            for o in self.openings
        ]

    def title(self) -> str:
        """Return the line above the table."""
        where = f" where {self.where}" if self.where else ""
        return f"job {self.job} over {self.dataset}{where}"

    def notes(self) -> list[str]:
        """Return the promises and what they do not cover, one sentence each."""
        n, c = len(self.parties), self.colluders
        lines = [
            f"purpose: {self.purpose or 'none given'}",
            f"{n} parties take part, all of them: {', '.join(self.parties)}",
            f"{self.protection}: the coordinator, with up to {c} of the parties, learns only the opened sums (c = {c})",
            "who sees the opened sums: the parties, the coordinator, and you",
            f"a party withholds what counts fewer than {self.k}; empty and small look alike"
            if self.k > 1
            else "k = 1: no party withholds small cells; the data are declared public already",
            "cells to which fewer than three parties contribute may open: own releases, by each operator's clause"
            if self.own_figures
            else "cells to which fewer than three parties contribute stay closed",
            f"at most {self.max_rounds} secure sums; each party sends {self.vector_bytes} bytes for the first numbers",
        ]
        if n == 3:
            lines.append(
                "with 3 parties, two who collude can subtract their own figures from a sum and read the third's"
            )
        return lines

    def summary(self) -> str:
        """Return the forecast as text."""
        return rendering.text(COLUMNS, self.rows(), title=self.title(), notes=self.notes())

    def to_dict(self) -> dict[str, Plain]:
        """Return the forecast as plain values."""
        return as_mapping(self)

    def for_terminal(self) -> TerminalTable:
        """Return what a terminal shows."""
        return rendering.for_terminal(COLUMNS, self.rows(), title=self.title(), notes=self.notes())

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return rendering.as_html(COLUMNS, self.rows(), title=self.title(), notes=self.notes())


def forecast(job: Job, joint: Dataset) -> Forecast:
    """Return what `job` would open over the joint data set.

    Raises:
        Misuse: its predicate does not parse, or names what is not published.
    """
    where = predicate.parse(job.where, joint) if job.where else None
    openings = tuple(opening for asked in job.computations for opening in _openings(asked, where, joint))
    return Forecast(
        job=job.name,
        dataset=job.dataset,
        where=job.where,
        purpose=job.purpose,
        parties=job.parties,
        protection=job.protection,
        colluders=promised_colluders(job.parties),
        k=joint.k,
        own_figures=joint.own_figures,
        max_rounds=job.max_rounds,
        vector_bytes=_NUMBER_BYTES * sum(opening.numbers for opening in openings),
        openings=openings,
    )


def check(job: Job, joint: Dataset) -> None:
    """Check that every question of the job gets as far as a query, so that nobody is asked for nothing.

    Raises:
        Misuse: the first one that does not, with its reason.
    """
    for opening in forecast(job, joint).openings:
        if opening.failure:
            raise Misuse(f"{opening.question}: {opening.failure}", hint=opening.hint)


def _openings(asked: Computation, where: expression.Expression | None, joint: Dataset) -> Sequence[Opening]:
    statistic: Statistic[Any, Any] = registry.look_up(FAMILY, Statistic, asked.name)()
    question = written(asked)
    try:
        parameters = parameters_of(statistic, asked)
        plan = statistic.plan(parameters, where, joint)
        queries = next(plan)
        plan.close()
        return [_opening(question, query, statistic.rounds(parameters), joint) for query in queries]
    except FederationError as fault:
        return [Opening(question=question, failure=fault.message, hint=fault.hint)]


def _opening(question: str, query: SumQuery, rounds: int, joint: Dataset) -> Opening:
    found = shape(query, joint)
    counted = f"distinct {query.per.column}" if query.per else "rows"
    sums = [_term(term) for term in query.terms]
    return Opening(
        question=question,
        opens=", ".join([f"count of {counted}", *sums]),
        per=" x ".join(_axis(axis) for axis in query.group_by) or "all rows",
        cells=found.cells,
        numbers=found.numbers,
        rounds=rounds,
    )


def _term(term: Term) -> str:
    if isinstance(term, Gram):
        return f"sums of products of {len(term.columns)} columns, weighted"
    return f"sum of {expression.written(term, 60)}"


def _axis(axis: Axis) -> str:
    match axis:
        case Categories(column):
            return column
        case Bins(of, edges):
            return f"{len(edges) - 1} bins of {expression.written(of, 40)}"
        case Argmin(expressions):
            return f"nearest of {len(expressions)}"
