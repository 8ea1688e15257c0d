"""Several queries as one vector of integers: the layout that every party fills and that every party reads.

A SUPPORT round asks, per support row (each cell, then each count), whether a party withholds it; a SUMS round carries
the numbers and the same flags, with closed rows left out by everybody. A party withholds a row of fewer than k units:
empty and small look alike. Refused: answers and vectors of another length, and opened numbers that honest parties
cannot add up to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from federation.domain import job
from federation.domain.catalogue import Dataset
from federation.errors import Misuse, ProtocolViolation
from federation.query.expression import Gram
from federation.query.query import Answer, Shape, SumQuery, Totals, canonical, shape

UNITS_PER_PARAMETER: Final = 3
_SOMEBODY: Final = "one of the parties"  # a sum does not tell whose number was wrong; the evidence does


class Phase(StrEnum):
    """What a round opens."""

    SUPPORT = "support"  # how many parties withhold each row, before any number is asked
    SUMS = "sums"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One secure sum of a job.

    Attributes:
        index: 0 for the first secure sum of the job.
        phase: what it opens.
        queries: asked in one scan, independent of each other.
        closed: SUMS: per query, per support row (cells, then counts), True where nobody sends numbers; SUPPORT: ().
    """

    index: int
    phase: Phase
    queries: tuple[SumQuery, ...]
    closed: tuple[tuple[bool, ...], ...] = ()


def round_digest(asked: Round) -> bytes:
    """Return the 32 bytes that name the round: its place, phase, queries and closed rows."""
    closed = [bytes(row) for row in asked.closed]
    parts = [asked.index.to_bytes(8, "big"), asked.phase.encode(), len(asked.queries).to_bytes(8, "big")]
    return job.digest("federation/round/v1", *parts, *(canonical(query) for query in asked.queries), *closed)


def length(asked: Round, dataset: Dataset) -> int:
    """Return how many numbers the round's vector has over the joint `dataset`."""
    return sum(_length(asked.phase, found) for found in _shapes(asked, dataset))


def least_units(query: SumQuery, k: int) -> int:
    """Return the fewest units of its own with which a party shows a cell of `query`: k, and 3 for each parameter.

    The parameters of a query are the columns of its widest Gram: a model, or a matrix of covariances.
    """
    widest = max((len(term.columns) for term in query.terms if isinstance(term, Gram)), default=0)
    return max(k, UNITS_PER_PARAMETER * widest) if k > 1 else k


def encoded(
    asked: Round, dataset: Dataset, answers: Sequence[Answer], k: int, withheld: Sequence[Sequence[bool]] = ()
) -> list[int]:
    """Return one party's vector: its numbers where it may show them, zeros and a flag where it withholds.

    Args:
        asked: the round.
        dataset: the joint description.
        answers: one per query.
        k: least units in a row of this party's own; 1 or less withholds nothing.
        withheld: per query, cells that a rule of this party withholds besides those; () for none.

    Raises:
        Misuse: an answer does not have its query's shape.
    """
    shapes = _shapes(asked, dataset)
    if len(answers) != len(shapes):
        raise Misuse(f"a round of {len(shapes)} queries needs as many answers, got {len(answers)}")
    vector: list[int] = []
    for index, (found, answer) in enumerate(zip(shapes, answers, strict=True)):
        if len(answer.table) != found.cells or len(answer.counts) != len(found.counts):
            raise Misuse("an answer does not have the cells and counts of its query")
        if any(len(row) != 1 + found.terms for row in answer.table):
            raise Misuse("an answer does not have the terms of its query")
        rows = [*answer.table, *((count,) for count in answer.counts)]
        flags = [int(k > 1 and row[0] < k) for row in rows]
        if withheld and withheld[index]:
            also = zip(flags[: found.cells], withheld[index], strict=True)
            flags[: found.cells] = [int(a or b) for a, b in also]
        if asked.phase is Phase.SUPPORT:
            vector += flags
            continue
        for row, flag, closed in zip(rows, flags, asked.closed[index], strict=True):
            vector += [0] * len(row) if flag or closed else row
        vector += [0 if closed else flag for flag, closed in zip(flags, asked.closed[index], strict=True)]
    return vector


