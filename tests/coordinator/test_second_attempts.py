"""A sum that is stuck before it was opened is recalled, withdrawn by its parties, and tried again with new keys.

Of four parties three consents open a sum and three withdrawals end an attempt; of five it is four and four. Nothing is
opened twice over different sets: whoever has withdrawn never opens that attempt, and nobody begins another one before
so many have withdrawn that nobody could.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from clients.jurisdiction.sums import Sum, secrets_of
from federation.coordinator.patience import Patience
from federation.domain.job import Job, State
from federation.protocols.events import Send
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Unmask
from federation.protocols.withdrawal import Withdrawal
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.coordinator.stage import COORDINATOR, DEADLINE_MS, PARTIES, Stage, assert_exact, begun, people, plain

SOON = Patience(away_ms=10_000, silent_ms=20_000)
MUTE = {4: ("guangdong", "hongkong"), 5: ("guangdong", "hongkong")}  # without them there are too few consents
Frames = Sequence[m.Frame]


def stuck(parties: int, *, index: int = 0, single: bool = True) -> tuple[Stage, Job, bytes]:
    """A job whose first attempt at one sum gets too few consents, although everybody attends."""
    stage = Stage(names=PARTIES[:parties], k=1 if single else 2, own_figures=single, patience=SOON)

    def link(way: str, party: str, frame: m.Frame) -> Frames:
        at = (way, frame.signed.domain, frame.round_index, frame.attempt)
        return () if at == ("in", Consent.domain, index, 0) and party in MUTE[parties] else (frame,)

    stage.link = link
    job, job_hash = begun(stage)
    stage.settle()
    assert stage.coordinator._runs[job_hash].phase == (index, 0, "consent")
    return stage, job, job_hash


def recall(stage: Stage) -> None:
    """Let patience pass: everybody is asked to withdraw, and that is on its way."""
    stage.now_ms += SOON.silent_ms
    stage.route(stage.coordinator.tick(stage.now_ms))
    assert {frame.signed.domain for line in stage.lines.values() for frame in line["out"]} == {m.RECALL}


def said(stage: Stage, kind: type, *, index: int = 0, attempt: int = 0) -> set[str]:
    """Who has sent this message of an attempt."""
    return {who for who, domain, _, i, a in stage.sent if (domain, i, a) == (kind.domain, index, attempt)}


def numbers_of(stage: Stage, party: str) -> list[int]:
    """How the party counted its answers."""
    heads = [
        convert.BODIES[Head.domain].decode(convert.frame_of(body).signed.body)
        for (who, domain, *_), bodies in stage.sent.items()
        if (who, domain) == (party, Head.domain)
        for body in bodies
    ]
    return sorted(head.number for head in heads if isinstance(head, Head))


# --- the honest way --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("parties", [4, 5])
def test_a_second_attempt_opens_the_sum_over_everybody(parties: int, index: int) -> None:
    stage, job, job_hash = stuck(parties, index=index, single=False)
    recall(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    assert said(stage, Withdrawal, index=index) == set(job.parties)
    assert not said(stage, Unmask, index=index), "nobody has helped to open the first attempt"
    assert said(stage, Unmask, index=index, attempt=1)
    for party in job.parties:
        assert numbers_of(stage, party) == [1, 2, 3], "two sums, one of them twice"
        assert len(stage.engines[party].calls) == 1, "the rows are not asked again for another attempt"
    old, new = (
        {key[1]: bodies for key, bodies in stage.sent.items() if (key[0], key[3], key[4]) == ("macao", index, attempt)}
        for attempt in (0, 1)
    )
    assert not old[Advert.domain] & new[Advert.domain], "other keys"


def test_a_second_attempt_may_be_opened_over_another_list() -> None:
    stage, job, job_hash = stuck(5)
    recall(stage)
    link = stage.link

    def losing(way: str, party: str, frame: m.Frame) -> Frames:
        if (way, party, frame.signed.domain, frame.attempt) == ("in", "zhuhai", Head.domain, 1):
            stage.hang_up("zhuhai")
            return ()
        return link(way, party, frame)

    stage.link = losing
    stage.settle()
    stage.wait(stage.now_ms + SOON.away_ms)
    assert_exact(stage, job, job_hash, job.parties[:4])
    stage.link = plain
    stage.attend("zhuhai")
    stage.settle()
    again = stage.submit(stage.job(parties=job.parties[:4], token=b"u" * 16))
    stage.settle()
    assert stage.state(again) is State.RELEASED, "those are the set of this query now"
    everybody = stage.submit(stage.job(token=b"v" * 16))
    stage.settle()
    assert stage.state(everybody) is State.REFUSED


def test_an_attempt_may_be_stuck_and_recalled_more_than_once() -> None:
    stage, job, job_hash = stuck(4)
    link = stage.link

    def stuck_again(way: str, party: str, frame: m.Frame) -> Frames:
        again = (way, frame.signed.domain, frame.attempt) == ("in", Consent.domain, 1) and party in MUTE[4]
        return () if again else link(way, party, frame)

    stage.link = stuck_again
    recall(stage)
    stage.settle()
    assert stage.coordinator._runs[job_hash].phase == (0, 1, "consent")
    recall(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    assert numbers_of(stage, "macao") == [1, 2, 3]


def test_a_party_that_comes_back_after_two_attempts_takes_up_the_third() -> None:
    stage, job, job_hash = stuck(4)
    link = stage.link
    stage.hang_up("shenzhen")

    def stuck_again(way: str, party: str, frame: m.Frame) -> Frames:
        again = (way, frame.signed.domain, frame.attempt) == ("in", Consent.domain, 1) and party in MUTE[4]
        return () if again else link(way, party, frame)

    stage.link = stuck_again
    for attempt in (0, 1):
        stage.wait(stage.now_ms + SOON.silent_ms)
        if attempt == 0:
            stage.wait(stage.now_ms + SOON.away_ms)  # three of four have given their keys, and then their shares
    assert stage.coordinator._runs[job_hash].phase[:2] == (0, 2), stage.coordinator._runs[job_hash].phase
    stage.kill("shenzhen")
    stage.attend("shenzhen")
    stage.settle()
    assert_exact(stage, job, job_hash)


# --- deaths in between -----------------------------------------------------------------------------------------------


def kills(party: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.kill(party)
        stage.attend(party)

    return act


def kills_all(stage: Stage) -> None:
    stage.kill_coordinator()
    for party in stage.names:
        stage.kill(party)


ACTS: dict[str, Callable[[Stage], None]] = {
    "one that was silent": kills("guangdong"),
    "one that consented": kills("macao"),
    "the coordinator": lambda stage: stage.kill_coordinator(),
    "everybody": kills_all,
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_anybody_may_die_between_two_attempts(act: Callable[[Stage], None]) -> None:
    reached = set()
    for at in range(0, 40, 3):
        stage, job, job_hash = stuck(4)
        recall(stage)
        for _ in range(at):
            if stage.pending():
                stage.deliver(*stage.pending()[0])
        reached.add(stage.coordinator._runs[job_hash].phase)
        act(stage)
        stage.come_back()
        assert_exact(stage, job, job_hash)
        assert not said(stage, Unmask)
    assert {attempt for _, attempt, _ in reached} == {0, 1}
    assert {what for _, _, what in reached} >= {"consent", "advert", "shares", "head"}


# --- too few ---------------------------------------------------------------------------------------------------------


def test_too_few_withdrawals_begin_nothing_and_the_deadline_names_who_lacks() -> None:
    stage, _, job_hash = stuck(5)
    recall(stage)
    for party in ("shenzhen", "zhuhai"):
        stage.hang_up(party)
    stage.settle()
    assert said(stage, Withdrawal) == {"guangdong", "hongkong", "macao"}
    assert not said(stage, Advert, attempt=1)
    stage.wait(DEADLINE_MS)
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("shenzhen", "unavailable"), ("zhuhai", "unavailable")}


def test_a_party_that_comes_back_makes_the_withdrawals_enough() -> None:
    stage, job, job_hash = stuck(5)
    recall(stage)
    for party in ("shenzhen", "zhuhai"):
        stage.hang_up(party)
    stage.settle()
    stage.attend("zhuhai")
    stage.settle()
    stage.wait(stage.now_ms + SOON.away_ms)
    assert_exact(stage, job, job_hash, ("guangdong", "hongkong", "macao", "zhuhai"))


# --- a coordinator that lies about it --------------------------------------------------------------------------------


def recalled(stage: Stage, job_hash: bytes, party: str, *, index: int = 0, attempt: int = 0) -> list[m.Frame]:
    """What a party answers when it is asked to withdraw an attempt."""
    word = m.Recall(job_hash=job_hash, round_index=index, attempt=attempt)
    frame = m.Frame(signed(people()[COORDINATOR], m.RECALL, word), (), job_hash, index, attempt)
    return stage.jurisdictions[party].receive(frame)


def bundled(job_hash: bytes, messages: Sequence[m.Signed], *, attempt: int = 0) -> m.Frame:
    """A bundle of the coordinator's."""
    bundle = m.Bundle(
        job_hash=job_hash,
        round_index=0,
        attempt=attempt,
        round_digest=b"",
        total_digest=b"",
        messages=tuple(messages),
        chunk_counts=(0,) * len(messages),
    )
    return m.Frame(signed(people()[COORDINATOR], m.BUNDLE, bundle), (), job_hash, 0, attempt)


