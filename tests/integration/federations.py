"""Small federations of real processes for integration tests: three jurisdictions, rows that carry canaries."""

from __future__ import annotations

from pathlib import Path

PARTIES = ("guangdong", "hongkong", "macao")

TABLES = """\
[policy]
purposes = ["test"]
statistics = ["count", "sum", "mean", "var", "std", "histogram", "quantile", "ecdf", "describe"]
{policy}

[[dataset]]
name = "people"
source = "{source}"
title = "People"
unit = "person"
k = {k}
publish_own_figures = {own}

[dataset.columns]
income = {{ kind = "integer", unit = "CNY", low = 0, high = 1_000_000_000 }}
age = {{ kind = "integer", unit = "years", low = 0, high = 120, missing = {{ "-1" = "not stated" }} }}
sex = {{ kind = "category", categories = ["f", "m"] }}
"""

Row = tuple[int, int, str]


def rows_of(index: int, count: int = 60) -> list[Row]:
    """Rows whose incomes are canaries: nine digits that stand nowhere else, none twice."""
    return [
        (
            700_000_000 + index * 10_000_000 + i * 7_919 + 13,
            (i * 7 + index) % 90 if i % 20 else -1,
            "fm"[(i + index) % 2],
        )
        for i in range(count)
    ]


def written(folder: Path, *, k: int = 1, own: bool = True, policy: str = "", count: int = 60) -> dict[str, str]:
    """Write one CSV a party into `folder` and return party -> its `[policy]` and `[[dataset]]` tables."""
    tables = {}
    for index, party in enumerate(PARTIES):
        source = folder / f"{party}.csv"
        lines = ["income,age,sex", *(",".join(map(str, row)) for row in rows_of(index, count))]
        source.write_text("\n".join(lines) + "\n")
        tables[party] = TABLES.format(source=source, k=k, own=str(own).lower(), policy=policy)
    return tables


def all_rows(count: int = 60) -> list[Row]:
    """The rows of all parties."""
    return [row for index in range(len(PARTIES)) for row in rows_of(index, count)]
