"""One party lies to an honest coordinator: the job ends with that party's name, and nobody else is touched.

hongkong is the liar. What ties to a job ends the job; what does not closes hongkong's line, and the deadline names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from federation.coordinator.run import Run
from federation.domain.job import Blame, State
from federation.domain.verdict import Reason, Verdict
from federation.jobs import lifecycle
from federation.ledger import merkle
from federation.protocols.masked_sum import aggregator
from federation.protocols.masked_sum.messages import Advert, Head
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import Opened, signed
from tests.coordinator.stage import COORDINATOR, PARTIES, Stage, assert_exact, begun, people

THREE = PARTIES[:3]
LIAR = "hongkong"
LONGEST = convert.LONGEST_TEXT


def by_liar(domain: str, value: object, frame: m.Frame, parts: tuple[bytes, ...] = ()) -> m.Frame:
    """A message of the liar's, well signed, where `frame` would have come."""
    return m.Frame(signed(people()[LIAR], domain, value), parts, frame.job_hash, frame.round_index)


def head_in(frame: m.Frame) -> Head:
    value = convert.BODIES[Head.domain].decode(frame.signed.body)
    assert isinstance(value, Head)
    return value


def advert_in(frame: m.Frame) -> Advert:
    value = convert.BODIES[Advert.domain].decode(frame.signed.body)
    assert isinstance(value, Advert)
    return value


def rooted(head: Head, parts: tuple[bytes, ...]) -> Head:
    return replace(head, chunk_root=merkle.root([merkle.leaf_hash(part) for part in parts]))


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
    return by_liar(Head.domain, rooted(head_in(frame), parts), frame, parts)


def a_second_vector(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, other_vector(frame)


def chunks_that_are_not_under_the_root(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=flipped(frame.parts)),)


def no_chunks(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=()),)


def a_longer_vector(frame: m.Frame) -> Sequence[m.Frame]:
    parts = (frame.parts[0] + bytes(16),)
    head = rooted(head_in(frame), parts)
    return (by_liar(Head.domain, replace(head, length=head.length + 1), frame, parts),)


def a_vector_of_more_than_memory_holds(frame: m.Frame) -> Sequence[m.Frame]:
    return (by_liar(Head.domain, replace(head_in(frame), length=2**64 - 1), frame, frame.parts),)


def for_another_spec(frame: m.Frame) -> Sequence[m.Frame]:
    return (by_liar(Head.domain, replace(head_in(frame), spec_hash=b"o" * 32), frame, frame.parts),)


def for_other_keys(frame: m.Frame) -> Sequence[m.Frame]:
    return (by_liar(Head.domain, replace(head_in(frame), u2_hash=b"o" * 32), frame, frame.parts),)


def another_message_in_its_place(frame: m.Frame) -> Sequence[m.Frame]:
    hello = m.Hello(party=LIAR, roster_hash=b"r" * 32, software="1", publications=())
    return (by_liar(m.HELLO, hello, frame),)


HEADS = {
    a_second_vector: "a second, different one",
    chunks_that_are_not_under_the_root: "other bytes",
    no_chunks: "other sizes",
    a_longer_vector: "5 numbers",
    a_vector_of_more_than_memory_holds: "18446744073709551615 numbers",
    for_another_spec: "one for another spec",
    for_other_keys: "one for others",
    another_message_in_its_place: "another message",
}


@pytest.mark.parametrize(("lie", "got"), HEADS.items(), ids=lambda it: getattr(it, "__name__", ""))
def test_a_false_vector_ends_the_job_with_its_name(lie: Callable[[m.Frame], Sequence[m.Frame]], got: str) -> None:
    stage, job_hash = played(Liar(Head.domain, lie))
    assert_aborted_by_name(stage, job_hash, got)


def a_second_key(frame: m.Frame) -> Sequence[m.Frame]:
    return frame, by_liar(Advert.domain, replace(advert_in(frame), mask_pk=b"\x09" + bytes(31)), frame)


def a_key_for_another_job(frame: m.Frame) -> Sequence[m.Frame]:
    return (by_liar(Advert.domain, replace(advert_in(frame), setup_hash=b"o" * 32), frame),)