def withdrawals(stage: Stage, job_hash: bytes) -> dict[str, m.Signed]:
    """What all parties sign when they are asked."""
    return {party: recalled(stage, job_hash, party)[0].signed for party in stage.names}


def domains(frames: Sequence[m.Frame]) -> list[str]:
    return [frame.signed.domain for frame in frames]


def few(words: dict[str, m.Signed]) -> list[m.Signed]:
    return list(words.values())[:3]


def one_twice(words: dict[str, m.Signed]) -> list[m.Signed]:
    first, *others = few(words)
    return [first, first, *others]


def one_of_an_outsider(words: dict[str, m.Signed]) -> list[m.Signed]:
    word = convert.BODIES[Withdrawal.domain].decode(words["macao"].body)
    assert isinstance(word, Withdrawal)
    outsider = Withdrawal(setup_hash=word.setup_hash, party="zunyi")
    return [*few(words), signed(people()["zunyi"], Withdrawal.domain, outsider)]


def one_on_another_attempt(words: dict[str, m.Signed]) -> list[m.Signed]:
    return [
        *few(words),
        signed(people()["zhuhai"], Withdrawal.domain, Withdrawal(setup_hash=b"o" * 32, party="zhuhai")),
    ]


def one_that_nobody_signed(words: dict[str, m.Signed]) -> list[m.Signed]:
    forged = m.Signed(words["zhuhai"].body, words["zhuhai"].key_id, bytes(64), Withdrawal.domain)
    return [*few(words), forged]


