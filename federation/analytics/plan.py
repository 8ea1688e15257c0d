"""A plan is a pure generator: it yields the queries of a round, receives the opened totals, and returns a result.

A plan never sees a party, a row, a clock or a random number, so that everybody who replays it on the same totals asks
the same next query. `together` runs several plans as one, so that what is asked at the same time is one secure sum
and one approval.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from federation.errors import FederationError, Misuse, Refused
from federation.query.query import SumQuery, Totals, canonical

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Plan: TypeAlias = Generator[tuple[SumQuery, ...], tuple[Totals, ...], R]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[R_co]):
    """A statistic came to its end."""

    result: R_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A statistic failed, alone; the others of its job are not touched.

    Attributes:
        code: as `federation.errors` has it: "refused", "misuse", "job_failed", or "internal" for a defect of ours.
        message: one sentence without data values.
        hint: the next step, or "".
        rule: the rule's name when the code is "refused", else "".
    """

    code: str
    message: str
    hint: str = ""
    rule: str = ""


Outcome: TypeAlias = Done[Any] | Failure


def together(plans: Sequence[Plan[Any]]) -> Plan[tuple[Outcome, ...]]:
    """Run `plans` side by side: pending queries of all are one round, and equal ones (canonical bytes) are asked once.

    Queries stand in the order of the plans, first asked first. A plan that raises, or that asks for nothing, becomes
    its own `Failure`; the result has one outcome per plan, in order. Closing this generator closes the plans.
    """
    outcomes: dict[int, Outcome] = {}
    pending: dict[int, tuple[SumQuery, ...]] = {}
    try:
        for index, plan in enumerate(plans):
            _advance(index, plan, None, pending, outcomes)
        while pending:
            places: dict[bytes, int] = {}
            merged: list[SumQuery] = []
            for queries in pending.values():
                for query in queries:
                    if places.setdefault(canonical(query), len(merged)) == len(merged):
                        merged.append(query)
            totals = yield tuple(merged)
            asked, pending = pending, {}
            for index, queries in asked.items():
                answer = tuple(totals[places[canonical(query)]] for query in queries)
                _advance(index, plans[index], answer, pending, outcomes)
    finally:
        for plan in plans:
            plan.close()
    return tuple(outcomes[index] for index in range(len(plans)))


def abreast(plans: Sequence[Plan[R]]) -> Plan[tuple[R, ...]]:
    """Run the parts of one statistic side by side and return their results in order; what one raises ends them all."""
    results: dict[int, R] = {}
    pending: dict[int, tuple[SumQuery, ...]] = {}

    def advance(index: int, answer: tuple[Totals, ...] | None) -> None:
        try:
            pending[index] = next(plans[index]) if answer is None else plans[index].send(answer)
        except StopIteration as end:
            results[index] = end.value

    try:
        for index in range(len(plans)):
            advance(index, None)
        while pending:
            totals = yield tuple(query for queries in pending.values() for query in queries)
            asked, pending = pending, {}
            at = 0
            for index, queries in asked.items():
                advance(index, totals[at : at + len(queries)])
                at += len(queries)
    finally:
        for plan in plans:
            plan.close()
    return tuple(results[index] for index in range(len(plans)))


def _advance(
    index: int,
    plan: Plan[Any],
    answer: tuple[Totals, ...] | None,
    pending: dict[int, tuple[SumQuery, ...]],
    outcomes: dict[int, Outcome],
) -> None:
    try:
        queries = next(plan) if answer is None else plan.send(answer)
        if not queries:
            raise Misuse("the statistic asked for nothing in a round")
        for query in queries:
            canonical(query)  # a query that has no canonical bytes fails here, alone
    except StopIteration as end:
        outcomes[index] = Done(result=end.value)
    except FederationError as error:
        rule = error.rule if isinstance(error, Refused) else ""
        outcomes[index] = Failure(code=error.code, message=error.message, hint=error.hint, rule=rule)
    except (MemoryError, RecursionError):
        raise  # differs between machines, so it may not decide what a plan returns
    except Exception as error:  # noqa: BLE001 - a defect in one statistic is that statistic's failure; its text may hold totals
        outcomes[index] = Failure(code="internal", message=f"the statistic failed with {type(error).__name__}")
    else:
        pending[index] = queries