def decoded(asked: Round, dataset: Dataset, numbers: Sequence[int], parties: int) -> tuple[Totals, ...]:
    """Return the totals of a SUMS round, one per query, from the opened vector of `parties` parties.

    Raises:
        Misuse: a SUPPORT round.
        ProtocolViolation: the length, a flag, a count, a closed or a withheld row is not what honest vectors add up to.
    """
    if asked.phase is not Phase.SUMS:
        raise Misuse("only a round of sums has totals", hint="read a support round with `support`")
    shapes = _shapes(asked, dataset)
    _measured(asked, shapes, numbers)
    found: list[Totals] = []
    start = 0
    for index, of in enumerate(shapes):
        width = 1 + of.terms
        table = [tuple(numbers[start + i * width : start + (i + 1) * width]) for i in range(of.cells)]
        start += of.cells * width
        counts = tuple(numbers[start : start + len(of.counts)])
        start += len(of.counts)
        flags = _flags(numbers[start : start + of.rows], parties)
        start += of.rows
        closed = asked.closed[index]
        for row, flag, shut in zip([*table, *((count,) for count in counts)], flags, closed, strict=True):
            _plausible(row, flag, shut=shut, parties=parties)
        withheld = tuple(parties if shut else flag for flag, shut in zip(flags, closed, strict=True))
        totals = Totals(
            table=tuple(table),
            counts=counts,
            withheld=withheld[: of.cells],
            withheld_counts=withheld[of.cells :],
            parties=parties,
            closed=closed[: of.cells],
        )
        found.append(totals)
    return tuple(found)


def support(asked: Round, dataset: Dataset, numbers: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return per query, per support row, how many parties withhold it, from the opened vector of a SUPPORT round.

    Raises:
        Misuse: a SUMS round.
        ProtocolViolation: another length, or a negative number.
    """
    if asked.phase is not Phase.SUPPORT:
        raise Misuse("only a support round tells what is withheld beforehand", hint="read sums with `decoded`")
    shapes = _shapes(asked, dataset)
    _measured(asked, shapes, numbers)
    found: list[tuple[int, ...]] = []
    start = 0
    for of in shapes:
        found.append(_flags(numbers[start : start + of.rows], None))
        start += of.rows
    return tuple(found)


def _length(phase: Phase, found: Shape) -> int:
    return found.rows if phase is Phase.SUPPORT else found.numbers + found.rows


def _shapes(asked: Round, dataset: Dataset) -> tuple[Shape, ...]:
    shapes = tuple(shape(query, dataset) for query in asked.queries)
    rows = [found.rows for found in shapes] if asked.phase is Phase.SUMS else []
    if [len(closed) for closed in asked.closed] != rows:
        raise Misuse("a round of sums says for every support row whether it is closed, a support round for none")
    return shapes


def _measured(asked: Round, shapes: Sequence[Shape], numbers: Sequence[int]) -> None:
    wanted = sum(_length(asked.phase, found) for found in shapes)
    if len(numbers) != wanted:
        raise _violation(asked.phase, f"{wanted} numbers", f"{len(numbers)}")


def _flags(flags: Sequence[int], parties: int | None) -> tuple[int, ...]:
    if any(flag < 0 or (parties is not None and flag > parties) for flag in flags):
        raise _violation(
            "withholding", f"flags that add up to 0..{parties or 'the number of parties'}", "another number"
        )
    return tuple(flags)


def _plausible(row: tuple[int, ...], flag: int, *, shut: bool, parties: int) -> None:
    if shut and (flag or any(row)):
        raise _violation(Phase.SUMS, "zeros in a closed row", "a number")
    if flag == parties and any(row):
        raise _violation(Phase.SUMS, "zeros in a row that all parties withhold", "a number")
    if row[0] < 0:
        raise _violation(Phase.SUMS, "a count of zero or more", "a negative number")


def _violation(phase: str, expected: str, got: str) -> ProtocolViolation:
    return ProtocolViolation(_SOMEBODY, phase=phase, expected=expected, got=got)
