"""What every story returns: figures beside their pooled reference, and what to draw, all as plain values.

A pooled reference is computed from all parties' files at once: something that no member of a real federation could do.
Nothing here asks, reads or draws; `pictures` draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 1e-9
HEADINGS = ("figure", "federated", "pooled", "difference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure: what the federation opened, what the pooled rows give, and how far apart they are."""

    figure: str
    federated: int | float
    pooled: int | float
    exact: bool  # integers must be equal; others within a bar
    relative: float = TOLERANCE  # how far apart, as a part of the greater one
    within: float = 0.0  # or in the figure's own unit, where a bin was asked for

    @property
    def difference(self) -> int | float:
        """Federated - pooled."""
        return self.federated - self.pooled

    @property
    def agrees(self) -> bool:
        """Whether the figure is as near as it has to be."""
        if self.exact:
            return self.federated == self.pooled
        return math.isclose(self.federated, self.pooled, rel_tol=self.relative, abs_tol=self.within)

    @property
    def bar(self) -> str:
        """How near the figure has to be, for people."""
        if self.exact:
            return "equal"
        return f"{self.within:g}" if self.within else f"{self.relative:.0e} of it".replace("e-0", "e-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a drawing.

    Attributes:
        y: as long as `x`; None is a gap and is never bridged.
        joint: of all parties together; the others are one party's own release.
    """

    name: str
    x: tuple[int | float, ...]
    y: tuple[int | float | None, ...]
    joint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Curves on one pair of axes.

    Attributes:
        name: of its file, without the ending.
        steps: whether a curve stays where it is until its next point, as a distribution does.
        percent: whether y is a share of 1.
        apart: whether a second pair of axes shows how far the curves are from the joint one.
        marked: (x, y, what to write beside the point).
        diagonal: whether the line from (0, 0) to (1, 1) is drawn too, as the Lorenz curve of equal shares.
        note: what a reader must know, and where the data are from.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    note: str
    steps: bool = False
    percent: bool = False
    apart: bool = False
    marked: tuple[tuple[float, float, str], ...] = ()
    diagonal: bool = False

    def drawn(self) -> dict[str, object]:
        """Return every curve, as plain values."""
        return {"curves": [{"name": curve.name, "x": curve.x, "y": curve.y} for curve in self.curves]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """One line of a forest: a figure with its interval.

    Attributes:
        name: what stands to the left.
        joint: of all parties together.
        opens: whether a line is left free above it, before another kind of figure.
    """

    name: str
    value: float
    low: float
    high: float
    joint: bool = True
    opens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Figures with their intervals, one below the other, on an axis of ratios.

    Attributes:
        name: of its file, without the ending.
        x_label: what the ratio is of; 1 is no difference.
        joint_label: what the joint figures are, for the legend; "" for no legend.
        alone_label: what the others are.
        note: what a reader must know, and where the data are from.
    """

    name: str
    title: str
    x_label: str
    whiskers: tuple[Whisker, ...]
    note: str
    joint_label: str = ""
    alone_label: str = ""

    def drawn(self) -> dict[str, object]:
        """Return every line, as plain values."""
        named = [(each.name, each.value, each.low, each.high) for each in self.whiskers]
        return {
            "ratios": [{"name": name, "value": value, "low": low, "high": high} for name, value, low, high in named]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a story found.

    Attributes:
        name: the story's.
        k: least units in a cell of a party's own.
        jobs: how many were run.
        seconds: from the first submit to the last result, as the researcher waits.
        receipt: one line: who took part, what protected it, who signed.
        notes: what a reader must know about the figures.
        more: what else to draw.
        bars: whether the table says how near each figure has to be; without, all of them to the tenth digit.
    """

    name: str
    title: str
    lines: tuple[Line, ...]
    drawing: Drawing | Forest
    k: int
    parties: tuple[str, ...]
    jobs: int
    seconds: float
    receipt: str
    notes: tuple[str, ...] = ()
    more: tuple[Drawing | Forest, ...] = ()
    bars: bool = False

    @property
    def drawings(self) -> tuple[Drawing | Forest, ...]:
        """Everything to draw."""
        return (self.drawing, *self.more)

    @property
    def agrees(self) -> bool:
        """Whether every figure is as near as it has to be."""
        return all(line.agrees for line in self.lines)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return one row of text per figure, as `HEADINGS` names the cells."""
        return [
            (line.figure, number(line.federated), number(line.pooled), number(line.difference)) for line in self.lines
        ]

    def closing(self) -> list[str]:
        """Return the sentences below the table."""
        questions = "one job" if self.jobs == 1 else f"{self.jobs} jobs"
        return [*self.notes, f"{questions}, {self.seconds:.2f} s; {self.receipt}"]

    def text(self) -> str:
        """Return title, table and closing as plain text."""
        table: list[tuple[str, ...]] = [HEADINGS, *self.rows()]
        if self.bars:
            table = [(*row, bar) for row, bar in zip(table, ["bar", *(line.bar for line in self.lines)], strict=True)]
        return "\n".join([self.title, *aligned(table), *self.closing()])

    def to_dict(self) -> dict[str, object]:
        """Return every figure, the curves included, as plain values."""
        return {
            "story": self.name,
            "title": self.title,
            "agrees": self.agrees,
            "figures": [
                {
                    "figure": line.figure,
                    "federated": line.federated,
                    "pooled": line.pooled,
                    "difference": line.difference,
                    "agrees": line.agrees,
                }
                for line in self.lines
            ],
            **self.drawing.drawn(),
            "k": self.k,
            "parties": self.parties,
            "jobs": self.jobs,
            "job_seconds": self.seconds,
            "receipt": self.receipt,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One example: its data, its questions, what comes out.

    Attributes:
        name: of the folder, and of the data set that its parties publish.
        split: writes one file a party into a folder and returns party -> file.
        tables: party -> file to party -> the `[policy]` and `[[dataset]]` tables of its configuration.
        run: (session, files, table=name of the data set) -> Report.
    """

    name: str
    split: Callable[[Path], dict[str, Path]]
    tables: Callable[[dict[str, Path]], dict[str, str]]
    run: Callable[..., Report]


def number(value: float) -> str:
    """Return a figure for people: whole numbers with commas, others with ten decimals, tiny ones by their size."""
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    return f"{value:.10f}" if abs(value) >= 1e-4 else f"{value:.1e}"


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
