"""One party lies to an honest coordinator: the job ends with that party's name, and nobody else is touched.

hongkong is the liar. What ties to a job ends the job; what does not closes hongkong's line, and the deadline names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from federation.crypto.chunk_hash import chunk_hash
from federation.domain.job import Blame, State
from federation.domain.verdict import Reason, Verdict
from federation.jobs import lifecycle, planner, sums
from federation.ledger import merkle
from federation.protocols.events import AggregatorEvent, Received
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import aggregator
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.protocols.secure_sum import AggregatorTransition
from federation.protocols.secure_sum import State as MachineState
from federation.protocols.withdrawal import Withdrawal
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.coordinator.stage import COORDINATOR, PARTIES, WALK, Stage, assert_exact, begun, people, with_walks

THREE = PARTIES[:3]
LIAR = "hongkong"
LONGEST = convert.LONGEST_TEXT


def by_liar(domain: str, value: object, frame: m.Frame, parts: tuple[bytes, ...] = ()) -> m.Frame:
    """A message of the liar's, well signed, where `frame` would have come."""
    return m.Frame(signed(people()[LIAR], domain, value), parts, frame.job_hash, frame.round_index, frame.attempt)


def said_in(frame: m.Frame) -> Any:
    """What the liar's honest program would have said."""
    return convert.BODIES[frame.signed.domain].decode(frame.signed.body)


def instead(frame: m.Frame, *, parts: tuple[bytes, ...] | None = None, **changes: object) -> m.Frame:
    """The same message with other words in it, well signed."""
    value = replace(said_in(frame), **changes)
    return by_liar(frame.signed.domain, value, frame, frame.parts if parts is None else parts)


def rooted(head: Head, parts: tuple[bytes, ...]) -> Head:
    return replace(head, chunk_root=merkle.root([chunk_hash(part) for part in parts]))


def flipped(parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (bytes([parts[0][0] ^ 1]) + parts[0][1:], *parts[1:])


@dataclass
class Liar:
    """A link that puts a lie in the place of the liar's first message of a domain, in one round."""

    domain: str
    lie: Callable[[m.Frame], Sequence[m.Frame]]
    round_index: int = 0
    told: list[m.Frame] = field(default_factory=list)

    def __call__(self, way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        due = (way, party, frame.signed.domain, frame.round_index) == ("in", LIAR, self.domain, self.round_index)
        if not due or self.told:
            return (frame,)
        self.told.append(frame)
        return self.lie(frame)


def played(liar: Liar) -> tuple[Stage, bytes]:
    stage = Stage(link=liar)
    _, job_hash = begun(stage)
    stage.settle()
    assert liar.told, "the lie was told"
    return stage, job_hash


def assert_aborted_by_name(stage: Stage, job_hash: bytes, got: str) -> None:
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {(LIAR, "protocol_violation")}
    (blame,) = stage.coordinator.update(job_hash, "ana").blames
    assert got in blame.message
    assert not stage.objections(), "no honest party had anything to object to"
    assert not stage.violations
    assert all(not jurisdiction._entries for jurisdiction in stage.jurisdictions.values()), "everybody was told"
    assert stage.coordinator.released(job_hash, "ana") == ((), ())


# --- lies that tie to the job ----------------------------------------------------------------------------------------


def other_vector(frame: m.Frame) -> m.Frame:
    parts = flipped(frame.parts)
    return by_liar(Head.domain, rooted(said_in(frame), parts), frame, parts)


def a_second_vector(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, other_vector(frame)


def chunks_that_are_not_under_the_root(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=flipped(frame.parts)),)


def no_chunks(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=()),)


def a_longer_vector(frame: m.Frame) -> Sequence[m.Frame]:
    parts = (frame.parts[0] + bytes(16),)
    head = rooted(said_in(frame), parts)
    return (by_liar(Head.domain, replace(head, length=head.length + 1), frame, parts),)


def a_vector_of_more_than_memory_holds(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, length=2**64 - 1),)


def for_another_spec(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, spec_hash=b"o" * 32),)


def for_other_keys(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, u2_hash=b"o" * 32),)


def another_message_in_its_place(frame: m.Frame) -> Sequence[m.Frame]:
    hello = m.Hello(party=LIAR, roster_hash=b"r" * 32, software="1", publications=())
    return (by_liar(m.HELLO, hello, frame),)


def a_second_key(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, instead(frame, mask_pk=b"\x09" + bytes(31))


def for_another_job(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, setup_hash=b"o" * 32),)