def a_key_without_strength(frame: m.Frame) -> Sequence[m.Frame]:
    return (by_liar(Advert.domain, replace(advert_in(frame), mask_pk=bytes(32)), frame),)


def a_key_with_chunks(frame: m.Frame) -> Sequence[m.Frame]:
    return (replace(frame, parts=(b"chunk",)),)


def a_vector_before_all_keys(frame: m.Frame) -> Sequence[m.Frame]:
    head = Head(spec_hash=b"s" * 32, u2_hash=b"u" * 32, party=LIAR, chunk_root=b"r" * 32, length=4)
    return (by_liar(Head.domain, head, frame),)


ADVERTS = {
    a_second_key: "a second, different one",
    a_key_for_another_job: "one for another setup",
    a_key_without_strength: "low order",
    a_key_with_chunks: "something else",
    a_vector_before_all_keys: "something else",
}


@pytest.mark.parametrize(("lie", "got"), ADVERTS.items(), ids=lambda it: getattr(it, "__name__", ""))
def test_a_false_key_ends_the_job_with_its_name(lie: Callable[[m.Frame], Sequence[m.Frame]], got: str) -> None:
    stage, job_hash = played(Liar(Advert.domain, lie))
    assert_aborted_by_name(stage, job_hash, got)


def test_a_key_that_another_party_showed_first_ends_the_job_with_the_name_of_the_copy() -> None:
    shown: list[m.Frame] = []

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, frame.signed.domain, frame.round_index) != ("in", Advert.domain, 0):
            return (frame,)
        if party == "guangdong":
            shown.append(frame)
        if party != LIAR:
            return (frame,)
        return (by_liar(Advert.domain, replace(advert_in(frame), mask_pk=advert_in(shown[0]).mask_pk), frame),)

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
    plain = aggregator._again

    def lenient(received: tuple[object, ...], parcel: object) -> bool:
        try:
            return plain(received, parcel)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - the planted fault
            return True

    monkeypatch.setattr(aggregator, "_again", lenient)
    stage, job_hash = played(Liar(Head.domain, a_second_vector))
    assert stage.state(job_hash) is State.RELEASED


def test_a_vector_of_a_round_that_is_closed_changes_nothing() -> None:
    kept: list[m.Frame] = []

    def link(way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        if (way, party, frame.signed.domain) != ("in", LIAR, Head.domain):
            return (frame,)
        kept.append(other_vector(frame))
        return (kept[0], frame) if frame.round_index == 1 else (frame,)

    stage = Stage(link=link)
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)


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
    value = replace(head_in(frame), party="macao")
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


def flood(frame: m.Frame) -> Sequence[m.Frame]:
    """Its key, and twelve different ones for the next round, before anybody else has one."""
    adverts = (replace(advert_in(frame), mask_pk=bytes([9 + i]) + bytes(31)) for i in range(12))
    return [frame, *(replace(by_liar(Advert.domain, advert, frame), round_index=1) for advert in adverts)]


def test_messages_for_later_rounds_are_bounded_by_party_and_blamed_on_the_one_who_sends_them() -> None:
    stage, job_hash = played(Liar(Advert.domain, flood))
    assert_aborted_by_name(stage, job_hash, "one of a later round")


def test_in_one_heap_for_all_an_honest_partys_key_would_be_the_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the bound is on the heap, and whoever comes when it is full is blamed."""
    blamed: set[str] = set()

    def one_heap(self: Run, message: Opened[object], frame: m.Frame) -> None:
        if len(self._early) >= 10:
            blamed.add(message.sender)
        else:
            self._early.append((message, frame))

    monkeypatch.setattr(Run, "_keep", one_heap)
    stage = Stage(link=Liar(Advert.domain, flood))
    begun(stage)
    ends = [*(("out", party) for party in THREE), ("in", LIAR), ("in", "guangdong")]
    for end in ends:  # macao has not judged yet, so that every key is early
        while end in stage.pending():
            stage.deliver(*end)
    assert "guangdong" in blamed


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
