"""S4, S5, S6, S9, S20: many questions at once, columns of the attacker's making, and models that fit every row.

Each counts the rows that it recovers from a party which only withholds cells below k, and from one with all rules.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from federation.errors import Misuse, Refused
from federation.query.expression import Col, Compare, Const, Expression, Gram, Indicator, Member
from federation.query.query import Bins, Categories, SumQuery, Unit
from tests.attacks.statistics.victim import (
    K,
    Threshold,
    Victim,
    category,
    dataset,
    number,
    recovered,
)

PEOPLE = 120
ANSWER = 9  # numbers of an answer about pay: units, pay, three counts and four flags
OWN = dataset(number("age", 0, 500), number("pay", 0, 100_000))
Flags = npt.NDArray[np.bool_]


def rows() -> pd.DataFrame:
    """Everybody has an age of their own, so that lists of ages are lists of people."""
    random = np.random.default_rng(3)
    return pd.DataFrame({"age": np.arange(PEOPLE), "pay": random.integers(10_000, 90_000, PEOPLE)})


def of(ages: npt.NDArray[np.int64]) -> SumQuery:
    return SumQuery(dataset="data", where=Member(Col("age"), tuple(ages.tolist())), terms=(Col("pay"),))


def random_sets(questions: int, seed: int) -> list[Flags]:
    random = np.random.default_rng(seed)
    chosen = [random.random(PEOPLE) < random.uniform(0.2, 0.8) for _ in range(questions)]
    return [one for one in chosen if one.sum() >= K]


def answered_by_a_threshold(sets: list[Flags]) -> list[float]:
    """Return the sums; a hundred questions a round, since nothing compares them."""
    victim, sums = Threshold(rows(), OWN), list[float]()
    for at in range(0, len(sets), 100):
        answer = victim.ask(*(of(np.flatnonzero(one)) for one in sets[at : at + 100]))
        assert answer is not None
        sums += answer[1::ANSWER]
    return sums


@pytest.mark.parametrize("questions", [300, pytest.param(1_000, marks=pytest.mark.largest)])
def test_s4_a_thousand_random_sets_recover_nobody(questions: int) -> None:
    pay, asked = rows()["pay"].to_numpy(np.float64), random_sets(questions, 1)
    assert len(recovered(asked, answered_by_a_threshold(asked), pay)) == PEOPLE, "the threshold alone: everybody"
    ours, sets, sums = Victim(rows(), OWN), list[Flags](), list[float]()
    for one in asked:
        answer = ours.ask(of(np.flatnonzero(one)))
        if answer is not None:
            sets.append(one)
            sums.append(answer[1])
    assert len(recovered(sets, sums, pay)) == 0
    assert 10 < len(sets) <= PEOPLE / 3, "it answered, and stopped at a third of its people"
    assert {refusal.rule for refusal in ours.refusals} == {"differencing"}
    matrix = np.array(sets, dtype=np.float64)
    rank = np.linalg.matrix_rank(matrix)
    for person in np.eye(PEOPLE):  # no combination is one person
        assert np.linalg.matrix_rank(np.vstack([matrix, person])) == rank + 1


def test_s4_a_weighing_design_recovers_nobody() -> None:
    """63 sets of 32 people, any two of which differ by 32: pairs look harmless, together they are everybody."""
    pay = rows()["pay"].to_numpy(np.float64)[:63]
    design = [np.array([j for j in range(1, 64) if (i & j).bit_count() % 2]) - 1 for i in range(1, 64)]
    found = {}
    for victim in (Threshold(rows(), OWN), Victim(rows(), OWN)):
        answers = [(chosen, victim.ask(of(chosen))) for chosen in design]
        sets = [np.isin(np.arange(63), chosen) for chosen, answer in answers if answer is not None]
        sums = [answer[1] for _, answer in answers if answer is not None]
        found[type(victim)] = len(recovered(sets, sums, pay))
    assert found == {Threshold: 63, Victim: 0}


def test_s4_a_tracker_of_one_person_is_refused() -> None:
    """Schloerer's tracker: Q(A) + Q(not A) is everybody; Q(C and A) + Q(C and not A) would be C."""
    pay = rows()["pay"].to_numpy(np.float64)
    ages = np.arange(PEOPLE)
    target, tracker = ages == 77, ages < 60
    questions = [tracker, ~tracker, tracker | target, ~tracker & ~target]
    found = {}
    for victim in (Threshold(rows(), OWN), Victim(rows(), OWN)):
        answers = [(chosen, victim.ask(of(np.flatnonzero(chosen)))) for chosen in questions]
        sets = [chosen for chosen, answer in answers if answer is not None]
        found[type(victim)] = recovered(sets, [a[1] for _, a in answers if a is not None], pay).tolist()
    assert found == {Threshold: [77], Victim: []}