def a_key_without_strength(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, mask_pk=bytes(32)),)


def with_chunks(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=(b"chunk",)),)


def a_vector_before_all_keys(frame: m.Frame) -> Sequence[m.Frame]:
    head = Head(spec_hash=b"s" * 32, u2_hash=b"u" * 32, party=LIAR, chunk_root=b"r" * 32, length=4)
    return (by_liar(Head.domain, head, frame),)


def other_shares(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, instead(frame, commitment=b"c" * 32)


def dealt_among_others(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, adverts_hash=b"o" * 32),)


def a_box_too_few(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=frame.parts[1:]),)


def a_second_consent(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, instead(frame, u3_hash=b"o" * 32)


def to_another_list(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, u3_hash=b"o" * 32),)


def other_shares_again(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, instead(frame, self_shares=(bytes(33), *said_in(frame).self_shares[1:]))


def a_share_too_few(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, self_shares=said_in(frame).self_shares[1:]),)


def a_key_share_of_somebody_who_is_counted(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, key_shares=(bytes(33),)),)


def a_share_beyond_the_prime(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, self_shares=tuple(b"\xff" * 33 for _ in THREE)),)


def a_share_that_was_not_dealt(frame: m.Frame) -> Sequence[m.Frame]:
    return (instead(frame, self_shares=tuple(bytes(33) for _ in THREE)),)


def false_shares_of_five(frame: m.Frame) -> Sequence[m.Frame]:
    """False ones of everybody else's seed; of its own nobody vouches for a share."""
    _, own, *others = said_in(frame).self_shares
    return (instead(frame, self_shares=(bytes(33), own, *(bytes(33) for _ in others))),)


def a_word_on_another_attempt(frame: m.Frame) -> Sequence[m.Frame]:
    return (by_liar(Withdrawal.domain, Withdrawal(setup_hash=b"o" * 32, party=LIAR), frame),)


LIES: list[tuple[str, Callable[[m.Frame], Sequence[m.Frame]], str]] = [
    (Advert.domain, a_second_key, "a second, different one"),
    (Advert.domain, for_another_job, "one for another setup"),
    (Advert.domain, a_key_without_strength, "low order"),
    (Advert.domain, with_chunks, "got chunks"),
    (Advert.domain, a_vector_before_all_keys, "Head in state Gathering"),
    (Shares.domain, other_shares, "a second, different one"),
    (Shares.domain, for_another_job, "some for another setup"),
    (Shares.domain, dealt_among_others, "some dealt among others"),
    (Shares.domain, a_box_too_few, "other numbers or sizes"),
    (Shares.domain, with_chunks, "other numbers or sizes"),
    (Shares.domain, chunks_that_are_not_under_the_root, "other bytes"),
    (Shares.domain, a_vector_before_all_keys, "Head in state Dealing"),
    (Head.domain, a_second_vector, "a second, different one"),
    (Head.domain, chunks_that_are_not_under_the_root, "other bytes"),
    (Head.domain, no_chunks, "other sizes"),
    (Head.domain, a_longer_vector, "5 numbers"),
    (Head.domain, a_vector_of_more_than_memory_holds, "18446744073709551615 numbers"),
    (Head.domain, for_another_spec, "one for another spec"),
    (Head.domain, for_other_keys, "one for others"),
    (Head.domain, another_message_in_its_place, "another message"),
    (Consent.domain, a_second_consent, "a second, different one"),
    (Consent.domain, to_another_list, "one to another list"),
    (Consent.domain, for_another_spec, "one to another list"),
    (Consent.domain, with_chunks, "one to another list"),
    (Consent.domain, a_word_on_another_attempt, "one on another"),
    (Unmask.domain, other_shares_again, "a second, different one"),
    (Unmask.domain, to_another_list, "another list's"),
    (Unmask.domain, a_share_too_few, "2 and 0"),
    (Unmask.domain, a_key_share_of_somebody_who_is_counted, "3 and 1"),
    (Unmask.domain, a_share_beyond_the_prime, "sound shares"),
    (Unmask.domain, a_share_that_was_not_dealt, "shares"),
    (Unmask.domain, with_chunks, "another list's"),
]


