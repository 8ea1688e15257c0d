"""A session: right results, one job for several questions, and nothing believed that was not replayed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from clients.researcher import verified
from clients.researcher.session import Session
from clients.researcher.verified import JobRefused
from federation.domain.job import Blame, Released, State, Update
from federation.errors import JobFailed, Misuse, ProtocolViolation, Refused, Unavailable
from tests.researcher.fake import NOW_S, PARTIES, Fake, Lie, one_more, pooled, publication


def opened(fake: Fake) -> Session:
    """Return a session whose clock stands and whose tokens count."""
    return Session(fake, now_s=lambda: NOW_S, entropy=lambda size: bytes(range(size)))


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def session(fake: Fake) -> Iterator[Session]:
    with opened(fake) as session:
        yield session


# --- answers ---------------------------------------------------------------------------------------------------------


def test_every_statistic_equals_the_one_of_the_pooled_rows(session: Session) -> None:
    t = session.table("tb")
    age, cost = pooled("age"), pooled("cost")
    assert t.count().value == 130
    assert t.sum("age").value == age.sum()
    assert t.mean("age").value == pytest.approx(age.mean(), rel=1e-14)
    assert t.mean("age").se == pytest.approx(age.std(ddof=1) / np.sqrt(len(age)), rel=1e-12)
    assert t.var("cost").value == pytest.approx(cost.var(ddof=1), rel=1e-12)
    assert t.std("cost").value == pytest.approx(cost.std(ddof=1), rel=1e-12)
    histogram = t.histogram("cost", bins=5).table()
    counts = [row[histogram.columns.index("n")] for row in histogram.rows]
    assert counts == np.histogram(cost, bins=5, range=(0, 1000))[0].tolist()


def test_where_and_by_choose_rows_and_cells(session: Session) -> None:
    t = session.table("tb")
    women = pooled("cost", lambda rows: rows["sex"] == "f")
    assert t.where("sex == 'f'").mean("cost").value == pytest.approx(women.mean(), rel=1e-14)
    assert t.mean("cost", by="sex")["f"].value == pytest.approx(women.mean(), rel=1e-14)
    dear = pooled("cost", lambda rows: (rows["sex"] == "f") & (rows["cost"] > 500))
    assert t.where("sex == 'f'").where("cost > 500").count().value == len(dear)


def test_several_questions_are_one_job_with_one_transcript(session: Session, fake: Fake) -> None:
    t = session.table("tb")
    results = session.run([t.ask.mean("age"), t.ask.var("cost"), t.ask.count(by="sex")], data=t, purpose="study")
    (job,) = fake.jobs.values()
    assert [asked.name for asked in job.computations] == ["mean", "var", "count"]
    assert job.purpose == "study"
    assert results[0].value == pytest.approx(pooled("age").mean(), rel=1e-14)
    assert results[2]["m"].value == int((pooled("sex") == "m").sum())
    assert {result.receipt for result in results} == {results.receipt}
    assert results.receipt.rounds == 1


def test_a_job_pins_what_the_researcher_saw(session: Session, fake: Fake) -> None:
    session.table("tb", purpose="study", deadline_s=90).where("age > 30").mean("cost")
    (job,) = fake.jobs.values()
    assert job.researcher == "alice"
    assert job.where == "age > 30"
    assert job.parties == PARTIES
    assert job.roster_hash == fake.roster.hash
    assert dict(job.publications) == {party: digest for party, (_, digest) in fake.publications()["tb"].items()}
    assert job.deadline_ms == (NOW_S + 90) * 1000
    assert job.max_rounds == 1
    assert job.token == bytes(range(16))
    assert job.name == "mean-cost-0001"


def test_updates_reach_who_asked_for_them(fake: Fake) -> None:
    seen: list[Update] = []
    Session(fake, on_update=seen.append).table("tb").count()
    assert [update.state for update in seen] == [State.UNDER_REVIEW, State.RUNNING, State.RELEASED]


def test_a_session_hangs_up(fake: Fake) -> None:
    with opened(fake) as session:
        session.table("tb")
    assert fake.closed


# --- lies ------------------------------------------------------------------------------------------------------------


def unsigned(released: Released) -> Released:
    """The coordinator hides that macao did not sign."""
    return replace(released, attested_by=("guangdong", "hongkong"))


def another_job(released: Released) -> Released:
    return replace(released, job_hash=bytes(32))


def one_sum_more(released: Released) -> Released:
    totals, contributors = (*released.totals, released.totals[0]), (*released.contributors, released.contributors[0])
    return replace(released, totals=totals, contributors=contributors)


def no_sums(released: Released) -> Released:
    return replace(released, totals=(), contributors=())


def two_counted(released: Released) -> Released:
    return replace(released, contributors=(released.contributors[0][:2],))


def cut(released: Released) -> Released:
    return replace(released, totals=(released.totals[0][:-1],))


def too_long(released: Released) -> Released:
    return replace(released, totals=((2**127, *released.totals[0][1:]),))


def another_transcript(released: Released) -> Released:
    return replace(released, transcript=bytes(32))


LIES: Sequence[tuple[Lie, str]] = [
    (one_more, "the totals that all parties signed"),
    (unsigned, "none by macao"),
    (another_job, "those of another job"),
    (one_sum_more, "expected 1 secure sums, got 2"),
    (no_sums, "only 0"),
    (two_counted, "totals of at least 3 parties"),
    (cut, "numbers"),
    (too_long, "128 bits"),
    (another_transcript, "the totals that all parties signed"),
]


@pytest.mark.parametrize(("lie", "said"), LIES, ids=[lie.__name__ for lie, _ in LIES])
def test_a_lying_coordinator_is_named_and_gives_no_result(lie: Lie, said: str) -> None:
    with pytest.raises(ProtocolViolation, match=said) as caught:
        opened(Fake(lie=lie)).table("tb").mean("age")
    assert caught.value.party == "relay"
    assert caught.value.phase == "release"


def test_a_lost_party_is_said_and_the_others_figures_count() -> None:
    parties = (*PARTIES, "zhuhai")
    published = {party: publication() for party in parties}
    table = opened(Fake(published=published, lost=("zhuhai",))).table("tb", minimum_parties=3)
    count = table.count()
    assert count.value == 130
    receipt = count.receipt
    assert (receipt.parties, receipt.missing, receipt.least, receipt.colluders) == (PARTIES, ("zhuhai",), 3, 1)
    assert receipt.signed_by == PARTIES
    assert "3 of 4 parties (guangdong, hongkong, macao; not counted: zhuhai)" in count.summary()


def test_a_party_that_may_not_be_missing_and_is_makes_the_coordinator_a_liar() -> None:
    published = {party: publication() for party in (*PARTIES, "zhuhai")}
    with pytest.raises(ProtocolViolation, match="totals of at least 4 parties"):
        opened(Fake(published=published, lost=("zhuhai",))).table("tb").count()


def test_without_the_comparison_of_transcripts_a_false_total_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a check that always agrees. The lie then becomes a result, so the check is what stops it."""
    monkeypatch.setattr(verified.hmac, "compare_digest", lambda *_: True)
    assert opened(Fake(lie=one_more)).table("tb").count().value == 131


