"""The one place that turns a table of plain values into text, HTML or a terminal's table.

Text from other members is shown as text: control characters are replaced, HTML is escaped. Numbers are right-aligned;
columns are measured in terminal cells, so that Chinese titles line up.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Group

Cell = str | int | float | bool | None
Fact = tuple[str, Cell]
Line = TypeVar("Line")

MOST_LINES = 60  # of a table, or of notes, before the middle is left out


def shown(cell: Cell, digits: int = 6) -> str:
    """Return how a value is written: integers in full, floats with `digits` significant digits, "-" for no value."""
    match cell:
        case None:
            return "-"
        case bool():
            return "yes" if cell else "no"
        case int():
            return str(cell)
        case float() if math.isnan(cell):
            return "-"
        case float():
            return f"{cell:.{digits}g}"
        case str():
            return defused(cell)


def shortened(lines: Sequence[Line], most: int = MOST_LINES) -> tuple[list[Line], int]:
    """Return the first and last lines, at most `most` of them, and how many of the middle are left out."""
    if len(lines) <= most:
        return list(lines), 0
    first = most - most // 2
    return [*lines[:first], *lines[len(lines) - most // 2 :]], len(lines) - most


def defused(text: str) -> str:
    """Return `text` with control characters, other than line feed and tab, replaced: nobody rewrites our terminal."""
    return "".join(
        c if c in "\n\t" or c.isprintable() or unicodedata.category(c) == "Zs" else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )


def text(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    facts: Sequence[Fact] = (),
) -> str:
    """Return an aligned plain table with two spaces between columns; title and facts above and notes below it."""
    head = [" ".join(defused(column).split()) for column in columns]
    body = [[" ".join(shown(cell).split()) for cell in row] for row in rows]
    right = [_numeric(rows, i) for i in range(len(columns))]
    widths = [max((_width(line[i]) for line in [head, *body]), default=0) for i in range(len(columns))]
    lines = [defused(title)] if title else []
    if facts:
        lines += [text(("",) * 4, beside(facts)), ""]
    for line in [head, *body] if any(head) else body:
        cells = zip(line, widths, right, strict=True)
        lines.append("  ".join(_padded(cell, width, to_right) for cell, width, to_right in cells).rstrip())
    return "\n".join([*lines, *(defused(note) for note in notes)])


def as_html(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    facts: Sequence[Fact] = (),
) -> str:
    """Return an HTML table; every value is escaped."""
    right = [_numeric(rows, i) for i in range(len(columns))]
    parts = ['<div class="federation-result">']
    if title:
        parts.append(f"<p><strong>{_escaped(title)}</strong></p>")
    if facts:
        parts += ["<table><tbody>", *(_row(row, (False,) * 4) for row in beside(facts)), "</tbody></table>"]
    if columns:
        head = "".join(f"<th>{_escaped(column)}</th>" for column in columns)
        parts += [f"<table><thead><tr>{head}</tr></thead>", "<tbody>", *(_row(row, right) for row in rows)]
        parts.append("</tbody></table>")
    parts += [f"<p><small>{_escaped(note)}</small></p>" for note in notes]
    return "\n".join([*parts, "</div>"])


def for_terminal(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str = "",
    notes: Sequence[str] = (),
    facts: Sequence[Fact] = (),
) -> Group:
    """Return a rich table with its title above and its notes below; nothing in it is read as markup."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(Text(defused(column)), justify="right" if _numeric(rows, i) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    # Not the table's own title and caption: those wrap at its width, and a narrow table would break every sentence.
    above = [Text(defused(title), style="bold")] if title else []
    above += [Text(text(("",) * 4, beside(facts)))] if facts else []
    return Group(*above, table, *(Text(defused(note), style="dim") for note in notes))


def beside(facts: Sequence[Fact]) -> list[tuple[Cell, ...]]:
    """Return facts as the rows of a table, half of them beside the other half."""
    said: list[tuple[str, str]] = [(f"{name}:", shown(value, 9)) for name, value in facts]
    half = (len(said) + 1) // 2
    right = [*said[half:], ("", "")]
    return [(*left, *other) for left, other in zip(said[:half], right, strict=False)]


def _row(row: Sequence[Cell], right: Sequence[bool]) -> str:
    cells = (
        f'<td style="text-align: right">{_escaped(shown(cell))}</td>'
        if to_right
        else f"<td>{_escaped(shown(cell))}</td>"
        for cell, to_right in zip(row, right, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _escaped(value: str) -> str:
    return html.escape(defused(value), quote=True)


def _numeric(rows: Sequence[Sequence[Cell]], i: int) -> bool:
    """A column is numeric when it has a number and nothing but numbers, yes/no apart, and gaps."""
    cells = [row[i] for row in rows if row[i] is not None]
    return bool(cells) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)


def _width(cell: str) -> int:
    """Terminal cells that the text takes: two for wide characters, none for combining marks."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)


def _padded(cell: str, width: int, to_right: bool) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if to_right else cell + blanks
