"""What parties encode adds up to what everybody decodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import Phase as Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.errors import Misuse, ProtocolViolation
from federation.query import round as module
from federation.query.expression import Col, Const, Gram
from federation.query.query import Answer, Bins, Categories, SumQuery, Totals, shape
from federation.query.round import Phase, Round, decoded, encoded, length, round_digest, support
from tests.query.sample import JOINT

BY_GROUP = SumQuery(dataset="d", group_by=(Categories("g"),), terms=(Col("x"), Gram(Const(1), (Col("n"), Col("x")))))
PLAIN = SumQuery(dataset="d", terms=(Col("n"),))
BINNED = SumQuery(dataset="d", group_by=(Bins(Col("n"), (0, 5)),))
FORMS = {query: shape(query, JOINT) for query in (BY_GROUP, PLAIN, BINNED)}


def sums(*queries: SumQuery, closed: tuple[tuple[bool, ...], ...] | None = None) -> Round:
    wide_open = tuple((False,) * FORMS[query].rows for query in queries)
    return Round(index=1, phase=Phase.SUMS, queries=queries, closed=wide_open if closed is None else closed)


def answers(query: SumQuery) -> st.SearchStrategy[Answer]:
    """Draw what a party may hold: few units or many, sums of any size and sign."""
    form = FORMS[query]
    term = st.one_of(st.integers(-(2**100), 2**100), st.integers(-3, 3))
    row = st.tuples(st.integers(0, 25), *[term] * form.terms)
    table = st.lists(row, min_size=form.cells, max_size=form.cells).map(tuple)
    counts = st.lists(st.integers(0, 25), min_size=len(form.counts), max_size=len(form.counts)).map(tuple)
    return st.builds(lambda t, c: Answer(table=t, counts=c), table, counts)


def kept(answer: Answer, k: int, closed: tuple[bool, ...]) -> tuple[Answer, list[int]]:
    """Say by the letter of the rule what a party shows of `answer`, and which rows it withholds."""
    table, flags = [], []
    for row, shut in zip(answer.table, closed, strict=False):
        small = k > 1 and row[0] < k
        table.append(tuple(0 for _ in row) if small or shut else row)
        flags.append(int(small))
    counts = []
    for count, shut in zip(answer.counts, closed[len(table) :], strict=True):
        small = k > 1 and count < k
        counts.append(0 if small or shut else count)
        flags.append(int(small))
    return Answer(table=tuple(table), counts=tuple(counts)), flags


def added(vectors: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*vectors, strict=True)]


def search(endings: Counter[str]) -> None:
    queries = (BY_GROUP, PLAIN, BINNED)

    @settings(max_examples=100, derandomize=True, phases=[Stage.generate], report_multiple_bugs=False)
    @given(st.data(), st.integers(1, 6), st.sampled_from((0, 1, 2, 10)))
    def check(data: st.DataObject, parties: int, k: int) -> None:
        held = [[data.draw(answers(query)) for query in queries] for _ in range(parties)]
        ks = [k + data.draw(st.integers(0, 1)) for _ in range(parties)]
        closed = tuple(
            tuple(data.draw(st.lists(st.booleans(), min_size=FORMS[q].rows, max_size=FORMS[q].rows))) for q in queries
        )
        asked = sums(*queries, closed=closed)
        vectors = [encoded(asked, JOINT, mine, party_k) for mine, party_k in zip(held, ks, strict=True)]
        assert {len(vector) for vector in vectors} == {length(asked, JOINT)}
        totals = decoded(asked, JOINT, added(vectors), parties)
        for i, (query, total) in enumerate(zip(queries, totals, strict=True)):
            shown = [kept(mine[i], party_k, closed[i]) for mine, party_k in zip(held, ks, strict=True)]
            flags = added([flags for _, flags in shown])
            withheld = [parties if shut else flag for flag, shut in zip(flags, closed[i], strict=True)]
            cells = FORMS[query].cells
            assert total == Totals(
                table=tuple(
                    tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*(a.table for a, _ in shown), strict=True)
                ),
                counts=tuple(map(sum, zip(*(a.counts for a, _ in shown), strict=True))),
                withheld=tuple(withheld[:cells]),
                withheld_counts=tuple(withheld[cells:]),
                parties=parties,
                closed=closed[i][:cells],
            ), "the sum of the vectors does not decode to the sum of what was shown"
            endings["a row was withheld by some"] += any(0 < flag < parties for flag in flags)
            endings["a row was closed"] += any(closed[i])
            endings["a row was withheld by all"] += parties in flags
            endings["nothing was withheld"] += not any(flags)

        before = Round(index=0, phase=Phase.SUPPORT, queries=queries)
        vectors = [encoded(before, JOINT, mine, party_k) for mine, party_k in zip(held, ks, strict=True)]
        assert {len(vector) for vector in vectors} == {length(before, JOINT)}
        told = support(before, JOINT, added(vectors))
        for i, rows in enumerate(told):
            nothing_closed = (False,) * len(rows)
            assert list(rows) == added([kept(mine[i], k, nothing_closed)[1] for mine, k in zip(held, ks, strict=True)])

    check()


def test_the_sum_of_the_vectors_is_the_sum_of_what_was_not_withheld() -> None:
    endings: Counter[str] = Counter()
    search(endings)
    assert min(endings[e] for e in ("a row was closed", "nothing was withheld", "a row was withheld by all")) >= 20
    assert endings["a row was withheld by some"] >= 40


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("_plausible", lambda *_, **__: None),
        ("_flags", lambda flags, _: tuple(flags[::-1])),
        ("_length", lambda _, found: found.numbers),
    ],
)
def test_a_planted_fault_in_the_layout_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: Callable[..., object]
) -> None:
    monkeypatch.setattr(module, name, fault)
    if name == "_plausible":  # nothing honest depends on it: the dishonest vectors below do
        with pytest.raises(pytest.fail.Exception):
            test_numbers_that_no_honest_parties_add_up_to_are_a_violation(3, 5, "zeros in a closed row")
    else:
        with pytest.raises((AssertionError, ProtocolViolation)):
            search(Counter())


def test_the_layout_is_cells_then_counts_then_flags() -> None:
    answer = Answer(table=((12, 120), (3, 30), (0, 0), (10, 7)), counts=(11, 0, 1))
    query = SumQuery(dataset="d", group_by=(Bins(Col("n"), (0, 5, 9)),), terms=(Col("n"),))
    open_rows = ((False,) * 7,)
    asked = Round(index=1, phase=Phase.SUMS, queries=(query,), closed=open_rows)
    assert encoded(asked, JOINT, [answer], k=10) == [12, 120, 0, 0, 0, 0, 10, 7, 11, 0, 0, 0, 1, 1, 0, 0, 1, 1]
    assert encoded(asked, JOINT, [answer], k=1) == [12, 120, 3, 30, 0, 0, 10, 7, 11, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    half = replace(asked, closed=((True, True, False, False, True, False, False),))
    assert encoded(half, JOINT, [answer], k=10) == [0, 0, 0, 0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1]
    before = Round(index=0, phase=Phase.SUPPORT, queries=(query,))
    assert encoded(before, JOINT, [answer], k=10) == [0, 1, 1, 0, 0, 1, 1]
    assert length(before, JOINT) == 7
    assert length(asked, JOINT) == 4 * 2 + 3 + 7


def test_an_empty_cell_and_a_small_one_look_alike() -> None:
    asked = sums(PLAIN)
    empty, small = (Answer(table=((units, total),), counts=(0, 0, 0)) for units, total in ((0, 0), (9, 81)))
    assert encoded(asked, JOINT, [empty], k=10) == encoded(asked, JOINT, [small], k=10)


def test_a_closed_row_says_nothing_at_all() -> None:
    asked = sums(PLAIN, closed=((True, True, True, True),))
    for units in (0, 5, 500):
        answer = Answer(table=((units, units),), counts=(units, 0, 0))
        assert not any(encoded(asked, JOINT, [answer], k=10))
    (total,) = decoded(asked, JOINT, [0] * length(asked, JOINT), parties=4)
    assert total.closed == (True,)
    assert total.withheld == (4,)  # whoever forgets to look at `closed` sees a row that everybody withheld
    assert total.withheld_counts == (4, 4, 4)


@pytest.mark.parametrize(
    ("position", "value", "expected"),
    [
        (0, -1, "a count of zero or more"),
        (2, -1, "a count of zero or more"),
        (3, 5, "zeros in a closed row"),
        (8, 1, "zeros in a closed row"),
        (5, 4, "flags that add up to 0..3"),
        (5, -1, "flags that add up to 0..3"),
        (5, 3, "zeros in a row that all parties withhold"),
    ],
)
def test_numbers_that_no_honest_parties_add_up_to_are_a_violation(position: int, value: int, expected: str) -> None:
    asked = sums(PLAIN, closed=((False, False, False, True),))
    numbers = [30, 300, 0, 0, 0, 0, 0, 0, 0]
    assert decoded(asked, JOINT, numbers, parties=3)[0].table == ((30, 300),)
    if expected.startswith("zeros in a closed"):
        position = 4 if position == 3 else position
    numbers[position] = value
    with pytest.raises(ProtocolViolation) as caught:
        decoded(asked, JOINT, numbers, parties=3)
    assert caught.value.expected == expected
    assert "300" not in str(caught.value)


@pytest.mark.parametrize("numbers", [[], [0] * 8, [0] * 10])
def test_a_vector_of_another_length_is_a_violation(numbers: list[int]) -> None:
    with pytest.raises(ProtocolViolation, match="9 numbers"):
        decoded(sums(PLAIN), JOINT, numbers, parties=3)
    with pytest.raises(ProtocolViolation, match="4 numbers"):
        support(Round(index=0, phase=Phase.SUPPORT, queries=(PLAIN,)), JOINT, numbers)


def test_a_negative_number_of_withholding_parties_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        support(Round(index=0, phase=Phase.SUPPORT, queries=(PLAIN,)), JOINT, [0, 0, -1, 0])


def test_answers_of_another_shape_are_misuse() -> None:
    good = Answer(table=((1, 2),), counts=(0, 0, 0))
    assert encoded(sums(PLAIN), JOINT, [good], k=1)
    for bad in (
        [],
        [good, good],
        [replace(good, table=())],
        [replace(good, table=((1,),))],
        [replace(good, table=((1, 2, 3),))],
        [replace(good, counts=(0, 0))],
    ):
        with pytest.raises(Misuse):
            encoded(sums(PLAIN), JOINT, bad, k=1)


def test_a_round_says_for_every_row_whether_it_is_closed() -> None:
    for bad in ((), ((False,) * 3,), ((False,) * 4, (False,) * 4)):
        with pytest.raises(Misuse, match="closed"):
            length(sums(PLAIN, closed=bad), JOINT)
    with pytest.raises(Misuse, match="closed"):
        length(Round(index=0, phase=Phase.SUPPORT, queries=(PLAIN,), closed=((False,) * 4,)), JOINT)


def test_each_phase_is_read_by_its_own_reader() -> None:
    with pytest.raises(Misuse):
        support(sums(PLAIN), JOINT, [0] * 9)
    with pytest.raises(Misuse):
        decoded(Round(index=0, phase=Phase.SUPPORT, queries=(PLAIN,)), JOINT, [0] * 4, parties=3)


def test_every_part_of_a_round_is_in_its_digest() -> None:
    one = sums(PLAIN)
    others = [
        one,
        replace(one, index=2),
        replace(one, phase=Phase.SUPPORT, closed=()),
        replace(one, closed=()),
        replace(one, closed=((False, False, False, True),)),
        replace(one, closed=((False, False, True, False),)),
        sums(PLAIN, PLAIN),
        sums(BINNED),
        sums(PLAIN, BINNED),
        sums(BINNED, PLAIN),
        replace(sums(PLAIN, BINNED), closed=sums(PLAIN).closed),
    ]
    assert len({round_digest(asked) for asked in others}) == len(others)
    assert round_digest(one) == round_digest(sums(SumQuery(dataset="d", terms=(Col("n"),))))
    assert one == sums(SumQuery(dataset="d", terms=(Col("n"),)))