def cross(*vectors: Expression) -> SumQuery:
    """What a covariance of pay with the attacker's vectors sums."""
    return SumQuery(dataset="data", terms=(Gram(Const(1), (Col("pay"), *vectors)),))


def test_s5_covariances_with_vectors_of_the_attackers_making_recover_nobody() -> None:
    """Huth et al., Bioinformatics 39(9), 2023: n vectors and their covariances with a column are n equations in it."""
    people = rows()
    pay = people["pay"].to_numpy(np.float64)
    found = {}
    for victim in (Threshold(people, OWN), Victim(people, OWN)):
        sets: list[Flags] = []
        sums: list[float] = []
        for age in range(PEOPLE):
            mine = np.arange(PEOPLE) <= age
            answer = victim.ask(cross(Indicator(Compare("<=", Col("age"), Const(age)))))
            if answer is not None:
                sets.append(mine)
                sums.append(answer[2])  # count, pay * pay, pay * vector, vector * vector
        found[type(victim)] = len(recovered(sets, sums, pay))
    assert found == {Threshold: PEOPLE, Victim: 0}


def test_s5_no_column_can_be_brought_along() -> None:
    """The original attack uploads its vectors; here a query has no name for what no party publishes."""
    with pytest.raises(Misuse, match="vector"):
        Victim(rows(), OWN).ask(cross(Col("vector")))


@pytest.mark.parametrize("age", [0, 5, 9, 10, 60, 110, 118, 119])
def test_s6_a_zero_one_vector_times_a_column_is_a_cell(age: int) -> None:
    """dsBase issue 250: a vector of zeros and a one, times a column, has the one's value as its mean."""
    ours, naive = Victim(rows(), OWN), Threshold(rows(), OWN)
    vector = Indicator(Compare("==", Col("age"), Const(age)))
    query = SumQuery(dataset="data", terms=(vector * Col("pay"),))
    answer = naive.ask(query)
    assert answer is not None
    assert answer[1] == rows()["pay"].iloc[age]
    assert ours.ask(query) is None
    assert ours.refusals[-1].rule == "indicators"


def test_s6_an_empty_side_of_a_condition_is_refused_in_the_words_of_a_small_one() -> None:
    ours = Victim(rows(), OWN)
    for age in (118, 119, 120, 400):
        assert ours.ask(cross(Indicator(Compare("<", Col("age"), Const(age))))) is None
    assert len({(refusal.message, refusal.hint) for refusal in ours.refusals}) == 1


def test_s6_conditions_inside_sums_are_compared_with_cells_that_are_open() -> None:
    ours = Victim(rows(), OWN)
    assert (
        ours.ask(SumQuery(dataset="data", where=Compare("<", Col("age"), Const(60)), terms=(Col("pay"),))) is not None
    )
    assert ours.ask(cross(Indicator(Compare("<", Col("age"), Const(61))))) is None
    assert ours.refusals[-1].rule == "differencing"
    assert ours.ask(cross(Indicator(Compare("<", Col("age"), Const(60))))) is not None, "the cell that is open"


