"""How many bits a party's number has follows from the declared ranges, and no party's number has more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import Phase as Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto.paillier.packing import Slots
from federation.errors import Misuse
from federation.query import bounds, widths
from federation.query.evaluate import answer
from federation.query.expression import Col, Const, Expression, Gram, Indicator, Power
from federation.query.query import Bins, Categories, SumQuery, shape
from federation.query.round import Phase, Round, encoded
from federation.query.widths import MOST_ROWS, value_bits
from tests.query.sample import JOINT, arrays, numbers, rows


def asked(*queries: SumQuery, phase: Phase = Phase.SUMS) -> Round:
    closed = tuple((False,) * shape(query, JOINT).rows for query in queries) if phase is Phase.SUMS else ()
    return Round(index=0, phase=phase, queries=queries, closed=closed)


def of(*terms: Expression | Gram) -> int:
    return value_bits(asked(SumQuery(dataset="d", terms=terms)), JOINT)


def test_a_round_of_support_has_flags_of_two_bits() -> None:
    assert value_bits(asked(SumQuery(dataset="d", terms=(Col("x"),)), phase=Phase.SUPPORT), JOINT) == 2


def test_widths_are_as_narrow_as_rows_and_declared_ranges_allow() -> None:
    assert MOST_ROWS.bit_length() == 36
    assert of() == 36 + 1, "units, and a sign"
    assert of(Indicator(Col("n") > Const(0))) == 36 + 1
    assert of(Col("n")) == 36 + 4 + 1, "at most 10 a row"
    assert of(Col("b")) == 36 + 40 + 1, "at most 2^40 a row"
    assert of(Col("x")) == 36 + 62 + 1, "a real number fills what rows have"
    assert of(Gram(Const(1), (Col("n"), Col("b")))) == 36 + 61 + 1, "past 2^62 a product is real"


def test_the_widest_query_of_a_round_decides() -> None:
    binned = SumQuery(dataset="d", group_by=(Bins(Col("n"), (0, 5)),))
    real = SumQuery(dataset="d", terms=(Col("x"),))
    assert value_bits(asked(binned), JOINT) == 37
    assert value_bits(asked(binned, real), JOINT) == value_bits(asked(real, binned), JOINT) == 99


@pytest.mark.parametrize(("bits", "parties", "slot_bytes"), [(99, 10, 13), (37, 10, 6), (37, 3, 5), (2, 3, 1)])
def test_the_sums_of_all_parties_fit_slots_of_few_bytes(bits: int, parties: int, slot_bytes: int) -> None:
    assert Slots.fitting(value_bits=bits, terms=parties, modulus_bits=2048).slot_bytes == slot_bytes


def test_a_term_without_a_bound_has_no_width() -> None:
    with pytest.raises(Misuse, match="no finite bound"):
        of(Col("n") / Col("x"))


def fits(term: Expression, drawn: Sequence[dict[str, Any]]) -> bool:
    """Whether a party's numbers, were its rows repeated until they are MOST_ROWS, fit the width of the round."""
    due = asked(SumQuery(dataset="d", group_by=(Categories("g"),), terms=(term,)))
    bits = value_bits(due, JOINT)
    own = answer(due.queries[0], JOINT, JOINT, arrays(drawn))
    longest = int(max(abs(number) for number in encoded(due, JOINT, (own,), 1)))
    return bool(longest * MOST_ROWS < len(drawn) << (bits - 1))


TERMS = numbers(("neg", "abs", "sqrt", "exp", "log", "expit"), 3)


def bounded(term: Expression) -> bool:
    try:
        shape(SumQuery(dataset="d", terms=(term,)), JOINT)
    except Misuse:
        return False
    return True


def test_no_number_of_any_party_is_longer_than_its_round_says() -> None:
    reached: Counter[str] = Counter()

    @settings(max_examples=150, deadline=None)
    @given(TERMS.filter(bounded), rows())
    def hold(term: Expression, drawn: list[dict[str, Any]]) -> None:
        assert fits(term, drawn)
        found = bounds.interval(term, JOINT)
        reached["integers" if found.integer else "reals"] += 1

    hold()
    assert min(reached["integers"], reached["reals"]) >= 10, "both kinds are reached"


def test_a_width_that_forgets_the_scale_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a real number's width without its scale."""
    monkeypatch.setattr(widths, "_of", lambda found: max(1, int(found.bound)))

    @settings(max_examples=100, deadline=None, database=None, phases=(Stage.generate,))
    @given(st.sampled_from((Col("x"), Power(Col("z"), 2), Col("z") * Col("n"))), rows())
    def hold(term: Expression, drawn: list[dict[str, Any]]) -> None:
        assert fits(term, drawn)

    with pytest.raises(AssertionError):
        hold()
