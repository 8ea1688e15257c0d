"""The contract of a statistic, how a job gives its parameters, and the plain values that show its result.

A statistic is one file: a subclass of `Statistic` with a frozen `Parameters` and a plan that returns a frozen
`Result` of its own. A job carries names and plain values; what does not fit a parameter's type is refused here,
before any query exists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from federation.analytics.plan import Plan
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation
from federation.domain.parameters import read
from federation.errors import Misuse
from federation.query.expression import Expression
from federation.query.query import MOST_NUMBERS

P = TypeVar("P")
R = TypeVar("R", bound="Result")
Shown: TypeAlias = int | float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A result as rows of plain values; None is "not known", for one because the cell is closed."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise Misuse("a table's rows are as long as its list of columns")


class Drawn(StrEnum):
    """How a picture is drawn."""

    BARS = "bars"  # one bar per label
    POINTS = "points"  # one point per label, with its error
    STEPS = "steps"  # one bar per interval: one edge more than heights
    LINES = "lines"  # curves through points
    HEAT = "heat"  # a matrix of colours
    FOREST = "forest"  # one line per label from top to bottom, with its interval, and a rule at 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One more curve of STEPS: its name, its edges, and a height between each two of them."""

    label: str
    x: tuple[int | float, ...]
    y: tuple[int | float | None, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) + 1:
            raise Misuse("a curve of steps has one edge more than heights")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve of LINES: its name, and its points."""

    label: str
    x: tuple[int | float, ...]
    y: tuple[int | float, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise Misuse("a line has as many heights as places")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A result as something to draw, in plain values; None in `y` is a closed cell and is drawn as a gap.

    Attributes:
        x: labels, or edges (one more than `y`) for STEPS; of HEAT's columns labels, or edges, one more than columns.
        error: half widths of an error bar, one standard error (of a FOREST: half a 95 % interval), as long as `y`; ()
            for none.
        label: the name of the curve `y` where there are others, else "".
        others: further curves of STEPS.
        filled: whether STEPS stand on a filled area (a histogram) or are a curve (a distribution function).
        lines: the curves of LINES; () otherwise, as `x` and `y` are then.
        diagonal: whether LINES have the line from (0, 0) to (1, 1) beside them.
        rows: of HEAT, labels or edges of its rows, from top to bottom; its `y` are the cells, row by row.
        span: least and greatest colour of HEAT, such as (-1, 1) of correlations; None is what occurs.
    """

    drawn: Drawn
    title: str
    x_label: str
    y_label: str
    x: tuple[int | float | str, ...]
    y: tuple[int | float | None, ...]
    error: tuple[float | None, ...] = ()
    label: str = ""
    others: tuple[Series, ...] = ()
    filled: bool = True
    lines: tuple[Line, ...] = ()
    diagonal: bool = False
    rows: tuple[int | float | str, ...] = ()
    span: tuple[float, float] | None = None


class Result(ABC):
    """What every result answers; a result is a frozen dataclass of plain values."""

    __slots__ = ()

    @abstractmethod
    def table(self) -> Table:
        """Return the result as rows."""

    @abstractmethod
    def picture(self) -> Picture | None:
        """Return what to draw, or None where there is nothing to see (a single number)."""


class Statistic(ABC, Generic[P, R]):
    """One statistic: its parameters, how many rounds it may take, and its plan.

    Attributes:
        name: the file's name.
        version: one more for every change of what is asked or of a number in the result; parties compare it before
            any query.
        Parameters: a frozen dataclass of int, float, str, bool, None, tuples of them and unions.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    Parameters: ClassVar[type[Any]]

    @abstractmethod
    def rounds(self, parameters: P, joint: Dataset) -> int:
        """Return the most rounds of sums that the plan asks for over `joint`; the rounds of support come on top.

        Raises Misuse where the plan would not get as far as a query.
        """

    def later_numbers(self, parameters: P, joint: Dataset) -> int:
        """Return the most numbers, flags included, of a round after the first; a joint key carries only so many.

        A statistic of several rounds that does not say counts as asking for as many as a query may.
        """
        return 0 if self.rounds(parameters, joint) == 1 else MOST_NUMBERS

    @abstractmethod
    def plan(self, parameters: P, where: Expression | None, joint: Dataset) -> Plan[R]:
        """Return the generator of the queries over rows of `joint` that fulfil `where` (all rows if None)."""


def parameters_of(statistic: Statistic[P, R], computation: Computation) -> P:
    """Return `statistic.Parameters` made from the computation's (name, value) pairs. Raises Misuse as `read` does."""
    made: P = read(statistic.Parameters, computation.parameters, computation.name)
    return made
