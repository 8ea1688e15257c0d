"""The live lines of a running job on stderr: one line a party on a terminal, one line a change in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from clients.cli.output import Format, Plain, console, event, on_terminal, say
from clients.researcher.rendering import defused
from federation.domain.job import PartyProgress, Update

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_SIZES = ("B", "kB", "MB", "GB")
_WORDS = {  # of a protocol's messages, for people
    "advert": "sent its keys for round {}",
    "shares": "dealt shares of its masks",
    "head": "sent masked numbers",
    "consent": "agreed who is counted",
    "unmask": "gave the shares that open",
    "challenge": "checks a sample",
    "withdrawal": "withdrew",
}


class Progress:
    """Shows a job's updates until it is left; a context manager whose `show` is a session's `on_update`."""

    def __init__(self, job: str, *, output: Format) -> None:
        self._job = job
        self._output = output
        self._since_s = time.monotonic()
        self._live: Live | None = None
        self._said: tuple[object, ...] = ()
        self._update: Update | None = None
        self._beats: dict[str, tuple[int, float]] = {}  # party -> (its last beat there, when we learnt of it)

    def __enter__(self) -> Self:
        if on_terminal(sys.stderr):
            from rich.live import Live

            # Drawn anew by the clock too, so that a party that is silent is seen to be.
            self._live = Live(
                console=console(sys.stderr), refresh_per_second=4, transient=True, get_renderable=self._lines
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, update: Update) -> None:
        """Show one line of the job's life."""
        event(as_event(update), output=self._output)
        self._show(update)

    def _show(self, update: Update) -> None:
        self._update = update
        for party in update.parties:
            if self._beats.get(party.party, (0, 0.0))[0] != party.heard_ms:
                self._beats[party.party] = (party.heard_ms, time.monotonic())
        if self._live is not None:
            self._live.refresh()
            return
        state = self._news(update)
        if state != self._said:  # bytes alone are no news in a log
            self._said = state
            say(line(self._job, update))

    def _news(self, update: Update) -> tuple[object, ...]:
        """Return what makes an update a line of its own in a log, where it differs from the last one."""
        return (update.state, update.round_index, tuple((p.party, p.step, p.connected) for p in update.parties))

    def _lines(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        seconds = round(time.monotonic() - self._since_s)
        if self._update is None:
            return Text(defused(f"{self._job}: {seconds} s"))
        title = f"{self._job}: {self._update.state.value}, round {self._update.round_index}, {seconds} s"
        table = Table.grid(padding=(0, 2))
        for party in self._update.parties:
            cells = (f"  {party.party}", _step(party), size(party.sent_bytes), self._beat(party))
            table.add_row(*(Text(defused(cell)) for cell in cells))
        return Group(Text(defused(title)), table)

    def _beat(self, party: PartyProgress) -> str:
        """Return how long ago the party was last heard of, by our clock alone: the coordinator's may differ."""
        _, learnt_s = self._beats.get(party.party, (0, 0.0))
        return f"heard {time.monotonic() - learnt_s:.0f} s ago" if party.heard_ms else ""


def line(job: str, update: Update) -> str:
    """Return an update as one line."""
    parties = ", ".join(f"{p.party} {_step(p)} {size(p.sent_bytes)}" for p in update.parties)
    return f"{job}: {update.state.value}, round {update.round_index}" + (f": {parties}" if parties else "")


def as_event(update: Update) -> dict[str, Plain]:
    """Return an update as plain values."""
    return {
        "job_hash": update.job_hash.hex(),
        "state": update.state.value,
        "round": update.round_index,
        "parties": [
            {"party": p.party, "step": p.step, "connected": p.connected, "sent_bytes": p.sent_bytes}
            for p in update.parties
        ],
        "blames": [{"party": b.party, "code": b.code, "message": b.message, "hint": b.hint} for b in update.blames],
    }


def size(count: int) -> str:
    """Return a number of bytes for people: 640 B, 1.2 kB."""
    number, step = float(count), 0
    while number >= 1000 and step < len(_SIZES) - 1:
        number, step = number / 1000, step + 1
    return f"{count} B" if step == 0 else f"{number:.1f} {_SIZES[step]}"


def _step(party: PartyProgress) -> str:
    step = worded(party.step)
    return step if party.connected else f"{step} (offline)"


def worded(step: str) -> str:
    """Return what a party did last in words: "sent head 0" is "sent masked numbers"; what is not known stays."""
    sent, _, what = step.partition(" ")
    kind, _, index = what.partition(" ")
    return _WORDS[kind].format(index) if sent == "sent" and kind in _WORDS else step
