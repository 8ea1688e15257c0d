"""The life of a job: every state meets every event, nothing leaves an end, and nobody is blamed for a resend."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.domain.job import Blame, State
from federation.domain.verdict import Reason, Verdict
from federation.errors import ProtocolViolation
from federation.jobs import lifecycle
from federation.jobs.lifecycle import (
    AttestationsClosed,
    Attested,
    Event,
    Expired,
    Judged,
    Life,
    Offered,
    ReviewClosed,
    RoundClosed,
    Stopped,
    step,
    with_transcript,
)

PARTIES = ("guangdong", "hongkong", "macao")
JOB, RIGHT, WRONG = b"j" * 32, b"t" * 32, b"w" * 32


def permits(party: str) -> Judged:
    return Judged(verdict=Verdict(party=party, job_hash=JOB))


def refuses(party: str, rule: str = "purposes") -> Judged:
    reason = Reason(rule=rule, clause="only health", remedy="say health")
    return Judged(verdict=Verdict(party=party, job_hash=JOB, reasons=(reason,)))


def folded(*events: Event, transcript: bytes = b"") -> Life:
    """A life after some events; with a transcript two of the three parties are enough to sign it."""
    life = Life(parties=PARTIES)
    for event in events:
        life = step(life, event)
    return with_transcript(life, transcript, PARTIES, 2) if transcript else life


VIOLATED = Stopped(blame=Blame(party="macao", code="protocol_violation", message="macao sent two vectors"))
EVENTS: dict[str, Event] = {
    "offered": Offered(),
    "permitted": permits("macao"),
    "refused": refuses("macao"),
    "review closed": ReviewClosed(),
    "round 0 closed": RoundClosed(round_index=0),
    "round 1 closed": RoundClosed(round_index=1),
    "attested": Attested(party="macao", transcript=RIGHT),
    "attested another": Attested(party="macao", transcript=WRONG),
    "attestations closed": AttestationsClosed(),
    "stopped": VIOLATED,
    "expired": Expired(missing=("macao",)),
}
REVIEWED = (Offered(), permits("guangdong"), permits("hongkong"), permits("macao"))
LIVES: dict[str, Life] = {
    "submitted": folded(),
    "under review": folded(Offered(), permits("guangdong"), permits("hongkong")),
    "under review, one refuses": folded(Offered(), refuses("guangdong"), permits("hongkong")),
    "running": folded(*REVIEWED),
    "running, one round open": folded(*REVIEWED, RoundClosed(round_index=0)),
    "too few signed": replace(folded(*REVIEWED, RoundClosed(round_index=0), transcript=RIGHT), attested=("guangdong",)),
    "waiting for the last": replace(
        folded(*REVIEWED, RoundClosed(round_index=0), transcript=RIGHT), attested=("guangdong", "hongkong")
    ),
}
VIOLATION = "violation"
R, U, A, F, D = State.RUNNING, State.UNDER_REVIEW, State.ABORTED, State.REFUSED, State.RELEASED
#                              submitted  review  one refuses  running  one round  too few  last
TABLE: dict[str, tuple[State | str, ...]] = {
    "offered": (U, VIOLATION, VIOLATION, VIOLATION, VIOLATION, VIOLATION, VIOLATION),
    "permitted": (VIOLATION, R, U, R, R, R, R),
    "refused": (VIOLATION, U, U, VIOLATION, VIOLATION, VIOLATION, VIOLATION),
    "review closed": (VIOLATION, U, F, VIOLATION, VIOLATION, VIOLATION, VIOLATION),
    "round 0 closed": (VIOLATION, VIOLATION, VIOLATION, R, VIOLATION, VIOLATION, VIOLATION),
    "round 1 closed": (VIOLATION, VIOLATION, VIOLATION, VIOLATION, R, R, R),
    "attested": (VIOLATION, VIOLATION, VIOLATION, VIOLATION, VIOLATION, R, D),
    "attested another": (VIOLATION,) * 7,
    "attestations closed": (VIOLATION, VIOLATION, VIOLATION, VIOLATION, VIOLATION, VIOLATION, D),
    "stopped": (A,) * 7,
    "expired": (F, F, F, A, A, A, A),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("where", LIVES)
def test_every_state_meets_every_event(where: str, event: str) -> None:
    want = TABLE[event][list(LIVES).index(where)]
    life = LIVES[where]
    if want == VIOLATION:
        with pytest.raises(ProtocolViolation) as caught:
            step(life, EVENTS[event])
        assert caught.value.phase
        assert caught.value.party in {"macao", "coordinator"}
        return
    after = step(life, EVENTS[event])
    assert after.state == want
    assert bool(after.blames) == (after.state in (F, A)), "an end without a result has a reason, and only that"


ENDS = {
    "released": folded(*REVIEWED, transcript=RIGHT),
    "refused": step(LIVES["under review, one refuses"], ReviewClosed()),
    "aborted": step(LIVES["running"], VIOLATED),
}
for _party in PARTIES:
    ENDS["released"] = step(ENDS["released"], Attested(party=_party, transcript=RIGHT))


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("end", ENDS)
def test_nothing_leaves_an_end(end: str, event: str) -> None:
    assert ENDS[end].state == end
    assert step(ENDS[end], EVENTS[event]) == ENDS[end]


def test_a_guard_that_is_gone_would_let_events_leave_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(State, "ended", property(lambda _: False))
    assert step(ENDS["released"], VIOLATED).state is State.ABORTED


# --- resends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [permits("hongkong"), refuses("hongkong")])
def test_the_same_verdict_again_changes_nothing(verdict: Judged) -> None:
    life = folded(Offered(), permits("guangdong"), verdict)
    assert step(life, verdict) == life


def test_a_verdict_again_while_the_job_runs_changes_nothing() -> None:
    life = LIVES["running, one round open"]
    assert step(life, permits("guangdong")) == life


def test_the_same_attestation_again_changes_nothing() -> None:
    life = LIVES["waiting for the last"]
    assert step(life, Attested(party="guangdong", transcript=RIGHT)) == life


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (permits("macao"), refuses("macao")),
        (refuses("macao"), permits("macao")),
        (refuses("macao"), refuses("macao", "k")),
    ],
)
def test_two_different_verdicts_of_one_party_are_its_violation(first: Judged, second: Judged) -> None:
    life = folded(Offered(), first)
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        step(life, second)
    assert caught.value.party == "macao"


def test_without_the_comparison_a_party_could_take_its_permission_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(life: Life, verdict: Verdict) -> Life:
        return replace(life, verdicts=(*(v for v in life.verdicts if v.party != verdict.party), verdict))

    monkeypatch.setattr(lifecycle, "_judged", lenient)
    assert not step(LIVES["running"], refuses("macao")).permitted


def test_who_is_not_counted_has_nothing_to_sign() -> None:
    life = with_transcript(folded(*REVIEWED, RoundClosed(round_index=0)), RIGHT, ("guangdong", "hongkong"), 2)
    with pytest.raises(ProtocolViolation, match="an outsider's") as caught:
        step(life, Attested(party="macao", transcript=RIGHT))
    assert caught.value.party == "macao"
    for party in ("guangdong", "hongkong"):
        assert life.state is State.RUNNING
        life = step(life, Attested(party=party, transcript=RIGHT))
    assert life.state is State.RELEASED, "whoever is counted has signed"


def test_enough_have_signed_when_any_two_such_sets_share_an_honest_party() -> None:
    life = folded(*REVIEWED, RoundClosed(round_index=0), transcript=RIGHT)
    seen = []
    for party in PARTIES[:2]:
        seen.append(life.enough)
        life = step(life, Attested(party=party, transcript=RIGHT))
    assert [*seen, life.enough] == [False, False, True]
    assert not folded(*REVIEWED).enough, "before the plan's end there is nothing to sign"


@pytest.mark.parametrize("event", [permits("zhuhai"), Attested(party="zhuhai", transcript=RIGHT)])
def test_an_outsider_is_named(event: Event) -> None:
    life = LIVES["under review"] if isinstance(event, Judged) else LIVES["waiting for the last"]
    with pytest.raises(ProtocolViolation, match="an outsider's") as caught:
        step(life, event)
    assert caught.value.party == "zhuhai"


def test_an_empty_transcript_attests_nothing_before_the_plan_has_come_to_its_end() -> None:
    with pytest.raises(ProtocolViolation, match="another transcript"):
        step(LIVES["running"], Attested(party="macao", transcript=b""))


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_a_refused_job_tells_every_rule_of_every_party_and_its_remedy() -> None:
    both = Verdict(
        party="macao",
        job_hash=JOB,
        reasons=(Reason(rule="purposes", clause="only health", remedy="say health"), Reason(rule="k", clause="k is 5")),
    )
    life = folded(Offered(), refuses("hongkong"), Judged(verdict=both), permits("guangdong"), ReviewClosed())
    assert [(b.party, b.code, b.rule, b.hint) for b in life.blames] == [
        ("hongkong", "refused", "purposes", "say health"),
        ("macao", "refused", "purposes", "say health"),
        ("macao", "refused", "k", ""),
    ]
    assert life.blames[0].message == "hongkong refuses by rule purposes: only health"


def test_the_words_of_a_refusal_are_bounded_and_nobody_talks_another_down() -> None:
    many = tuple(Reason(rule=f"r{i}", clause="c" * 4096, remedy="r" * 4096) for i in range(100))
    parties = tuple(sorted(f"p{i:02}" for i in range(100)))
    life = step(Life(parties=parties), Offered())
    for party in parties:
        life = step(life, Judged(verdict=Verdict(party=party, job_hash=JOB, reasons=many)))
    life = step(life, ReviewClosed())
    assert len(life.blames) == lifecycle.MOST_BLAMES
    assert Counter(blame.party for blame in life.blames) == dict.fromkeys(parties, 3)
    assert max(len(text) for blame in life.blames for text in (blame.message, blame.hint)) == lifecycle.LONGEST


def test_silence_in_review_is_a_refusal_with_the_names_of_the_silent() -> None:
    life = folded(Offered(), permits("guangdong"), Expired(missing=("hongkong", "macao")))
    assert life.state is State.REFUSED
    assert {(b.party, b.code, b.rule) for b in life.blames} == {
        ("hongkong", "refused", "no answer"),
        ("macao", "refused", "no answer"),
    }


def test_a_refusal_outweighs_the_silence_of_others() -> None:
    life = folded(Offered(), refuses("guangdong"), Expired(missing=("hongkong", "macao")))
    assert [(b.party, b.rule) for b in life.blames] == [("guangdong", "purposes")]


def test_silence_in_a_round_is_an_abort_that_names_who_and_which() -> None:
    life = step(LIVES["running, one round open"], Expired(missing=("macao",)))
    assert [(b.party, b.code) for b in life.blames] == [("macao", "unavailable")]
    assert "round 1" in life.blames[0].message


def test_an_end_of_which_nobody_is_guilty_still_has_a_reason() -> None:
    life = step(LIVES["running"], Expired(missing=()))
    assert [(b.party, b.code) for b in life.blames] == [("", "unavailable")]


@pytest.mark.parametrize(
    ("code", "state"), [("refused", F), ("protocol_violation", A), ("job_failed", A), ("unavailable", A)]
)
def test_a_stop_ends_by_its_code(code: str, state: State) -> None:
    blame = Blame(party="macao", code=code, message="why")
    assert step(LIVES["running"], Stopped(blame=blame)) == replace(LIVES["running"], state=state, blames=(blame,))


# --- any sequence ----------------------------------------------------------------------------------------------------

parties = st.sampled_from((*PARTIES, "zhuhai"))
events = st.one_of(
    st.just(Offered()),
    parties.map(permits),
    parties.map(permits),
    st.builds(refuses, parties),
    st.just(ReviewClosed()),
    st.builds(RoundClosed, round_index=st.integers(0, 2)),
    st.builds(Attested, party=parties, transcript=st.sampled_from((RIGHT, RIGHT, WRONG, b""))),
    st.just(VIOLATED),
    st.just(AttestationsClosed()),
    st.just(AttestationsClosed()),
    st.builds(Expired, missing=st.sets(st.sampled_from(PARTIES)).map(lambda s: tuple(sorted(s)))),
)
# Most random lists die early; this one leads them on: what an honest job would see, with anything in between.
HONEST = [*REVIEWED, RoundClosed(round_index=0), *(Attested(party=p, transcript=RIGHT) for p in PARTIES)]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    found: list[Event] = []
    for due in HONEST:
        if draw(st.integers(0, 7)) == 0:
            found.append(draw(events))
        if draw(st.integers(0, 15)):
            found.append(due)
    return found + draw(st.lists(events, max_size=4))


def test_any_history_ends_at_most_once_and_only_as_its_events_say() -> None:
    endings: Counter[str] = Counter()

    @given(history=histories())
    @settings(max_examples=400, database=None)
    def holds(history: list[Event]) -> None:
        life, violations, stopped, closed = Life(parties=PARTIES), 0, False, False
        for event in history:
            before = life
            if life.state is State.RUNNING and life.rounds == 1 and not life.transcript:
                life = with_transcript(life, RIGHT, PARTIES, 2)
            try:
                life = step(life, event)
            except ProtocolViolation as fault:
                violations += 1
                assert fault.party in (*PARTIES, "zhuhai", "coordinator")
                continue
            stopped |= isinstance(event, Stopped | Expired)
            closed |= isinstance(event, AttestationsClosed)
            assert before.rounds <= life.rounds <= before.rounds + 1
            assert set(before.attested) <= set(life.attested) <= set(PARTIES)
            assert before.verdicts == life.verdicts[: len(before.verdicts)], "a verdict that was given stays"
            if before.state.ended:
                assert life == before
            if life.state is State.RUNNING and before.state is not State.RUNNING:
                assert life.permitted, "nothing runs that not every party permits"
            if life.state is State.RELEASED:
                assert set(life.attested) == set(PARTIES) or (closed and len(life.attested) == 2), (
                    "nothing is released that not every party signed, or enough of them once the last was given up"
                )
                endings["without a last signature"] += len(life.attested) == 2 and not before.state.ended
                assert not life.blames
        assert life.state is not State.ABORTED or stopped
        endings[life.state.value] += 1
        endings["with violations"] += bool(violations)

    holds()
    assert all(endings[state.value] >= 5 for state in (D, F, A, R, U)), endings
    assert endings["with violations"] >= 50, endings
    assert endings["without a last signature"] >= 3, endings
