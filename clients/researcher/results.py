"""What a researcher gets back: a statistic's own frozen result, a way to look at it, and the receipt of the job.

Attributes of the statistic's result pass through (`.value`, `.se`, `.n`, `["f"]`); everything shown is made from its
`table()` by `rendering`. A result is made only after `verified` replayed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from clients.researcher import rendering
from clients.researcher.asking import written
from clients.researcher.plotting import drawn
from clients.researcher.receipt import Plain, Receipt, plain
from federation.analytics import statistic
from federation.analytics.plan import Failure, Outcome
from federation.domain.job import Computation
from federation.errors import FederationError, JobFailed, Misuse, Refused
from federation.jobs.protection import MADE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from rich.console import Group


MOST_NOTES = 20


class Result:
    """One statistic's result and the receipt of its job."""

    __slots__ = ("_result", "computation", "receipt")

    def __init__(self, result: statistic.Result, computation: Computation, receipt: Receipt) -> None:
        self._result = result
        self.computation = computation
        self.receipt = receipt

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the statistic calls by this name
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._result, name)

    def __dir__(self) -> Sequence[str]:
        return sorted({*super().__dir__(), *(name for name in dir(self._result) if not name.startswith("_"))})

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 - the statistic decides what its cells are
        if not hasattr(type(self._result), "__getitem__"):
            raise Misuse(f"{written(self.computation)} has no cells to index")
        return self._result[key]  # type: ignore[index]

    def __float__(self) -> float:
        value = self.value
        if isinstance(value, tuple):
            raise Misuse(f"{written(self.computation)} has several values", hint="`.value` has all of them")
        if value is None:
            raise Misuse(f"{written(self.computation)} has no value: the cell is closed")
        return float(value)

    def table(self) -> statistic.Table:
        """Return the result as rows of plain values."""
        return self._result.table()

    def picture(self) -> statistic.Picture | None:
        """Return what to draw, in plain values, or None."""
        return self._result.picture()

    def summary(self) -> str:
        """Return an aligned text table, and below it what was left out, what was withheld and who signed."""
        return self._text([signature(self.receipt)])

    def to_dict(self) -> dict[str, Plain]:
        """Return everything as plain values: the question, the result's fields, the receipt; bytes as hexadecimal."""
        table = self.table()
        return {
            "statistic": self.computation.name,
            "version": self.computation.version,
            "parameters": {name: plain(value) for name, value in self.computation.parameters},
            "result": plain(self._result),
            "table": {"columns": list(table.columns), "rows": [list(row) for row in table.rows]},
            "receipt": self.receipt.to_dict(),
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return `table()` as a data frame. Raises Misuse where pandas is not installed."""
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise Misuse("a data frame needs pandas", hint="install the extra `stats`") from None

        table = self.table()
        return pd.DataFrame(list(table.rows), columns=list(table.columns))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw `picture()` and return the matplotlib axes. Needs matplotlib.

        Raises:
            Misuse: the result is nothing to draw, a single number for one; or matplotlib is not installed.
        """
        picture = self.picture()
        if picture is None:
            raise Misuse(f"{written(self.computation)} is nothing to draw", hint="ask with by=, or for a histogram")
        return drawn(picture, ax)

    def for_terminal(self) -> Group:
        """Return what a terminal shows."""
        return self._for_terminal([signature(self.receipt)])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return self._html([signature(self.receipt)])

    def _text(self, last: Sequence[str]) -> str:
        columns, rows, notes = self._shown(last)
        return rendering.text(columns, rows, title=self._title(), notes=notes, facts=self._facts())

    def _for_terminal(self, last: Sequence[str]) -> Group:
        columns, rows, notes = self._shown(last)
        return rendering.for_terminal(columns, rows, title=self._title(), notes=notes, facts=self._facts())

    def _html(self, last: Sequence[str]) -> str:
        columns, rows, notes = self._shown(last)
        return rendering.as_html(columns, rows, title=self._title(), notes=notes, facts=self._facts())

    def _shown(self, last: Sequence[str]) -> tuple[Sequence[str], list[tuple[rendering.Cell, ...]], list[str]]:
        """The table and the lines below it, without the middle of a long one."""
        table = self.table()
        rows, hidden = rendering.shortened(table.rows)
        notes, more = rendering.shortened(self._notes(), MOST_NOTES)
        if hidden:
            notes = [f"{hidden} rows in the middle are not shown: `table()` and `to_pandas()` have all", *notes]
        if more:
            notes.append(f"{more} further lines are not shown: `suppressed` has all")
        return table.columns, rows, [*notes, *last]

    def _title(self) -> str:
        where = f" where {self.receipt.where}" if self.receipt.where else ""
        return f"{written(self.computation)} of {self.receipt.dataset}{where}"

    def _facts(self) -> Sequence[rendering.Fact]:
        """What stands above the table of a model: how many rows, how well it fits."""
        facts: Sequence[rendering.Fact] = getattr(self._result, "facts", ())
        return facts

    def _notes(self) -> list[str]:
        return [*getattr(self._result, "notes", ()), *left_out(self._result), *suppressed(self._result)]


class Results(Sequence["Result"]):
    """The results of one job, in the order of its questions; asking for one that failed raises its failure."""

    def __init__(self, outcomes: Sequence[Outcome], computations: Sequence[Computation], receipt: Receipt) -> None:
        self.receipt = receipt
        self._each: tuple[Result | Failure, ...] = tuple(
            outcome if isinstance(outcome, Failure) else Result(outcome.result, computation, receipt)
            for outcome, computation in zip(outcomes, computations, strict=True)
        )
        self._computations = tuple(computations)

    @property
    def failures(self) -> tuple[tuple[Computation, Failure], ...]:
        """The questions that have no result, and why; the others are not touched by them."""
        return tuple(
            (asked, each)
            for asked, each in zip(self._computations, self._each, strict=True)
            if isinstance(each, Failure)
        )

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Result]: ...
    def __getitem__(self, index: int | slice) -> Result | Sequence[Result]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        each = self._each[index]
        if isinstance(each, Failure):
            raise error_of(each, self._computations[index])
        return each

    def __len__(self) -> int:
        return len(self._each)

    def __iter__(self) -> Iterator[Result]:
        return (self[i] for i in range(len(self)))

    def summary(self) -> str:
        """Return all results as text, in place of a failed one its reason, and at the end who signed."""
        each = [
            _failed(each, asked) if isinstance(each, Failure) else each._text(())  # noqa: SLF001 - of this file
            for each, asked in zip(self._each, self._computations, strict=True)
        ]
        return "\n\n".join([*each, signature(self.receipt)])

    def to_dict(self) -> dict[str, Plain]:
        """Return all results as plain values; a failed one has `error` in place of `result`."""
        results: list[Plain] = []
        for each, asked in zip(self._each, self._computations, strict=True):
            if isinstance(each, Failure):
                parameters = {name: plain(value) for name, value in asked.parameters}
                results.append({"statistic": asked.name, "parameters": parameters, "error": plain(each)})
            else:
                results.append({key: value for key, value in each.to_dict().items() if key != "receipt"})
        return {"results": results, "receipt": self.receipt.to_dict()}

    def for_terminal(self) -> Group:
        """Return what a terminal shows."""
        from rich.console import Group
        from rich.text import Text

        each = [
            Text(rendering.defused(_failed(each, asked))) if isinstance(each, Failure) else each._for_terminal(())  # noqa: SLF001 - of this file
            for each, asked in zip(self._each, self._computations, strict=True)
        ]
        return Group(*each, Text(rendering.defused(signature(self.receipt)), style="dim"))

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        each = [
            rendering.as_html((), (), title=written(asked), notes=[_failed(each, asked)])
            if isinstance(each, Failure)
            else each._html(())  # noqa: SLF001 - of this file
            for each, asked in zip(self._each, self._computations, strict=True)
        ]
        return "\n".join([*each, rendering.as_html((), (), notes=[signature(self.receipt)])])