def test_s9_two_factors_of_a_model_do_not_open_the_small_cells_of_their_table() -> None:
    """Their cross products are the table: 3 people are both."""
    people = rows()
    people["sex"] = np.where(np.arange(PEOPLE) % 2, "f", "m")
    people["ill"] = np.where((np.arange(PEOPLE) % 2 == 0) | (np.arange(PEOPLE) < 6), "yes", "no")
    own = dataset(*OWN.columns, category("sex", "f", "m"), category("ill", "no", "yes"))
    model = Gram(Const(1), (Const(1), Indicator(Compare("==", Col("sex"), _text("f"))),
                            Indicator(Compare("==", Col("ill"), _text("yes")))))  # fmt: skip
    query = SumQuery(dataset="data", terms=(model,))
    naive = Threshold(people, own).ask(query)
    assert naive is not None
    assert naive[5] == 3
    assert Victim(people, own).ask(query) is None
    people["ill"] = np.where(np.arange(PEOPLE) < 60, "yes", "no")
    assert Victim(people, own).ask(query) is not None, "thirty in each cell"


def power_sums(victim: Victim, degree: int) -> list[int] | None:
    """Ask the cross products of 1, age, ..., age^degree, and return the sums of ages to the powers 1 .. 2 degree."""
    columns = tuple(Col("age") ** power if power else Const(1) for power in range(degree + 1))
    answer = victim.ask(SumQuery(dataset="data", terms=(Gram(Const(1), columns),)))
    if answer is None or not answer[0]:  # withheld
        return None
    pairs = [(i, j) for i in range(degree + 1) for j in range(i, degree + 1)]
    return [answer[1 + pairs.index((power // 2, power - power // 2))] for power in range(1, 2 * degree + 1)]


def test_s9_a_saturated_model_is_a_list_of_its_rows() -> None:
    """Newton's identities: twelve people's ages are the roots of a polynomial that their power sums give."""
    ages = [1, 2, 5, 7, 11, 13, 14, 18, 20, 22, 27, 30]
    few = pd.DataFrame({"age": ages, "pay": np.arange(12)})
    own = dataset(number("age", 0, 31), number("pay", 0, 100))
    sums = power_sums(Threshold(few, own), 6)
    assert sums is not None
    elementary = [Fraction(1)]
    for n in range(1, 13):
        signed = sum((-1) ** (i - 1) * elementary[n - i] * sums[i - 1] for i in range(1, n + 1))
        elementary.append(Fraction(signed) / n)
    roots = [x for x in range(32) if not sum((-1) ** i * e * x ** (12 - i) for i, e in enumerate(elementary))]
    assert roots == ages, "every row"
    assert power_sums(Victim(few, own), 6) is None
    assert power_sums(Victim(pd.DataFrame({"age": np.arange(63) % 32, "pay": 1}), own), 6) is not None


@pytest.mark.parametrize("way", ["grouping", "where", "term", "bins"])
def test_s20_nobody_is_asked_for_by_name(way: str) -> None:
    from federation.domain.catalogue import Column, Kind

    own = dataset(*OWN.columns, Column(name="who", kind=Kind.IDENTIFIER))
    people = rows().assign(who=[f"p{i}" for i in range(PEOPLE)])
    per = Unit("who")
    queries = {
        "grouping": SumQuery(dataset="data", per=per, group_by=(Categories("who"),)),
        "where": SumQuery(dataset="data", per=per, where=Compare("==", Col("who"), _text("p7"))),
        "term": SumQuery(dataset="data", per=per, terms=(Col("who"),)),
        "bins": SumQuery(dataset="data", per=per, group_by=(Bins(Col("who"), (0, 1)),)),
    }
    victim = Victim(people, own)
    try:
        answer = victim.ask(queries[way])
    except Misuse:
        return  # it has not even a meaning
    assert answer is None
    assert isinstance(victim.refusals[-1], Refused)
    assert victim.refusals[-1].rule == "identifiers"


def _text(value: str) -> Expression:
    from federation.query.expression import Text

    return Text(value)
