"""Small federations of real processes for integration tests: jurisdictions, rows that carry canaries, a question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clients.cli.stage import Stage
from clients.researcher.table import Table
from federation.domain.job import Update
from federation.errors import FederationError

PARTIES = ("guangdong", "hongkong", "macao")
LIMIT_S = 30.0

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


def written(
    folder: Path,
    *,
    k: int = 1,
    own: bool = True,
    policy: str = "",
    count: int = 60,
    parties: Sequence[str] = PARTIES,
) -> dict[str, str]:
    """Write one CSV a party into `folder` and return party -> its `[policy]` and `[[dataset]]` tables."""
    tables = {}
    for index, party in enumerate(parties):
        source = folder / f"{party}.csv"
        lines = ["income,age,sex", *(",".join(map(str, row)) for row in rows_of(index, count))]
        source.write_text("\n".join(lines) + "\n")
        tables[party] = TABLES.format(source=source, k=k, own=str(own).lower(), policy=policy)
    return tables


def all_rows(count: int = 60, parties: int = len(PARTIES)) -> list[Row]:
    """The rows of all parties."""
    return [row for index in range(parties) for row in rows_of(index, count)]


def until(
    condition: Callable[[], object], what: str = "the other side never came so far", longest_s: float = LIMIT_S
) -> None:
    """Wait for what another process or thread does."""
    end = time.monotonic() + longest_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class Asked:
    """A question that is asked in a thread of its own, with everything that is told about it meanwhile.

    Attributes:
        updates: the lines of the job's life so far.
    """

    def __init__(self, stage: Stage, question: Callable[[Table], Any], **frame: Any) -> None:
        self.updates: list[Update] = []
        self._answer: Any = None
        self._thread = threading.Thread(target=self._ask, args=(stage, question, frame), daemon=True)
        self._thread.start()

    def _ask(self, stage: Stage, question: Callable[[Table], Any], frame: dict[str, Any]) -> None:
        try:
            with stage.session() as session:
                session.on_update = self.updates.append
                self._answer = question(session.table("people", purpose="test", **frame))
        except FederationError as fault:
            self._answer = fault

    def await_step(self, party: str, step: str) -> None:
        """Wait until the coordinator has told that this is what the party did last."""
        until(lambda: self.updates and (party, step) in self._steps(), f"{party} never {step}")

    def _steps(self) -> list[tuple[str, str]]:
        return [(each.party, each.step) for each in self.updates[-1].parties]

    def answer(self) -> Any:
        """Wait for the answer and return it, or the error that came instead."""
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), f"no answer; last was {self.updates[-1:]}"
        return self._answer
