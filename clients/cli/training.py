"""A training on the command line: its rounds on stderr as they come, its result on stdout, its model in a file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from clients.cli.output import Format, Plain, answer, event, say
from clients.cli.progress import Progress, as_event
from clients.researcher import rendering
from clients.researcher.training import COLUMNS, Training

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from clients.researcher.handle import Handle
    from clients.researcher.training import Round
    from federation.domain.job import Update

MOST_ROUNDS: Final = 12  # of a live table; a log has all


def follow(handle: Handle, output: Format, receipt: Path | None, model: Path | None) -> int:
    """Follow a training on stderr, write its rounds and whose word they are to stdout, and its model to a file."""
    try:
        with Rounds(handle.name, output=output) as shown:
            training = Training(dataclasses.replace(handle, on_update=shown.show))
            for one in training.watch():
                shown.add(one)
            trained = training.result()
    except KeyboardInterrupt:
        say(f"hint: the training goes on without us: federation result {handle.name}")
        raise
    if model is not None:
        say(f"model: {trained.save(model)}")
    if receipt is not None:
        trained.receipt.save(receipt)
        say(f"receipt: {receipt}")
    data: dict[str, Plain] = {"job": handle.name, "job_hash": handle.job_hash, **trained.to_dict()}
    return answer(data, text=trained.summary(), shown=trained.for_terminal, output=output)


class Rounds(Progress):
    """Shows the rounds of a training: a growing table on a terminal, one line a round in a pipe."""

    def __init__(self, job: str, *, output: Format) -> None:
        super().__init__(job, output=output)
        self._rounds: list[Round] = []
        self._told: tuple[object, ...] = ()

    def show(self, update: Update) -> None:
        """Show where the job stands; only a change of state, or of who is there, is news besides the rounds."""
        if self._news(update) != self._told:
            self._told = self._news(update)
            event(as_event(update), output=self._output)
        self._show(update)

    def add(self, one: Round) -> None:
        """Show a round that is over."""
        self._rounds.append(one)
        event({"trained": one.to_dict()}, output=self._output)
        if self._live is None:
            say(f"{self._job}: {one}")
        else:
            self._live.refresh()

    def _news(self, update: Update) -> tuple[object, ...]:
        return (update.state, tuple((party.party, party.connected) for party in update.parties))

    def _lines(self) -> RenderableType:
        from rich.console import Group

        rows = [one.cells() for one in self._rounds[-MOST_ROUNDS:]]
        return Group(rendering.for_terminal(COLUMNS, rows), super()._lines()) if rows else super()._lines()
