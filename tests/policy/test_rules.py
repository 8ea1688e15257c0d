"""Every rule permits what its clause permits, refuses what it forbids, quotes itself and gives a remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation import registry
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Computation, Job
from federation.domain.verdict import Reason
from federation.errors import Misuse
from federation.policy import review
from federation.policy.rule import Cell, Look, Request, Rule, Settings
from federation.privacy.differencing import Finding
from federation.query.expression import Col, Compare, Const, Gram, Indicator
from federation.query.query import Bins, Categories, SumQuery, Unit
from federation.query.round import Phase, Round

PARTIES = ("guangdong", "hongkong", "macao")
DATASET = Dataset(
    name="tb",
    title="",
    unit="person",
    k=10,
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=120),
        Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
    ),
)
WHO = replace(DATASET, columns=(*DATASET.columns, Column(name="id", kind=Kind.IDENTIFIER)))
PUBLIC = replace(DATASET, k=1, own_figures=True)
JOB = Job(
    name="j",
    researcher="ana",
    purpose="surveillance",
    dataset="tb",
    computations=(Computation(name="mean", version=1, parameters=(("column", "age"),)),),
    parties=PARTIES,
    publications=tuple((party, bytes(32)) for party in PARTIES),
    deadline_ms=1,
    max_rounds=4,
    roster_hash=bytes(32),
    token=bytes(16),
)
OPEN = Settings()


def request(job: Job = JOB, own: Dataset = DATASET, joint: Dataset | None = None, me: str = "macao") -> Request:
    described = agreed(dict.fromkeys(job.parties, own)) if joint is None else joint
    return Request(job=job, own=own, joint=described, me=me, job_hash=b"h" * 32)


def rule(name: str) -> Rule:
    return registry.look_up(review.FAMILY, Rule, name)()


def sums(*queries: SumQuery, phase: Phase = Phase.SUPPORT, index: int = 0) -> Round:
    return Round(index=index, phase=phase, queries=queries)


def says(reason: Reason | None, name: str) -> None:
    """Check that a refusal quotes its rule and gives a remedy."""
    assert reason is not None
    assert reason.rule == name
    assert reason.clause == rule(name).clause
    assert reason.remedy


AGE = SumQuery(dataset="tb", group_by=(Categories("sex"),), terms=(Col("age"),))


@pytest.mark.parametrize("name", registry.names(review.FAMILY))
def test_every_rule_is_named_as_its_file_and_quotes_a_clause(name: str) -> None:
    found = rule(name)
    assert found.name == name
    assert found.clause
    assert found.__doc__
    assert found.judge(request(), OPEN) is None
    assert found.judge(request(own=PUBLIC), OPEN) is None
    assert found.judge_round(request(), OPEN, sums(AGE)) is None


@pytest.mark.parametrize(
    ("name", "asked", "settings"),
    [
        ("purposes", request(), Settings(purposes=("billing",))),
        ("purposes", request(), Settings(purposes=())),
        ("purposes", request(replace(JOB, purpose="Surveillance ")), Settings(purposes=("surveillance",))),
        ("statistics", request(), Settings(statistics=("count", "sum"))),
        ("statistics", request(), Settings(statistics=())),
        ("researchers", request(), Settings(researchers=("ben",))),
        ("minimum_parties", request(), Settings(minimum_parties=4)),
        ("minimum_parties", request(replace(JOB, minimum_parties=2)), OPEN),
        ("minimum_parties", request(replace(JOB, minimum_parties=4)), OPEN),
        ("minimum_parties", request(replace(JOB, parties=PARTIES[:2])), OPEN),
        ("minimum_parties", request(replace(JOB, parties=("macao", "macao", "hongkong"))), OPEN),
        ("minimum_parties", request(me="zhuhai"), OPEN),
        ("datasets", request(replace(JOB, dataset="taxes")), OPEN),
        ("datasets", request(joint=replace(DATASET, name="taxes")), OPEN),
        ("minimum_units", request(own=replace(DATASET, k=1)), OPEN),
        ("minimum_units", request(own=replace(DATASET, k=0)), OPEN),
        ("minimum_units", request(joint=replace(DATASET, k=5)), OPEN),
        ("own_figures", request(joint=replace(DATASET, own_figures=True)), OPEN),
    ],
)
def test_a_job_against_a_clause_is_refused_with_a_remedy(name: str, asked: Request, settings: Settings) -> None:
    says(rule(name).judge(asked, settings), name)
    assert name in [reason.rule for reason in review.judge(asked, settings).reasons]


@pytest.mark.parametrize(
    ("name", "asked", "settings"),
    [
        ("purposes", request(), Settings(purposes=("surveillance", "billing"))),
        ("statistics", request(), Settings(statistics=("mean",))),
        ("researchers", request(), Settings(researchers=("ana", "ben"))),
        ("minimum_parties", request(replace(JOB, minimum_parties=3)), Settings(minimum_parties=3)),
        ("minimum_units", request(own=PUBLIC), OPEN),
        ("minimum_units", request(own=replace(DATASET, k=2), joint=replace(DATASET, k=10)), OPEN),
    ],
)
def test_a_job_within_a_clause_is_permitted(name: str, asked: Request, settings: Settings) -> None:
    assert rule(name).judge(asked, settings) is None


OLD = Compare(">", Col("age"), Const(65))


@pytest.mark.parametrize(
    ("name", "asked", "settings", "round_"),
    [
        ("datasets", request(), OPEN, sums(SumQuery(dataset="taxes"))),
        ("identifiers", request(own=WHO), OPEN, sums(SumQuery(dataset="tb", group_by=(Categories("id"),)))),
        ("identifiers", request(own=WHO), OPEN, sums(SumQuery(dataset="tb", terms=(Col("id") * 2,)))),
        ("identifiers", request(own=WHO), OPEN, sums(SumQuery(dataset="tb", group_by=(Bins(Col("id"), (0, 1)),)))),
        ("identifiers", request(own=WHO), OPEN, sums(SumQuery(dataset="tb", where=Compare("==", Col("id"), Const(7))))),
        ("minimum_units", request(own=WHO), OPEN, sums(AGE)),
        ("own_figures", request(), OPEN, sums(AGE, phase=Phase.SUMS)),
        ("cells", request(), Settings(most_numbers=1), sums(AGE)),
        ("cells", request(replace(JOB, protection="paillier_sum")), OPEN, sums(
            SumQuery(dataset="tb", group_by=(Bins(Col("age"), tuple(range(5_000))),)))),
        ("cells", request(replace(JOB, protection="new_sum")), OPEN, sums(
            SumQuery(dataset="tb", group_by=(Bins(Col("age"), tuple(range(5_000))),)))),
    ],
)  # fmt: skip
def test_a_round_against_a_clause_is_refused_with_a_remedy(
    name: str, asked: Request, settings: Settings, round_: Round
) -> None:
    says(rule(name).judge_round(asked, settings, round_), name)
    assert name in [reason.rule for reason in review.judge_round(asked, settings, round_)]


@pytest.mark.parametrize(
    ("name", "asked", "round_"),
    [
        ("identifiers", request(own=WHO), sums(SumQuery(dataset="tb", per=Unit("id"), terms=(Col("age"),)))),
        ("minimum_units", request(own=WHO), sums(SumQuery(dataset="tb", per=Unit("id")))),
        ("minimum_units", request(own=replace(WHO, k=1, own_figures=True)), sums(AGE)),
        ("own_figures", request(own=PUBLIC), sums(AGE, phase=Phase.SUMS)),
        ("cells", request(), sums(SumQuery(dataset="tb", group_by=(Bins(Col("age"), tuple(range(5_000))),)))),
    ],
)
def test_a_round_within_a_clause_is_permitted(name: str, asked: Request, round_: Round) -> None:
    assert rule(name).judge_round(asked, OPEN, round_) is None


IN_A_SUM = sums(SumQuery(dataset="tb", terms=(Indicator(OLD),)))
MODEL = SumQuery(dataset="tb", terms=(Gram(Const(1), (Const(1), Col("age"), Col("age") * 2, Col("age") ** 2)),))


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("indicators", Look(indicated=(9,))),
        ("indicators", Look(indicated=(None, 0))),
        ("differencing", Look(indicated=(None,), difference=Finding.FEW)),
        ("differencing", Look(indicated=(None,), difference=Finding.ALIKE)),
        ("differencing", Look(indicated=(None,), difference=Finding.LEVERAGE)),
    ],
)
def test_what_the_guard_saw_of_own_rows_is_refused_with_a_remedy_and_without_a_figure(name: str, look: Look) -> None:
    says(rule(name).judge_look(request(), OPEN, IN_A_SUM, look), name)
    (reason,) = review.judge_look(request(), OPEN, IN_A_SUM, look)
    assert reason.rule == name
    assert not set("0123456789") & set(reason.clause + reason.remedy)


def test_no_refusal_after_a_look_tells_none_from_few() -> None:
    """S19: an empty side of a condition or of a difference is refused in the words of a small one."""
    assert len({review.judge_look(request(), OPEN, IN_A_SUM, Look(indicated=(n,))) for n in (0, 1, 9)}) == 1
    found = (Finding.FEW, Finding.ALIKE, Finding.LEVERAGE)
    assert (
        len({review.judge_look(request(), OPEN, IN_A_SUM, Look(indicated=(), difference=each)) for each in found}) == 1
    )


def test_a_look_within_the_clauses_is_permitted() -> None:
    assert review.judge_look(request(), OPEN, IN_A_SUM, Look(indicated=(10, None))) == ()
    assert review.judge_look(request(own=PUBLIC), OPEN, IN_A_SUM, Look(indicated=(0,))) == ()
    few = Look(indicated=(None,), difference=Finding.FEW)
    assert review.judge_look(request(), Settings(differencing=False), IN_A_SUM, few) == ()


def test_a_cell_that_two_units_dominate_is_withheld_at_the_published_share() -> None:
    asked = request(own=replace(DATASET, dominance=85))
    assert review.withholds(asked, AGE, Cell(units=500, share=0.851))
    assert not review.withholds(asked, AGE, Cell(units=500, share=0.85))
    assert not review.withholds(request(), AGE, Cell(units=500, share=1.0))
    says(rule("dominance").judge(replace(asked, joint=DATASET), OPEN), "dominance")


def test_a_model_with_four_columns_is_withheld_below_twelve_units() -> None:
    assert review.withholds(request(), MODEL, Cell(units=11))
    assert not review.withholds(request(), MODEL, Cell(units=12))
    assert not review.withholds(request(own=PUBLIC), MODEL, Cell(units=1))


def test_a_rule_that_cannot_judge_a_cell_withholds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(type(rule("dominance")), "withholds", broken)
    assert review.withholds(request(), AGE, Cell(units=500))


def test_an_operator_may_not_go_below_three_parties() -> None:
    with pytest.raises(Misuse):
        Settings(minimum_parties=2)
    with pytest.raises(Misuse):
        Settings(most_numbers=0)
