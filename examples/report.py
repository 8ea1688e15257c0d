"""What every story returns: figures beside their pooled reference, and one drawing, all as plain values.

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
    exact: bool  # integers must be equal; others within TOLERANCE, relative

    @property
    def difference(self) -> int | float:
        """Federated - pooled."""
        return self.federated - self.pooled

    @property
    def agrees(self) -> bool:
        """Whether the figure is as near as it has to be."""
        if self.exact:
            return self.federated == self.pooled
        return math.isclose(self.federated, self.pooled, rel_tol=TOLERANCE)


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
    """

    name: str
    title: str
    lines: tuple[Line, ...]
    drawing: Drawing
    k: int
    parties: tuple[str, ...]
    jobs: int
    seconds: float
    receipt: str
    notes: tuple[str, ...] = ()

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
        return "\n".join([self.title, *aligned([HEADINGS, *self.rows()]), *self.closing()])

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
            "curves": [{"name": curve.name, "x": curve.x, "y": curve.y} for curve in self.drawing.curves],
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
