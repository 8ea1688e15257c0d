"""Over which set a query may be opened, as a table: what each step answers after what came before it.

A line is a step and what it answers: b0 binds to a sum, a0 agrees to open it over a list, o0 notes that it was opened,
w0 that it was withdrawn. Sums are named by their job, attempt and parties; lists by who is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clients.jurisdiction.records import Records, query_ids
from clients.jurisdiction.vault import MemoryVault
from federation.protocols.setup import Setup
from federation.query.query import SumQuery
from federation.query.round import Phase, Round
from tests.coordinator.stage import TornVault

FIVE = ("a", "b", "c", "d", "e")
FOUR, OTHERS, THREE = FIVE[:4], FIVE[1:], FIVE[:3]
QUERY, ANOTHER = b"q" * 32, b"r" * 32


def sum_of(job: str, parties: Sequence[str], *, attempt: int = 0, least: int = 3) -> Setup:
    return Setup.standard(
        job_hash=job.encode() * 32,
        round_index=0,
        attempt=attempt,
        roster_hash=bytes(32),
        parties=parties,
        least=least,
    )


FIRST, SECOND = sum_of("1", FIVE), sum_of("2", FIVE)
AGAIN = sum_of("1", FIVE, attempt=1)
ALL_OF_FIVE = sum_of("3", FIVE, least=5)
OF_FOUR, OF_OTHERS, OF_THREE = sum_of("4", FOUR), sum_of("5", OTHERS), sum_of("6", THREE)

Step = tuple[str, Setup, tuple[str, ...], bool]


def b(setup: Setup, answer: bool = True) -> Step:
    return "bind", setup, (), answer


def a(setup: Setup, over: Sequence[str], answer: bool = True) -> Step:
    return "agree", setup, tuple(over), answer


def o(setup: Setup, over: Sequence[str]) -> Step:
    return "opened", setup, tuple(over), True


def w(setup: Setup) -> Step:
    return "withdrawn", setup, (), True


TABLE: dict[str, list[Step]] = {
    "nothing is agreed that was not answered": [a(FIRST, FIVE, False)],
    "one sum from its answer to its opening": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR)],
    "the same step again": [b(FIRST), b(FIRST), a(FIRST, FOUR), a(FIRST, FOUR), o(FIRST, FOUR), o(FIRST, FOUR)],
    "one list of one sum": [b(FIRST), a(FIRST, FOUR), a(FIRST, FIVE, False), a(FIRST, OTHERS, False)],
    # asked again, among the same
    "the set of the first time, in another job": [b(FIRST), a(FIRST, FIVE), o(FIRST, FIVE), b(SECOND), a(SECOND, FIVE)],
    "the same who were counted, of the same": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), b(SECOND), a(SECOND, FOUR)],
    "another list of the same": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), b(SECOND), a(SECOND, FIVE, False)],
    "two jobs at once are opened over one list": [b(FIRST), b(SECOND), a(SECOND, FOUR), a(FIRST, FIVE, False)],
    "two jobs at once over the same list": [b(FIRST), b(SECOND), a(SECOND, FOUR), a(FIRST, FOUR)],
    "a job that broke off holds its parties": [b(FIRST), b(SECOND), a(SECOND, FOUR)],
    "a job that broke off after its list holds that": [b(FIRST), a(FIRST, FOUR), b(SECOND), a(SECOND, FIVE, False)],
    # asked again, among others
    "fewer than were asked": [b(FIRST), b(OF_FOUR, False)],
    "fewer than were counted": [b(FIRST), a(FIRST, FIVE), o(FIRST, FIVE), b(OF_FOUR, False), b(OF_OTHERS, False)],
    "more than were asked": [b(OF_FOUR), b(FIRST, False), b(ALL_OF_FIVE, False)],
    "those who were counted": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), b(OF_FOUR), a(OF_FOUR, FOUR)],
    "fewer of those who were counted": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), b(OF_FOUR), a(OF_FOUR, THREE, False)],
    "those who were agreed on": [b(FIRST), a(FIRST, FOUR), b(OF_FOUR), a(OF_FOUR, FOUR), a(OF_FOUR, THREE, False)],
    "as many others": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), b(OF_OTHERS, False), b(OF_THREE, False)],
    # another attempt
    "a second attempt, after the first was withdrawn": [b(FIRST), a(FIRST, FOUR), w(FIRST), b(AGAIN), a(AGAIN, FIVE)],
    "a second attempt of which the first was not": [b(FIRST), a(FIRST, FOUR), b(AGAIN), a(AGAIN, FIVE, False)],
    "what was withdrawn is nobody's": [b(FIRST), w(FIRST), a(FIRST, FIVE, False), b(OF_FOUR), a(OF_FOUR, THREE)],
    "a withdrawal of another sum": [b(FIRST), a(FIRST, FOUR), w(AGAIN), w(SECOND), a(FIRST, FIVE, False)],
    "a withdrawal before anything": [w(FIRST), b(FIRST), a(FIRST, FOUR)],
    "a withdrawal of what is open": [b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), w(FIRST), b(OF_THREE, False)],
    "a withdrawal of one of two": [b(FIRST), b(SECOND), w(FIRST), b(OF_FOUR, False), a(SECOND, FOUR)],
    "a withdrawal of one of two with a list": [b(FIRST), b(SECOND), a(FIRST, FOUR), w(FIRST), a(SECOND, FIVE, False)],
    "withdrawals of both": [b(FIRST), b(SECOND), a(FIRST, FOUR), w(FIRST), w(SECOND), b(OF_THREE)],
    "a withdrawal of one, the other open": [
        b(FIRST), b(SECOND), a(SECOND, FIVE), o(SECOND, FIVE), w(FIRST), b(OF_FOUR, False)
    ],
    "a withdrawal of what rests on an older opening": [
        b(FIRST), a(FIRST, FOUR), o(FIRST, FOUR), b(SECOND), a(SECOND, FOUR), w(SECOND), b(OF_OTHERS, False)
    ],
    # of a party that is not counted
    "opened without having agreed": [b(FIRST), o(FIRST, OTHERS), b(SECOND), a(SECOND, FIVE, False)],
}  # fmt: skip


@pytest.mark.parametrize("reopened", [False, True], ids=["", "after a restart at every step"])
@pytest.mark.parametrize("steps", TABLE.values(), ids=TABLE)
def test_what_a_party_remembers_decides_what_it_opens(steps: list[Step], reopened: bool) -> None:
    vault = MemoryVault()
    records = Records(vault)
    for place, (name, setup, over, want) in enumerate(steps):
        if reopened:
            records = Records(vault)
        match name:
            case "bind":
                got = records.bind([QUERY], setup)
            case "agree":
                got = records.agree([QUERY], setup, over)
            case "opened":
                got = records.opened([QUERY], setup, over) is None
            case _:
                got = records.withdrawn([QUERY], setup) is None
        assert got is want, f"step {place}: {name} {over}"


@pytest.mark.parametrize("steps", TABLE.values(), ids=TABLE)
def test_a_refused_step_writes_nothing(steps: list[Step]) -> None:
    vault = TornVault()
    records = Records(vault)
    for name, setup, over, want in steps:
        before = dict(vault._records)
        match name:
            case "bind":
                records.bind([QUERY, ANOTHER], setup)
            case "agree":
                records.agree([QUERY, ANOTHER], setup, over)
            case "opened":
                records.opened([QUERY, ANOTHER], setup, over)
            case _:
                records.withdrawn([QUERY, ANOTHER], setup)
        assert want or vault._records == before


@pytest.mark.parametrize("bad", [0, 1])
def test_of_several_queries_all_are_bound_or_none(bad: int) -> None:
    vault = MemoryVault()
    records = Records(vault)
    queries = (QUERY, ANOTHER)
    assert records.bind([queries[bad]], OF_FOUR)
    assert not records.bind(queries, FIRST)
    assert records.bind([queries[1 - bad]], OF_OTHERS), "nobody holds the other one"
    assert not records.agree(queries, OF_FOUR, FOUR), "nor is one agreed on without the other"
    assert records.agree([queries[bad]], OF_FOUR, FOUR)


def test_answers_are_counted_for_ever() -> None:
    vault = MemoryVault()
    assert [Records(vault).next_answer() for _ in range(3)] == [1, 2, 3]
    assert Records(vault).answers == 3
    assert Records(MemoryVault()).answers == 0


def test_a_memory_that_forgot_some_counts_on_from_what_it_is_told_and_never_back() -> None:
    vault = MemoryVault()
    Records(vault).next_answer()
    Records(vault).reconcile(7)
    assert Records(vault).next_answer() == 8
    Records(vault).reconcile(2)
    assert Records(vault).answers == 8


def test_a_record_of_the_first_version_is_an_opening_over_all_of_its_parties() -> None:
    vault = MemoryVault()
    Records(vault).opened([QUERY], FIRST, FIVE)
    everybody = (vault.get(QUERY) or b"")[:32]
    vault.put(QUERY, everybody)
    assert Records(vault).bind([QUERY], SECOND)
    assert not Records(vault).agree([QUERY], SECOND, FOUR)
    assert Records(vault).agree([QUERY], SECOND, FIVE)
    assert not Records(vault).bind([QUERY], OF_FOUR)


def ids(phase: Phase, *, version: str = "1", index: int = 0, dataset: str = "data") -> tuple[bytes, ...]:
    closed = ((False,),) if phase is Phase.SUMS else ()
    return query_ids(Round(index=index, phase=phase, queries=(SumQuery(dataset=dataset),), closed=closed), version)


def test_a_query_is_the_same_in_every_round_and_another_with_other_data_or_another_question() -> None:
    (query,) = ids(Phase.SUMS)
    assert ids(Phase.SUMS, index=5) == (query,)
    others = {*ids(Phase.SUPPORT), *ids(Phase.SUMS, version="2"), *ids(Phase.SUMS, dataset="other")}
    assert len({query, *others}) == 4