# --- other endings ---------------------------------------------------------------------------------------------------


def refusal(party: str, rule: str, remedy: str) -> Blame:
    message = f"{party} refuses by rule {rule}: a clause"
    return Blame(party=party, code="refused", message=message, hint=remedy, rule=rule)


def test_a_refusal_names_every_party_rule_and_remedy() -> None:
    blames = (refusal("hongkong", "purposes", "use purpose 'tb'"), refusal("macao", "statistics", "ask for a count"))
    with pytest.raises(JobRefused) as caught:
        opened(Fake(ending=(State.REFUSED, blames))).table("tb").mean("age")
    error = caught.value
    assert isinstance(error, Refused)
    assert error.rule == "purposes, statistics"
    assert error.hint == "hongkong: use purpose 'tb'; macao: ask for a count"
    assert error.message == f"{blames[0].message}; {blames[1].message}"
    assert error.party == ""
    assert error.blames == blames
    assert error.exit_code == 3


def test_parties_that_refuse_in_the_same_words_share_one_sentence_and_one_remedy() -> None:
    blames = tuple(refusal(party, "purposes", "use 'tb'") for party in ("macao", "guangdong", "hongkong"))
    with pytest.raises(JobRefused) as caught:
        opened(Fake(ending=(State.REFUSED, blames))).table("tb").count()
    assert caught.value.message == "guangdong, hongkong, macao refuse by rule purposes: a clause"
    assert caught.value.hint == "use 'tb'"
    assert len(caught.value.blames) == 3


def test_silence_until_the_deadline_is_a_refusal_with_a_name() -> None:
    message = "macao gave no verdict before the deadline"
    blame = Blame(party="macao", code="refused", message=message, hint="ask it", rule="no answer")
    with pytest.raises(Refused, match="macao gave no verdict") as caught:
        opened(Fake(ending=(State.REFUSED, (blame,)))).table("tb").count()
    assert (caught.value.rule, caught.value.party, caught.value.hint) == ("no answer", "macao", "ask it")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unavailable", Unavailable),
        ("job_failed", JobFailed),
        ("refused", JobFailed),
        ("internal", JobFailed),
    ],
)
def test_an_aborted_job_raises_by_its_blame(code: str, kind: type[Exception]) -> None:
    blame = Blame(party="macao", code=code, message="macao did not send what was due", hint="ask its operator")
    with pytest.raises(kind, match="did not send") as caught:
        opened(Fake(ending=(State.ABORTED, (blame,)))).table("tb").count()
    assert caught.value.party == "macao"  # type: ignore[attr-defined]


def test_a_violation_outweighs_who_was_late_and_keeps_its_words() -> None:
    late = Blame(party="macao", code="unavailable", message="macao was late")
    violation = ProtocolViolation("hongkong", phase="heads", expected="one vector", got="a second one", hint="stop")
    blame = Blame(party="hongkong", code=violation.code, message=violation.message, hint=violation.hint)
    with pytest.raises(ProtocolViolation) as caught:
        opened(Fake(ending=(State.ABORTED, (late, blame)))).table("tb").count()
    assert (caught.value.party, caught.value.hint) == ("hongkong", "stop")
    assert str(caught.value) == str(violation)