@pytest.mark.parametrize(
    ("domain", "lie", "got"), LIES, ids=[f"{domain.split('/')[1]}-{lie.__name__}" for domain, lie, _ in LIES]
)
def test_a_lie_in_any_step_ends_the_job_with_its_name(
    domain: str, lie: Callable[[m.Frame], Sequence[m.Frame]], got: str
) -> None:
    stage, job_hash = played(Liar(domain, lie))
    assert_aborted_by_name(stage, job_hash, got)


def test_a_box_that_its_owner_cannot_open_is_told_with_the_dealers_name() -> None:
    """Only its owner can see it, and so says it; the root under it is the dealer's."""

    def spoilt(frame: m.Frame) -> Sequence[m.Frame]:
        parts = flipped(frame.parts)
        root = merkle.root([merkle.leaf_hash(part) for part in parts])
        return (instead(frame, parts=parts, boxes_root=root),)

    liar = Liar(Shares.domain, spoilt)
    mute = lambda way, party, frame: (way, party, frame.signed.domain) == ("in", LIAR, m.OBJECTION)  # noqa: E731
    stage = Stage(link=lambda *sent: () if mute(*sent) else liar(*sent))  # its own program sees that it was changed
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {(LIAR, "protocol_violation")}
    assert stage.objections()["guangdong"].blame.party == LIAR
    assert not stage.engines["guangdong"].calls


def test_who_gave_a_false_share_is_named_at_the_deadline_and_not_who_is_only_missing() -> None:
    """Of five, four right sets of shares are needed; one is false and one party is away."""
    liar = Liar(Unmask.domain, false_shares_of_five)
    stage = Stage(names=PARTIES[:5], k=1, own_figures=True)
    _, job_hash = begun(stage)

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, party, frame.signed.domain) == ("in", "zhuhai", Unmask.domain):
            stage.hang_up("zhuhai")
            return ()
        return liar(way, party, frame)

    stage.link = link
    stage.settle()
    assert stage.state(job_hash) is State.RUNNING, "zhuhai may come back"
    stage.expire()
    assert stage.blames(job_hash) == {(LIAR, "protocol_violation")}


def test_a_withdrawal_that_nobody_asked_for_changes_nothing() -> None:
    stage = Stage()
    job, job_hash = begun(stage)

    def withdrawing(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, party, frame.signed.domain) != ("in", LIAR, Consent.domain):
            return (frame,)
        setup = stage.coordinator._runs[job_hash]._sums[frame.round_index].setup
        return by_liar(Withdrawal.domain, Withdrawal(setup_hash=setup.hash, party=LIAR), frame), frame

    stage.link = withdrawing
    stage.settle()
    assert_exact(stage, job, job_hash)


def test_a_key_that_another_party_showed_first_ends_the_job_with_the_name_of_the_copy() -> None:
    shown: list[m.Frame] = []

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, frame.signed.domain, frame.round_index) != ("in", Advert.domain, 0):
            return (frame,)
        if party == "guangdong":
            shown.append(frame)
        if party != LIAR:
            return (frame,)
        return (by_liar(Advert.domain, replace(said_in(frame), mask_pk=said_in(shown[0]).mask_pk), frame),)

    stage = Stage(link=link)
    _, job_hash = begun(stage)
    for way in ("out", "in"):
        while ends := [end for end in stage.pending() if end == (way, "guangdong")]:
            stage.deliver(*ends[0])
    stage.settle()
    assert_aborted_by_name(stage, job_hash, "with one key")


def test_a_false_transcript_ends_the_job_with_its_name() -> None:
    def lie(frame: m.Frame) -> Sequence[m.Frame]:
        value = m.Attestation(party=LIAR, job_hash=frame.job_hash, transcript=b"o" * 32)
        return (by_liar(m.ATTESTATION, value, frame),)

    stage, job_hash = played(Liar(m.ATTESTATION, lie))
    assert_aborted_by_name(stage, job_hash, "another transcript")


def test_a_permission_that_is_taken_back_ends_the_job_with_its_name() -> None:
    def lie(frame: m.Frame) -> Sequence[m.Frame]:
        value = Verdict(party=LIAR, job_hash=frame.job_hash, reasons=(Reason(rule="k", clause="no"),))
        return frame, by_liar(m.VERDICT, value, frame)

    stage, job_hash = played(Liar(m.VERDICT, lie))
    assert_aborted_by_name(stage, job_hash, "a second, different one")


