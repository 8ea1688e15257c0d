"""Joint keys and their ceremonies on a screen: what one will cost, how far it is, what came of it."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clients.cli.output import Format, Plain, console, event, on_terminal, say
from clients.cli.progress import size
from clients.researcher.rendering import Cell, defused
from federation.protocols.key_ceremony.estimate import Estimate

if TYPE_CHECKING:
    from rich.live import Live

KEY_COLUMNS = ("key", "holders", "bits", "made", "expires", "state")
SHORT = 8  # letters of an id
PRODUCTION_BITS = 2048


@dataclass(frozen=True, slots=True)
class Seen:
    """A ceremony as a daemon tells of it.

    Attributes:
        told: what the control socket said.
    """

    told: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its id, in hexadecimal."""
        return str(self.told["ceremony"])

    @property
    def state(self) -> str:
        """Its state."""
        return str(self.told["state"])

    @property
    def ended(self) -> bool:
        """Whether nothing more happens in it."""
        return self.state in ("made", "failed")

    @property
    def lacking(self) -> tuple[str, ...]:
        """The holders whose operators have not approved."""
        return tuple(name for name in self.told["holders"] if name not in self.told["joined"])

    @property
    def line(self) -> str:
        """Where it stands, in one line."""
        told = self.told
        what = f"{told['bits']} bits, {', '.join(told['holders'])}"
        match self.state:
            case "proposed":
                how = f"{told['proposer']} proposes it: `federation key approve FILE {self.id[:SHORT]}`"
            case "approved":
                how = f"approved here; waits for the operators of {', '.join(self.lacking) or 'nobody'}"
            case "making":
                waits = f", waits for {', '.join(told['waits_for'])}" if told["waits_for"] else ""
                how = f"{told['tries']} tries (mean {told['mean_tries']}, nine in ten need fewer than "
                how += f"{told['p90_tries']}), {size(told['received_bytes'])} received; {told['step']}{waits}"
            case "signing":
                how = "the key is there; waits until all holders have signed it"
            case "made":
                how = f"key {told['key'][:SHORT]} after {told['tries']} tries"
            case _:
                how = f"no key: {told['why']}"
        return f"{self.id[:SHORT]}  {what}: {how}"


class Following:
    """Shows how a ceremony goes on, until it is left: one line on a terminal, one a change in a pipe."""

    def __init__(self, output: Format) -> None:
        self._output = output
        self._live: Live | None = None
        self._said = ""

    def __enter__(self) -> Self:
        if on_terminal(sys.stderr):
            from rich.live import Live

            self._live = Live(console=console(sys.stderr), refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, seen: Seen) -> None:
        """Show where it stands now."""
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(defused(seen.line)))
        # A step is over in less than a second: in a pipe only batches are news.
        news = str([seen.told[name] for name in ("state", "joined", "tries")])
        if news != self._said:
            self._said = news
            event(dict(seen.told), output=self._output)
            if self._live is None:
                say(seen.line)


def cost(expected: Estimate, bits: int, holders: Sequence[str]) -> str:
    """Return what a ceremony will cost."""

    def line(name: str, share: float | None, tries: int) -> str:
        traffic, sent = size(expected.traffic(share)), size(expected.sent(share))
        return (
            f"{name}  {tries:>7,} tries, {traffic} between all, {sent} sent by one, {lasting(expected.seconds(share))}"
        )

    return "\n".join((
        f"a key of {bits} bits for {', '.join(holders)}: none of them ever has its factors, all are needed to decrypt",
        line("mean", None, round(expected.mean)),
        line("p90 ", 0.9, expected.tries(0.9)),
        "tries are luck: those that failed make the next one no likelier (times: a core each, lines of 100 Mbit/s)",
    ))  # fmt: skip


def development(bits: int) -> str:
    """Return what is said of a key that protects nobody."""
    return f"DEVELOPMENT KEY: {bits} bits are factored in hours. It protects nobody; use it for tests alone"


def key_row(key: Mapping[str, Any], now_ms: int) -> tuple[Cell, ...]:
    """Return one key as a row of KEY_COLUMNS."""
    state = "in force" if key["made_ms"] <= now_ms < key["expires_ms"] else "expired"
    if key["bits"] < PRODUCTION_BITS:
        state += ", DEVELOPMENT: protects nobody"
    holders = ", ".join(key["holders"])
    return (key["key"][: 2 * SHORT], holders, key["bits"], day(key["made_ms"]), day(key["expires_ms"]), state)


def outcome(seen: Seen) -> str:
    """Return what came of a ceremony, for people."""
    told = seen.told
    lines = [
        f"key         {told['key']}",
        f"holders     {', '.join(told['holders'])}: all are needed for every sum",
        f"bits        {told['bits']}",
        f"tries       {told['tries']} (mean {told['mean_tries']})",
        f"transcript  {told['transcript']}",
        f"epoch       {day(told['made_ms'])} to {day(told['expires_ms'])}; shares are erased after it",
        "all holders have signed key and transcript; jobs of exactly these parties use it from now on",
    ]
    if told["bits"] < PRODUCTION_BITS:
        lines.insert(0, development(told["bits"]))
    return "\n".join(lines)


def day(at_ms: int) -> str:
    """Return the day of a Unix time in milliseconds, "?" for one that no calendar has."""
    try:
        found = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
    except (OverflowError, OSError, ValueError):
        return "?"
    return found.strftime("%Y-%m-%d")


def lasting(seconds: float) -> str:
    """Return a rough time for people."""
    return f"about {max(1, round(seconds))} s" if seconds < 120 else f"about {round(seconds / 60)} min"


def as_plain(seen: Seen) -> dict[str, Plain]:
    """Return a ceremony for programs."""
    return dict(seen.told)
