"""What a story of training returns: models trained jointly beside pooled, local and published ones, as plain values.

A pooled model is trained on all parties' rows at once: something that no member of a real federation could do. Nothing
here asks, reads, trains or draws; `boards` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean, stdev

from federation_examples.report import Curve, aligned


class Kind(StrEnum):
    """Whose rows a model has learned from."""

    POOLED = "all rows in one place"
    ALONE = "one party's rows"
    JOINT = "federated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to train.

    Attributes:
        name: as a reader knows it.
        found: the measure at the end, once a repeat (a seed, a fold).
        published: what a paper found, or None.
        how: parameters, for people.
    """

    name: str
    kind: Kind
    found: tuple[float, ...]
    published: float | None = None
    how: str = ""

    @property
    def here(self) -> float:
        """Mean over the repeats."""
        return mean(self.found)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the repeats, None of a single one."""
        return stdev(self.found) if len(self.found) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What had to be reached: `got` is to be at least `least`."""

    what: str
    got: float
    least: float

    @property
    def holds(self) -> bool:
        """Whether it was reached; a figure that is not a number reaches nothing."""
        return self.got >= self.least

    def __str__(self) -> str:
        return f"{'reached' if self.holds else 'MISSED'}: {self.what}: {self.got:.4f}, at least {self.least:.4f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Curves on one pair of axes.

    Attributes:
        levels: (name, y) of figures that do not change along x.
        diagonal: whether chance is drawn, from (0, 0) to (1, 1).
        least: where the y axis begins.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    levels: tuple[tuple[str, float], ...] = ()
    diagonal: bool = False
    least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Rows below each other: the mean of each with its spread, and what was published."""

    title: str
    x_label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One picture of one or two panels beside each other.

    Attributes:
        name: of its file, without the ending.
        note: what a reader must know, and where the data are from.
    """

    name: str
    title: str
    panels: tuple[Lines | Dots, ...]
    note: str

    def drawn(self) -> dict[str, object]:
        """Return every curve and every row, as plain values."""
        lines = [panel for panel in self.panels if isinstance(panel, Lines)]
        dots = [panel for panel in self.panels if isinstance(panel, Dots)]
        return {
            "curves": [{"name": curve.name, "x": curve.x, "y": curve.y} for panel in lines for curve in panel.curves],
            "levels": [level for panel in lines for level in panel.levels],
            "rows": [{"name": row.name, "found": row.found} for panel in dots for row in panel.rows],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a story of training found; has what `report.Report` has, for whoever tells or draws stories.

    Attributes:
        measure: what `Row.found` is.
        repeats: what a repeat is, with its number.
        bars: what had to be reached.
        k: least units in a cell of a party's own.
        jobs: how many were run.
        seconds: from the first submit to the last result, as the researcher waits.
        receipt: one line: who took part, what protected it, who signed.
        notes: what a reader must know about the figures.
    """

    name: str
    title: str
    measure: str
    repeats: str
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    drawing: Board
    k: int
    parties: tuple[str, ...]
    jobs: int
    seconds: float
    receipt: str
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every bar was reached."""
        return all(bar.holds for bar in self.bars)

    @property
    def drawings(self) -> tuple[Board, ...]:
        """Everything to draw."""
        return (self.drawing,)

    @property
    def pooled(self) -> float:
        """The first pooled row's figure."""
        return next(row.here for row in self.rows if row.kind is Kind.POOLED)

    def table(self) -> list[tuple[str, ...]]:
        """Return the table's cells, its headings first; a column that no row fills is left out."""
        rows: list[tuple[str, ...]] = [("model", "trained on", "published", "here", "sd", "from pooled", "parameters")]
        for row in self.rows:
            cells = (row.published, row.here, row.spread)
            apart = "" if row.kind is Kind.POOLED else f"{row.here - self.pooled:+.4f}"
            rows.append(
                (row.name, row.kind, *("" if cell is None else f"{cell:.4f}" for cell in cells), apart, row.how)
            )
        filled = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
        return [tuple(row[place] for place in filled) for row in rows]

    def closing(self) -> list[str]:
        """Return the sentences below the table."""
        asked = "one job" if self.jobs == 1 else f"{self.jobs} jobs"
        return [*map(str, self.bars), *self.notes, f"{asked}, {self.seconds:.1f} s; {self.receipt}"]

    def text(self) -> str:
        """Return title, table and closing as plain text."""
        return "\n".join([self.title, f"{self.measure}; {self.repeats}", *aligned(self.table()), *self.closing()])

    def to_dict(self) -> dict[str, object]:
        """Return every figure, the curves included, as plain values."""
        return {
            "story": self.name,
            "title": self.title,
            "agrees": self.agrees,
            "measure": self.measure,
            "models": [
                {
                    "model": row.name,
                    "trained_on": row.kind.value,
                    "found": row.found,
                    "mean": row.here,
                    "sd": row.spread,
                    "published": row.published,
                    "parameters": row.how,
                }
                for row in self.rows
            ],
            "bars": [{"what": bar.what, "got": bar.got, "least": bar.least, "reached": bar.holds} for bar in self.bars],
            **self.drawing.drawn(),
            "k": self.k,
            "parties": self.parties,
            "jobs": self.jobs,
            "job_seconds": self.seconds,
            "receipt": self.receipt,
            "notes": self.notes,
        }


def averaged(name: str, runs: Sequence[Sequence[float]], *, joint: bool = False, first: int = 1) -> Curve:
    """Return the mean of runs of equal length, one point a round, counted from `first`."""
    points = tuple(map(mean, zip(*runs, strict=True)))
    return Curve(name=name, x=tuple(range(first, first + len(points))), y=points, joint=joint)


def said(**options: object) -> str:
    """Return parameters for people: `lr 0.01, steps 100`."""
    return ", ".join(f"{name} {value}" for name, value in options.items())