def test_a_job_that_ends_without_a_reason_is_a_failure_and_not_a_crash() -> None:
    with pytest.raises(JobFailed, match="relay ended the job without a reason"):
        opened(Fake(ending=(State.ABORTED, ()))).table("tb").count()


def test_a_coordinator_that_falls_silent_is_named_and_the_job_can_be_asked_for_again() -> None:
    with pytest.raises(Unavailable, match="relay stopped telling") as caught:
        opened(Fake(falls_silent=True)).table("tb").count()
    assert "federation result count-0001" in caught.value.hint


def test_a_coordinator_that_never_ends_a_job_is_left(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: updates without end. A clock that passes the deadline ends the wait."""
    clock = itertools.count(NOW_S, 10.0)

    def for_ever(job_hash: bytes) -> Iterator[Update]:
        while True:
            yield fake._update(job_hash, State.RUNNING, "permitted")

    monkeypatch.setattr(fake, "watch", for_ever)
    with pytest.raises(Unavailable, match="relay does not end it"):
        Session(fake, now_s=lambda: next(clock)).table("tb", deadline_s=60).count()
    assert next(clock) < NOW_S + 60 + 60 + 50


# --- refused before anybody is asked ---------------------------------------------------------------------------------


def test_a_question_that_cannot_be_asked_disturbs_nobody(session: Session, fake: Fake) -> None:
    t = session.table("tb")
    with pytest.raises(Misuse, match="no column 'agee'") as caught:
        session.run([t.ask.count(), t.ask.mean("agee")], data=t)
    assert caught.value.hint == "did you mean 'age'?"
    assert not fake.jobs


def test_an_empty_job_an_unknown_protection_and_a_past_deadline_are_refused(session: Session, fake: Fake) -> None:
    t = session.table("tb")
    with pytest.raises(Misuse, match="at least one question"):
        session.run([], data=t)
    with pytest.raises(Misuse, match="no protection 'masked'") as caught:
        session.run([t.ask.count()], data=t, protection="masked")
    assert "masked_sum" in caught.value.hint
    with pytest.raises(Misuse, match="deadline"):
        session.run([t.ask.count()], data=t, deadline_s=0)
    with pytest.raises(Misuse, match="minimum_parties is 4, and 3 parties take part"):
        session.run([t.ask.count()], data=t, minimum_parties=4)
    assert not fake.jobs


def test_two_parties_are_too_few(session: Session) -> None:
    with pytest.raises(Refused, match="at least 3 parties") as caught:
        session.table("tb", parties=["guangdong", "macao"]).count()
    assert caught.value.rule == "secure_sum/parties"


def test_an_unknown_table_or_party_is_named(session: Session) -> None:
    with pytest.raises(Misuse, match="nobody publishes a data set 'tbb'") as caught:
        session.table("tbb")
    assert caught.value.hint == "did you mean 'tb'?"
    with pytest.raises(Misuse, match="taipa does not publish 'tb'"):
        session.table("tb", parties=["taipa"])


def test_publications_that_disagree_are_refused_by_name_and_left_out_of_the_list() -> None:
    published = {party: publication() for party in PARTIES} | {"macao": publication(unit="visit")}
    session = opened(Fake(published=published))
    with pytest.raises(Refused, match="macao and guangdong"):
        session.table("tb")
    assert session.tables() == ()
    assert session.datasets() == ("tb",)


# --- failures of single questions ------------------------------------------------------------------------------------


def guarded(k: int) -> Session:
    """Return a session in which every party withholds cells below k."""
    return opened(Fake(published={party: publication(k=k, own_figures=False) for party in PARTIES}))


def test_one_failed_question_leaves_the_others_alone() -> None:
    session = guarded(25)  # macao's 30 rows open, its cells by sex do not
    t = session.table("tb")
    results = session.run([t.ask.count(), t.ask.count(by="sex")], data=t)
    assert results[0].value == 130
    ((asked, failure),) = results.failures
    assert (asked.name, failure.code, failure.rule) == ("count", "refused", "contributors")
    with pytest.raises(Refused, match=r"count\(by='sex'\): fewer than 3 parties"):
        _ = results[1]
    assert "count(by='sex') failed: fewer than 3 parties" in results.summary()
    assert "failed" in results._repr_html_()
    assert "error" in repr(results.to_dict())


def test_a_job_whose_questions_all_fail_raises_the_first_reason() -> None:
    with pytest.raises(Refused, match=r"count\(\): fewer than 3 parties") as caught:
        guarded(100).table("tb").count()
    assert caught.value.rule == "contributors"
    assert caught.value.exit_code == 3


def test_what_two_parties_could_subtract_stays_closed_and_the_support_is_asked_first() -> None:
    result = guarded(12).table("tb").count(by="sex")
    assert result.receipt.rounds == 2
    assert result["f"].closed  # macao has fewer than 12 women, and two parties are too few
    assert result["f"].value is None
    assert result["m"].value == int((pooled("sex") == "m").sum())