def test_without_the_comparison_a_second_vector_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: whoever has spoken in a step is not listened to again."""
    plain = aggregator.step

    def lenient(state: MachineState, event: AggregatorEvent) -> AggregatorTransition:
        if isinstance(state, aggregator.Serving) and isinstance(event, Received):
            message = event.parcel.message
            if (message.sender, type(message.value).__name__) in state.said:
                return Transition(state)
        return plain(state, event)

    monkeypatch.setattr(aggregator, "step", lenient)
    stage, job_hash = played(Liar(Head.domain, a_second_vector))
    assert stage.state(job_hash) is State.RELEASED


def test_a_second_vector_of_a_round_that_was_just_closed_ends_the_job_with_its_name() -> None:
    kept: list[m.Frame] = []

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, party, frame.signed.domain) != ("in", LIAR, Head.domain):
            return (frame,)
        kept.append(other_vector(frame))
        return (kept[0], frame) if frame.round_index == 1 else (frame,)

    stage = Stage(link=link)
    _, job_hash = begun(stage)
    stage.settle()
    assert_aborted_by_name(stage, job_hash, "a second, different one")


def test_a_vector_of_a_round_that_is_closed_for_long_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[m.Frame] = []

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, party, frame.signed.domain) != ("in", LIAR, Head.domain):
            return (frame,)
        kept.append(other_vector(frame))
        return (kept[0], frame) if frame.round_index == 2 else (frame,)

    monkeypatch.setattr(planner, "replay", with_walks)
    stage = Stage(k=1, own_figures=True, link=link)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    stage.settle()
    assert len(kept) == 3
    assert stage.state(job_hash) is State.RELEASED
    assert stage.totals(job_hash)[0][1] == 10_101


# --- what does not tie to a job --------------------------------------------------------------------------------------


def assert_line_closed(stage: Stage, job_hash: bytes, got: str) -> None:
    """The liar's line is closed in its name; the job waits for it, and goes on when it comes back honest."""
    ((who, fault),) = stage.violations
    assert (who, fault.party) == (COORDINATOR, LIAR)
    assert got in fault.got
    assert LIAR not in stage.coordinator.connected
    assert not stage.blames(job_hash)
    stage.violations.clear()


def cut(frame: m.Frame) -> Sequence[m.Frame]:
    body = frame.signed.body[:-1]
    me = people()[LIAR]
    return (
        replace(
            frame, signed=m.Signed(body, me.member.key_id, me.sign(frame.signed.domain, body), frame.signed.domain)
        ),
    )


def changed_after_signing(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, signed=replace(frame.signed, body=frame.signed.body[:-1] + b"\x00")),)


def of_another_party(frame: m.Frame) -> Sequence[m.Frame]:
    value = replace(said_in(frame), party="macao")
    return (replace(frame, signed=signed(people()["macao"], Head.domain, value)),)


def of_the_coordinator(frame: m.Frame) -> Sequence[m.Frame]:
    value = m.Ended(job_hash=frame.job_hash, state=State.RELEASED)
    return (by_liar(m.ENDED, value, frame),)


def for_a_job_that_is_not_there(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, job_hash=b"n" * 32),)


UNTIED = {
    cut: "bytes that do not parse",
    changed_after_signing: "a signature that does not verify",
    of_another_party: "another member's",
    of_the_coordinator: "a jurisdiction",
    for_a_job_that_is_not_there: "another job",
}


@pytest.mark.parametrize(("lie", "got"), UNTIED.items(), ids=lambda it: getattr(it, "__name__", ""))
@pytest.mark.parametrize("comes_back", [True, False])
def test_what_cannot_be_tied_to_a_job_closes_the_line_and_the_deadline_names_who_is_missing(
    lie: Callable[[m.Frame], Sequence[m.Frame]], got: str, comes_back: bool
) -> None:
    stage = Stage(link=Liar(Head.domain, lie))
    job, job_hash = begun(stage)
    stage.settle()
    assert_line_closed(stage, job_hash, got)
    if comes_back:
        stage.come_back()
        assert_exact(stage, job, job_hash)
    else:
        stage.expire()
        assert stage.state(job_hash) is State.ABORTED
        assert stage.blames(job_hash) == {(LIAR, "unavailable")}