def error_of(failure: Failure, asked: Computation) -> FederationError:
    """Return a statistic's failure as the error that it was."""
    message = f"{written(asked)}: {failure.message}"
    match failure.code:
        case Refused.code:
            return Refused(message, rule=failure.rule, hint=failure.hint)
        case Misuse.code:
            return Misuse(message, hint=failure.hint)
        case _:
            return JobFailed(message, hint=failure.hint)


def left_out(result: statistic.Result) -> list[str]:
    """Return one sentence about rows that were not used and values that were moved, or nothing."""
    parts = [
        f"{_count(count)} missing {column} ({reason})"
        for column, reason, count in getattr(result, "n_missing", ())
        if count != 0
    ]
    non_finite = getattr(result, "non_finite", 0)
    if non_finite != 0:
        parts.append(f"{_count(non_finite)} not a finite number")
    parts += [
        f"{_count(count)} of {column} moved into the declared range"
        for column, count in getattr(result, "clipped", ())
        if count != 0
    ]
    return [f"left out or changed: {', '.join(parts)}"] if parts else []


def suppressed(result: statistic.Result) -> list[str]:
    """Return one sentence per number that is withheld or closed, with the interval that it leaves."""
    lines = []
    for each in getattr(result, "suppressed", ()):
        low, high = each.interval
        between = (
            f"the truth lies in [{rendering.shown(low)}, {rendering.shown(high)}]" if low is not None else "no bound"
        )
        state = "closed" if each.closed else f"withheld by {each.withheld}"
        lines.append(f"{each.what}: {state}; {between}")
    return lines


def signature(receipt: Receipt) -> str:
    """Return one line: who is counted and who is not, under which protection, and the transcript that they signed."""
    counted = f"{len(receipt.parties)} parties ({', '.join(receipt.parties)})"
    if receipt.missing:
        asked = len(receipt.parties) + len(receipt.missing)
        counted = f"{len(receipt.parties)} of {asked} parties ({', '.join(receipt.parties)}; "
        counted += f"not counted: {', '.join(receipt.missing)})"
    unsigned = [party for party in receipt.parties if party not in receipt.signed_by]
    signed = f"signed by all but {', '.join(unsigned)}" if unsigned else "signed by all"
    label = f" ({receipt.trust})" if receipt.trust not in ("", MADE) else ""
    return (
        f"{counted}, {receipt.protection}{label}, "
        f"transcript {receipt.transcript.hex()[:12]} replayed here and {signed}; job {receipt.job}"
    )


def _failed(failure: Failure, asked: Computation) -> str:
    hint = f" ({failure.hint})" if failure.hint else ""
    return f"{written(asked)} failed: {failure.message}{hint}"


def _count(count: int | None) -> str:
    return "an unopened number" if count is None else str(count)
