"""What an audit found, line by line: proven, stated by somebody, not provable here, or broken; plain values to show.

A line is proven if the roster, the signatures and the arithmetic leave no other way; whoever signed it is named. What
only one member says is that member's statement. The first line that is broken ends an audit: what follows rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from clients.researcher import rendering
from clients.researcher.figures import Figure
from clients.researcher.receipt import Plain, Receipt, as_mapping, plain
from federation.errors import ProtocolViolation

if TYPE_CHECKING:
    from rich.console import Group


class Standing(StrEnum):
    """What can be said of a line."""

    PROVEN = "proven"
    STATED = "stated"
    NOT_PROVABLE = "not provable here"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an audit.

    Attributes:
        step: where in the job: "verdicts", "round 0: consents".
        claim: what stands there, or for a broken line what was expected and what was found.
        by: who signed it; who states it; of a broken line, who is to blame.
    """

    standing: Standing
    step: str
    claim: str
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk of a total that was added up alone.

    Attributes:
        round_index: which secure sum, from 0.
        place: which chunk of it, from 0, of `count`.
        numbers: elements in it.
        roots: (contributor, the root of its whole vector, which it signed).
        digest: hash of the chunk that the contributors' chunks add up to, b"" if it came to none.
        total_root: what the coordinator signed of the whole total.
        equal: whether the chunk stands there under that root.
    """

    round_index: int
    place: int
    count: int
    numbers: int
    roots: tuple[tuple[str, bytes], ...]
    digest: bytes
    total_root: bytes
    equal: bool


class Findings:
    """Collects the lines of an audit, step by step.

    Args:
        relay: whose evidence it is: to blame for what no signature ties to anybody else.
        told: called with the name of each step, for those who wait.
    """

    def __init__(self, relay: str, told: Callable[[str], None]) -> None:
        self.relay, self._told = relay, told
        self.lines: list[Line] = []
        self._step = ""

    @property
    def is_broken(self) -> bool:
        """Whether something did not hold."""
        return any(line.standing is Standing.BROKEN for line in self.lines)

    def at(self, step: str) -> None:
        """Go on to another step."""
        self._step = step
        self._told(step)

    def proven(self, claim: str, *by: str) -> None:
        """Add what is proven now."""
        self._add(Standing.PROVEN, claim, by)

    def stated(self, claim: str, *by: str) -> None:
        """Add what these members say."""
        self._add(Standing.STATED, claim, by)

    def open(self, claim: str) -> None:
        """Add what cannot be proven here."""
        self._add(Standing.NOT_PROVABLE, claim, ())

    def broken(self, fault: ProtocolViolation) -> None:
        """Add what ends the audit."""
        self._add(Standing.BROKEN, f"expected {fault.expected}, found {fault.got}", (fault.party,))

    def lie(self, expected: str, got: str) -> ProtocolViolation:
        """Return the violation of the one whose evidence it is."""
        return self.broken_by(self.relay, expected, got)

    def broken_by(self, party: str, expected: str, got: str) -> ProtocolViolation:
        """Return the violation of a signer."""
        return ProtocolViolation(party, phase=self._step, expected=expected, got=got)

    def _add(self, standing: Standing, claim: str, by: tuple[str, ...]) -> None:
        self.lines.append(Line(standing=standing, step=self._step, claim=claim, by=by))


MOST_NAMES: Final = 8
COLUMNS: Final = ("standing", "step", "what", "by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an audit of one job found.

    Attributes:
        job: its name, "" where the evidence does not come so far.
        job_hash: likewise, b"".
        figures: the job's answers, made again from the proven totals; () unless it was released and everything holds.
        chunk: the one that was asked for.
        receipt: as it follows from all that, None unless the job was released and everything holds.
    """

    job: str
    job_hash: bytes
    lines: tuple[Line, ...]
    figures: tuple[Figure, ...] = ()
    chunk: Chunk | None = None
    receipt: Receipt | None = None

    @property
    def broken(self) -> Line | None:
        """The line that does not hold, if there is one."""
        return next((line for line in self.lines if line.standing is Standing.BROKEN), None)

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        broken = self.broken
        if broken is None:
            proven = sum(line.standing is Standing.PROVEN for line in self.lines)
            return f"holds: {proven} lines are proven, the others say whose word they are"
        return f"does NOT hold: {broken.step}: {broken.claim}; to blame: {', '.join(broken.by)}"

    def rows(self) -> list[tuple[rendering.Cell, ...]]:
        """Return one row a line, as `COLUMNS` names the cells."""
        return [(line.standing.value, line.step, line.claim, _names(line.by)) for line in self.lines]

    def notes(self) -> list[str]:
        """Return what stands below the table: the chunk, the figures, the sentence."""
        notes = [] if self.chunk is None else _chunk_lines(self.chunk)
        for figure in self.figures:
            if figure.table is None:
                notes += ["", f"{figure.question}: {figure.failure}"]
                continue
            rows, hidden = rendering.shortened(figure.table.rows)
            more = [f"{hidden} rows in the middle are not shown: -o json has all"] if hidden else []
            notes += ["", rendering.text(figure.table.columns, rows, title=figure.question, notes=more)]
        return [*notes, "", self.sentence]

    def summary(self) -> str:
        """Return the report as text."""
        return rendering.text(COLUMNS, self.rows(), title=self._title(), notes=self.notes())

    def for_terminal(self) -> Group:
        """Return what a terminal shows."""
        return rendering.for_terminal(COLUMNS, self.rows(), title=self._title(), notes=self.notes())

    def to_dict(self) -> dict[str, Plain]:
        """Return the report as plain values; bytes as hexadecimal."""
        return {
            "job": self.job,
            "job_hash": self.job_hash.hex(),
            "holds": self.broken is None,
            "sentence": self.sentence,
            "lines": [as_mapping(line) for line in self.lines],
            "figures": [plain(figure) for figure in self.figures],
            "chunk": None if self.chunk is None else as_mapping(self.chunk),
        }

    def _title(self) -> str:
        return f"evidence of job {self.job} {self.job_hash.hex()[:12]}" if self.job else "evidence"


def _names(names: Sequence[str]) -> str:
    """Name some, and count the others: a line stays a line also among a hundred parties."""
    shown = names if len(names) <= MOST_NAMES else names[: MOST_NAMES - 1]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _chunk_lines(chunk: Chunk) -> list[str]:
    rows: list[tuple[rendering.Cell, ...]] = [(party, root.hex()) for party, root in chunk.roots]
    rows.append(("digest of their sum", chunk.digest.hex() or "none: a chunk is not the one that was signed"))
    rows.append(("root of the total", chunk.total_root.hex()))
    rows.append(("equal", chunk.equal))
    title = (
        f"round {chunk.round_index}, chunk {chunk.place} of {chunk.count}, added up alone: {chunk.numbers:,} numbers"
    )
    return ["", rendering.text(("contributor", "signed root of its vector"), rows, title=title)]