@pytest.mark.parametrize(
    "proof",
    [few, one_twice, one_of_an_outsider, one_on_another_attempt, one_that_nobody_signed],
    ids=lambda proof: proof.__name__,
)
def test_without_enough_withdrawals_every_party_names_the_coordinator_and_its_query_stays_bound(
    proof: Callable[[dict[str, m.Signed]], list[m.Signed]],
) -> None:
    stage, job, job_hash = stuck(5)
    words = withdrawals(stage, job_hash)
    assert len(words) == 5
    frame = bundled(job_hash, proof(words))
    for party in job.parties:
        (objection,) = stage.jurisdictions[party].receive(frame)
        value = convert.BODIES[m.OBJECTION].decode(objection.signed.body)
        assert isinstance(value, m.Objection)
        assert value.blame.party == COORDINATOR
    stage.attend()
    stage.settle()
    fewer = stage.submit(stage.job(parties=job.parties[1:], token=b"u" * 16))
    stage.settle()
    assert stage.state(fewer) is State.REFUSED


def test_with_enough_withdrawals_a_query_is_free_and_may_be_asked_of_others() -> None:
    stage, job, job_hash = stuck(5)
    frame = bundled(job_hash, list(withdrawals(stage, job_hash).values())[:4])
    for party in job.parties:
        answers = stage.jurisdictions[party].receive(frame)
        assert domains(answers) == [Advert.domain], "new keys, for the second attempt"
        assert not stage.vaults[party].read(secrets_of(job_hash, 0, 0)), "nothing is left of the first"
    stage.route(stage.coordinator.cancel(job_hash, "ana"))
    stage.settle()
    fewer = stage.submit(stage.job(parties=job.parties[1:], token=b"u" * 16))
    stage.settle()
    assert stage.state(fewer) is State.RELEASED