def test_an_outsider_is_named_and_the_job_goes_on() -> None:
    stage = Stage(names=PARTIES[:4])
    stage.attend()
    stage.settle()
    job = stage.job(parties=THREE)
    job_hash = stage.submit(job)
    value = Verdict(party="shenzhen", job_hash=job_hash, reasons=(Reason(rule="k", clause="never"),))
    stage.lines["shenzhen"]["in"].append(m.Frame(signed(people()["shenzhen"], m.VERDICT, value), job_hash=job_hash))
    stage.settle()
    ((who, fault),) = stage.violations
    assert (who, fault.party) == (COORDINATOR, "shenzhen")
    stage.violations.clear()
    assert_exact(stage, job, job_hash)
    assert not stage.engines["shenzhen"].calls


# --- many messages and many words ------------------------------------------------------------------------------------


def test_messages_for_the_next_round_are_one_a_party_and_blamed_on_the_one_who_sends_more() -> None:
    stage = Stage()
    job, job_hash = begun(stage)
    following = sums.setup(job, job_hash, index=1, attempt=0, contributors=job.parties).hash

    def flood(frame: m.Frame) -> Sequence[m.Frame]:
        """Its key, and twelve different ones for the next round, before anybody else has one."""
        adverts = (instead(frame, mask_pk=bytes([9 + i]) + bytes(31), setup_hash=following) for i in range(12))
        return [frame, *(replace(advert, round_index=1) for advert in adverts)]

    stage.link = Liar(Advert.domain, flood)
    stage.settle()
    assert_aborted_by_name(stage, job_hash, "a second, different one")


@pytest.mark.parametrize("far", [2, 7, 2**32 - 1])
def test_a_message_for_a_round_far_away_ends_the_job_with_its_name(far: int) -> None:
    stage, job_hash = played(Liar(Head.domain, lambda frame: (replace(frame, round_index=far),)))
    assert_aborted_by_name(stage, job_hash, "one of a later round")


def wordy(frame: m.Frame) -> Sequence[m.Frame]:
    reason = Reason(rule="r" * 200, clause="\U0001f5ef" * LONGEST, remedy="\U0001f5ef" * LONGEST)
    return (by_liar(m.VERDICT, Verdict(party=LIAR, job_hash=frame.job_hash, reasons=(reason,) * 60), frame),)


def assert_end_can_be_read(stage: Stage, job_hash: bytes) -> None:
    """Everybody was told, nobody was blamed for words that were too many, and the coordinator starts again."""
    assert not stage.violations
    assert all(not jurisdiction._entries for jurisdiction in stage.jurisdictions.values())
    before = stage.coordinator.update(job_hash, "ana").blames
    stage.kill_coordinator()
    assert stage.coordinator.update(job_hash, "ana").blames == before


def test_a_refusal_of_many_words_can_be_read_by_everybody_and_after_a_restart() -> None:
    stage, job_hash = played(Liar(m.VERDICT, wordy))
    assert stage.state(job_hash) is State.REFUSED
    assert stage.blames(job_hash) == {(LIAR, "refused")}
    assert_end_can_be_read(stage, job_hash)


def test_without_clipping_one_party_would_keep_the_coordinator_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_clipped", lambda text: text)
    stage, _ = played(Liar(m.VERDICT, wordy))
    assert {fault.party for _, fault in stage.violations} == {COORDINATOR}, "and it would be blamed for the words"
    with pytest.raises(convert.Malformed, match="a message longer than"):
        stage.kill_coordinator()


def test_an_accusation_is_told_as_one_members_word() -> None:
    def accuse(frame: m.Frame) -> Sequence[m.Frame]:
        blame = Blame(party="macao", code="protocol_violation", message="macao broke the protocol in round 0", hint="h")
        return (by_liar(m.OBJECTION, m.Objection(party=LIAR, job_hash=frame.job_hash, blame=blame), frame),)

    stage, job_hash = played(Liar(Head.domain, accuse))
    (blame,) = stage.coordinator.update(job_hash, "ana").blames
    assert blame.message == "hongkong says: macao broke the protocol in round 0"
    assert_end_can_be_read(stage, job_hash)


def test_an_accusation_of_many_words_can_be_read_by_everybody_and_after_a_restart() -> None:
    def accuse(frame: m.Frame) -> Sequence[m.Frame]:
        blame = Blame(party="macao", code="c" * 200, message="m" * LONGEST, hint="h" * LONGEST, rule="r" * 200)
        return (by_liar(m.OBJECTION, m.Objection(party=LIAR, job_hash=frame.job_hash, blame=blame), frame),)

    stage, job_hash = played(Liar(Head.domain, accuse))
    assert stage.state(job_hash) is State.ABORTED
    assert_end_can_be_read(stage, job_hash)
