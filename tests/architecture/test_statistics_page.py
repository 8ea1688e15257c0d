"""docs/statistics.md has a row for every registered statistic: formula, what it opens, rounds, source; and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from federation import registry
from federation.jobs.planner import FAMILY

PAGE = "docs/statistics.md"
HEAD = ["statistic", "formula", "opens", "rounds", "source"]


def faults(text: str, names: set[str]) -> list[str]:
    """Return what is wrong with the page: statistics without a row, rows without a statistic, cells left empty."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    heads = [row for row in rows if row and row[0] == HEAD[0]]
    found: dict[str, list[str]] = {}
    wrong = [f"a table has the columns {row}" for row in heads if row != HEAD]
    for row in rows:
        name = re.fullmatch(r"`(\w+)`", row[0])
        if name is None:
            continue
        if name[1] in found:
            wrong.append(f"{name[1]} stands twice")
        found[name[1]] = row
        wrong += [
            f"{name[1]} does not say: {what}" for what, cell in zip(HEAD[1:4], row[1:4], strict=False) if not cell
        ]
        wrong += [f"the row of {name[1]} has {len(row)} cells"] * (len(row) != len(HEAD))
    wrong += [f"{name} is not there" for name in sorted(names - found.keys())]
    return wrong + [f"there is no statistic {name}" for name in sorted(found.keys() - names)]


def test_every_statistic_has_its_row(repository: Path) -> None:
    wrong = faults((repository / PAGE).read_text("utf-8"), set(registry.names(FAMILY)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: re.sub(r"\| `mean` .*\n", "", text), "mean is not there"),
        (lambda text: text.replace("| `mean` |", "| `meen` |"), "there is no statistic meen"),
        (lambda text: text + "| `mean` | a | b | 1 | c |\n", "mean stands twice"),
        (lambda text: re.sub(r"\| `std` \| [^|]+\|", "| `std` | |", text), "std does not say: formula"),
        (lambda text: text.replace("| statistic | formula |", "| statistic | law |", 1), "a table has the columns"),
    ],
)
def test_what_is_wrong_with_the_page_is_seen(change, said: str, repository: Path) -> None:
    text = (repository / PAGE).read_text("utf-8")
    names = set(registry.names(FAMILY))
    before = faults(text, names)
    assert any(said in fault for fault in faults(change(text), names) if fault not in before)