def consents(stage: Stage) -> list[m.Signed]:
    """What was consented to in the first attempt; the coordinator has all of them after all."""
    return [
        convert.frame_of(body).signed
        for (_, domain, _, _, attempt), bodies in sorted(stage.sent.items())
        if (domain, attempt) == (Consent.domain, 0)
        for body in bodies
    ]


def test_whoever_has_withdrawn_never_opens_that_attempt_also_after_a_restart() -> None:
    stage, job, job_hash = stuck(4)
    frame = bundled(job_hash, consents(stage))
    assert domains(stage.jurisdictions["macao"].receive(frame)) == [Unmask.domain], "it would open it"
    withdrawn = [party for party in job.parties if party != "macao"]
    for party in withdrawn:
        assert domains(recalled(stage, job_hash, party)) == [Withdrawal.domain]
        assert stage.jurisdictions[party].receive(frame) == []
        stage.kill(party)
        assert stage.jurisdictions[party].receive(frame) == []
        assert domains(recalled(stage, job_hash, party)) == [], "it has said so, and says no other thing"


def test_a_party_that_only_says_so_would_open_what_it_withdrew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the word is signed and the machine goes on."""

    def said_only(self: Sum) -> tuple[()]:
        self._frames([Send(message=Withdrawal(setup_hash=self.setup.hash, party=self._me.member.name))])
        return ()

    monkeypatch.setattr(Sum, "withdraw", said_only)
    stage, _, job_hash = stuck(4)
    assert domains(recalled(stage, job_hash, "macao")) == [Withdrawal.domain]
    assert domains(stage.jurisdictions["macao"].receive(bundled(job_hash, consents(stage)))) == [Unmask.domain]


def test_whoever_has_helped_to_open_does_not_withdraw_and_takes_up_the_next_attempt() -> None:
    """The coordinator shows the consents to one party only and recalls then: one set of shares opens nothing."""
    stage, job, job_hash = stuck(4)
    assert domains(stage.jurisdictions["macao"].receive(bundled(job_hash, consents(stage)))) == [Unmask.domain]
    assert recalled(stage, job_hash, "macao") == []
    stage.kill("macao")
    assert recalled(stage, job_hash, "macao") == []
    link = stage.link
    opens = lambda way, frame: (way, frame.signed.domain, frame.attempt) == ("in", Unmask.domain, 0)  # noqa: E731
    stage.link = lambda way, party, frame: () if opens(way, frame) else link(way, party, frame)  # which it keeps
    stage.attend("macao")
    stage.settle()
    recall(stage)
    stage.settle()
    assert "macao" not in said(stage, Withdrawal)
    assert_exact(stage, job, job_hash)


@pytest.mark.parametrize("at", [{"index": 1}, {"attempt": 1}, {"index": 2**32 - 1}])
def test_a_recall_of_what_is_not_open_changes_nothing(at: dict[str, int]) -> None:
    stage, _, job_hash = stuck(4)
    before = {party: dict(vault._streams) for party, vault in stage.vaults.items()}  # type: ignore[attr-defined]
    for party in stage.names:
        assert recalled(stage, job_hash, party, **at) == []
        assert stage.vaults[party]._streams == before[party]  # type: ignore[attr-defined]


def test_an_attempt_that_nobody_recalled_is_not_left_for_the_next_one() -> None:
    stage, job, job_hash = stuck(4)
    adverts = [
        convert.frame_of(body).signed
        for (_, domain, _, index, _), bodies in sorted(stage.sent.items())
        if (domain, index) == (Advert.domain, 0)
        for body in bodies
    ]
    for party in job.parties:
        (objection,) = stage.jurisdictions[party].receive(bundled(job_hash, adverts, attempt=1))
        value = convert.BODIES[m.OBJECTION].decode(objection.signed.body)
        assert isinstance(value, m.Objection)
        assert value.blame.party == COORDINATOR
