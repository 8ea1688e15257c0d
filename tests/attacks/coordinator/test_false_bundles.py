"""A malicious coordinator changes what it forwards. Every honest party names it before another query runs.

The job walks: its second query depends on the first total, so a false total would lead every engine astray.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from clients.jurisdiction.run import Run
from federation.crypto import ring
from federation.domain.job import State
from federation.jobs import planner
from federation.protocols.masked_sum import checks
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.attacks.coordinator.relay import (
    Advert,
    Head,
    Lie,
    Parts,
    Relay,
    bundle_in,
    changed,
    chunks_of,
    place_of,
)
from tests.coordinator.stage import COORDINATOR, PARTIES, WALK, Stage, begun, people, with_walks

THREE = PARTIES[:3]
Lied = tuple[m.Bundle, list[Parts]]


@pytest.fixture(autouse=True)
def walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "replay", with_walks)


def walked(relay: Relay) -> tuple[Stage, bytes]:
    """A walking job past the lying coordinator."""
    stage = Stage(k=1, own_figures=True, link=relay)
    stage.attend()
    stage.settle()
    _, job_hash = begun(stage, stage.job(WALK))
    stage.settle()
    assert relay.lies
    return stage, job_hash


def flipped(data: bytes, place: int = 0) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# --- lies ------------------------------------------------------------------------------------------------------------


def another_query(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, round_digest=hashlib.sha256(b"sum of x where name is Chan").digest()), chunks


def forged_total(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, total_digest=hashlib.sha256(b"another total").digest()), chunks


def no_total(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, total_digest=b""), chunks


def changed_chunk(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    chunks[place] = (flipped(chunks[place][0]), *chunks[place][1:])
    return bundle, chunks


def changed_chunk_and_the_total_that_follows(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    """The clever one: it adds 1 to a masked number, and says the total that this makes."""
    place = place_of(bundle, "macao")
    numbers = ring.to_ints(ring.from_bytes(chunks[place][0]))
    chunks[place] = (ring.to_bytes(ring.from_ints([numbers[0] + 1, *numbers[1:]])),)
    total = ring.from_bytes(chunks[0][0])
    for more in chunks[1:]:
        total = ring.add(total, ring.from_bytes(more[0]))
    return replace(bundle, total_digest=hashlib.sha256(ring.to_bytes(total)).digest()), chunks


def chunk_left_out(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    chunks[place] = chunks[place][1:]
    return replace(bundle, chunk_counts=tuple(map(len, chunks))), chunks


def chunk_too_many(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    chunks[-1] = (*chunks[-1], b"more")
    return replace(bundle, chunk_counts=tuple(map(len, chunks))), chunks


def counts_that_do_not_fit(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, chunk_counts=tuple(2**31 for _ in chunks)), chunks


def swapped_vectors(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    """The sum is the same: only the signed roots tell."""
    first, second = place_of(bundle, "guangdong"), place_of(bundle, "hongkong")
    chunks[first], chunks[second] = chunks[second], chunks[first]
    return bundle, chunks


def party_left_out(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    messages = bundle.messages[:place] + bundle.messages[place + 1 :]
    counts = bundle.chunk_counts[:place] + bundle.chunk_counts[place + 1 :]
    return replace(bundle, messages=messages, chunk_counts=counts), chunks[:place] + chunks[place + 1 :]


def party_twice(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    messages = (*bundle.messages, bundle.messages[place])
    counts = (*bundle.chunk_counts, bundle.chunk_counts[place])
    return replace(bundle, messages=messages, chunk_counts=counts), [*chunks, chunks[place]]


def nobody(bundle: m.Bundle, _: list[Parts]) -> Lied:
    return replace(bundle, messages=(), chunk_counts=()), []


def signature_removed(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    return changed(bundle, place, replace(bundle.messages[place], signature=b"")), chunks


def word_changed_under_the_signature(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    message = bundle.messages[place]
    return changed(bundle, place, replace(message, body=flipped(message.body, len(message.body) - 1))), chunks


def signed_by_itself(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    body, domain = bundle.messages[place].body, bundle.messages[place].domain
    me = people()[COORDINATOR]
    return changed(bundle, place, m.Signed(body, me.member.key_id, me.sign(domain, body), domain)), chunks


def outsider_in_its_place(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    """zhuhai is a member and conspires, but is no party of this job."""
    place, zhuhai = place_of(bundle, "macao"), people()["zhuhai"]
    domain = bundle.messages[place].domain
    if domain == Advert.domain:
        value: object = Advert(setup_hash=b"s" * 32, party="zhuhai", mask_pk=b"\x09" + bytes(31))
    else:
        value = Head(spec_hash=b"s" * 32, u2_hash=b"u" * 32, party="zhuhai", chunk_root=b"r" * 32, length=9)
    return changed(bundle, place, signed(zhuhai, domain, value)), chunks


def other_kind_of_message(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    value = m.Attestation(party="zhuhai", job_hash=bundle.job_hash, transcript=b"t" * 32)
    return changed(bundle, 0, signed(people()["zhuhai"], m.ATTESTATION, value)), chunks


def of_a_later_round(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, round_index=bundle.round_index + 1), chunks


IN_HEADS: dict[str, Lie] = {
    lie.__name__: lie
    for lie in (
        another_query,
        forged_total,
        no_total,
        changed_chunk,
        changed_chunk_and_the_total_that_follows,
        chunk_left_out,
        chunk_too_many,
        counts_that_do_not_fit,
        swapped_vectors,
        party_left_out,
        party_twice,
        nobody,
        signature_removed,
        word_changed_under_the_signature,
        signed_by_itself,
        outsider_in_its_place,
        other_kind_of_message,
        of_a_later_round,
    )
}
IN_ADVERTS: dict[str, Lie] = {
    lie.__name__: lie
    for lie in (
        another_query,
        chunk_too_many,
        party_left_out,
        party_twice,
        nobody,
        signature_removed,
        word_changed_under_the_signature,
        signed_by_itself,
        outsider_in_its_place,
        other_kind_of_message,
        of_a_later_round,
    )
}


def assert_named_by_everybody(stage: Stage, job_hash: bytes, *, engine_calls: int) -> None:
    """Every honest party signed an objection that names the coordinator; no further query ran; nothing is released."""
    objections = stage.objections()
    assert {party: objection.blame.party for party, objection in objections.items()} == dict.fromkeys(
        THREE, COORDINATOR
    )
    assert all(objection.job_hash == job_hash for objection in objections.values())
    assert all(objection.blame.code == "protocol_violation" for objection in objections.values())
    assert {len(engine.calls) for engine in stage.engines.values()} == {engine_calls}
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {(COORDINATOR, "protocol_violation")}
    assert stage.coordinator.released(job_hash, "ana") == ((), ())
    assert not stage.stories()
    assert not stage.violations


@pytest.mark.parametrize("lie", IN_HEADS.values(), ids=IN_HEADS)
def test_a_lie_about_vectors_is_named_by_every_party_before_the_second_query_runs(lie: Lie) -> None:
    stage, job_hash = walked(Relay(lie))
    assert_named_by_everybody(stage, job_hash, engine_calls=1)


@pytest.mark.parametrize("lie", IN_ADVERTS.values(), ids=IN_ADVERTS)
def test_a_lie_about_keys_is_named_by_every_party_before_any_query_runs(lie: Lie) -> None:
    stage, job_hash = walked(Relay(lie, step="adverts"))
    assert_named_by_everybody(stage, job_hash, engine_calls=0)


@pytest.mark.parametrize(
    "lie", [another_query, forged_total, changed_chunk, party_left_out], ids=lambda lie: lie.__name__
)
def test_a_lie_in_a_later_round_is_named_before_the_next_query_runs(lie: Lie) -> None:
    stage, job_hash = walked(Relay(lie, round_index=1))
    assert_named_by_everybody(stage, job_hash, engine_calls=2)


def test_a_lie_to_one_party_is_named_by_that_party_and_stops_the_job_for_all() -> None:
    stage, job_hash = walked(Relay(forged_total, victims=("hongkong",)))
    assert {party: o.blame.party for party, o in stage.objections().items()} == {"hongkong": COORDINATOR}
    assert stage.state(job_hash) is State.ABORTED
    assert max(len(engine.calls) for engine in stage.engines.values()) <= 2, "the others may have begun the next round"


def test_without_lies_the_same_job_is_exact() -> None:
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    stage.settle()
    assert stage.totals(job_hash)[0][1] == 1_001_001
    assert {len(engine.calls) for engine in stage.engines.values()} == {3}
    assert stage.state(job_hash) is State.RELEASED
    assert not stage.violations


# --- the faults that these tests catch -------------------------------------------------------------------------------


def believes_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the coordinator says of queries and totals is not compared."""
    monkeypatch.setattr(Run, "_expect", lambda *_: None)


def believes_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are not compared with their signed root."""
    monkeypatch.setattr(checks, "head", lambda _spec, _binding, parcel, _relay: parcel.message.value)


def believes_both(monkeypatch: pytest.MonkeyPatch) -> None:
    believes_the_total(monkeypatch)
    believes_the_chunks(monkeypatch)


def believes_any_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is in a bundle is not compared with the parties of the job."""
    believes_both(monkeypatch)
    monkeypatch.setattr(
        checks, "one_each", lambda _setup, parcels, _relay, _phase: {p.message.sender: p for p in parcels}
    )


@pytest.mark.parametrize(
    ("fault", "lie"),
    [
        (believes_the_total, another_query),
        (believes_the_total, forged_total),
        (believes_the_chunks, swapped_vectors),
        (believes_the_chunks, changed_chunk_and_the_total_that_follows),
        (believes_both, changed_chunk),
    ],
    ids=lambda it: it.__name__,
)
def test_a_party_that_believes_would_go_on_to_the_next_query(
    fault: Callable[[pytest.MonkeyPatch], None], lie: Lie, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    stage, _ = walked(Relay(lie))
    assert not stage.objections()
    assert min(len(engine.calls) for engine in stage.engines.values()) >= 2


def test_a_party_that_believes_any_set_would_be_saved_by_its_plan_and_could_not_say_by_whom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Masks that do not cancel open noise, which no honest numbers add up to: the third wall, without a name."""
    believes_any_set(monkeypatch)
    stage, _ = walked(Relay(party_left_out))
    named = {party: objection.blame.party for party, objection in stage.objections().items()}
    assert named["guangdong"] == named["hongkong"] == "one of the parties"


def test_totals_are_compared_also_where_chunks_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two walls: a changed chunk without the right lie about the total fails at the second one."""
    believes_the_chunks(monkeypatch)
    stage, job_hash = walked(Relay(changed_chunk))
    assert {o.blame.party for o in stage.objections().values()} == {COORDINATOR}
    assert stage.state(job_hash) is State.ABORTED


# --- replays ---------------------------------------------------------------------------------------------------------


def test_an_earlier_rounds_bundle_under_the_number_of_this_one_is_named() -> None:
    relay = Relay(lambda bundle, chunks: (bundle, chunks), round_index=1)

    def replayed(bundle: m.Bundle, _: list[Parts]) -> Lied:
        earlier = relay.seen[0, "heads"]
        old = bundle_in(earlier)
        assert old is not None
        return replace(old, round_index=1, round_digest=bundle.round_digest), chunks_of(old, earlier)

    relay.lie = replayed
    stage, job_hash = walked(relay)
    assert_named_by_everybody(stage, job_hash, engine_calls=2)


def test_an_earlier_rounds_bundle_as_it_was_changes_nothing_and_the_job_goes_on() -> None:
    """It is what a party gets that attends again; the bundle that is due comes after it."""
    frames: list[m.Frame] = []

    def link(way: str, _party: str, frame: m.Frame) -> list[m.Frame]:
        if way == "out" and frame.signed.domain == m.BUNDLE:
            frames.append(frame)
            return [*frames[:-1], frame]
        return [frame]

    stage = Stage(k=1, own_figures=True, link=link)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    assert {len(engine.calls) for engine in stage.engines.values()} == {3}
    assert not stage.violations
    assert not stage.stories()


def bundles_of_another_job(stage: Stage) -> dict[tuple[int, str], m.Frame]:
    relay = Relay(lambda bundle, chunks: (bundle, chunks), round_index=99)
    stage.link = relay
    job_hash = stage.submit(stage.job(WALK, token=b"o" * 16))
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    return relay.seen


@pytest.mark.parametrize("step", ["adverts", "heads"])
def test_a_bundle_of_another_job_under_the_name_of_this_one_is_named(step: str) -> None:
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    stage.settle()
    frame = bundles_of_another_job(stage)[0, step]
    old = bundle_in(frame)
    assert old is not None
    before = [len(engine.calls) for engine in stage.engines.values()]
    relay = Relay(lambda bundle, _: (replace(old, job_hash=bundle.job_hash), chunks_of(old, frame)), step=step)
    stage.link = relay
    job_hash = stage.submit(stage.job(WALK))
    stage.settle()
    assert {party: o.blame.party for party, o in stage.objections().items()} == dict.fromkeys(THREE, COORDINATOR)
    ran = [len(engine.calls) - b for engine, b in zip(stage.engines.values(), before, strict=True)]
    assert set(ran) == {int(step == "heads")}
    assert stage.state(job_hash) is State.ABORTED


def test_a_bundle_of_a_job_that_is_over_closes_the_line_and_the_job_that_runs_goes_on() -> None:
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    stage.settle()
    old = bundles_of_another_job(stage)[0, "heads"]
    told = set()

    def link(way: str, party: str, frame: m.Frame) -> list[m.Frame]:
        if way == "out" and frame.signed.domain == m.BUNDLE and party not in told:
            told.add(party)
            return [old, frame]
        return [frame]

    stage.link = link
    job = stage.job(WALK)
    job_hash = stage.submit(job)
    stage.settle()
    assert {(who, fault.party) for who, fault in stage.violations} == {(party, COORDINATOR) for party in THREE}
    assert all("another job" in fault.got for _, fault in stage.violations)
    assert not stage.objections()
    stage.violations.clear()
    stage.come_back()
    assert stage.state(job_hash) is State.RELEASED


def test_a_bundle_that_is_no_bundle_closes_the_line_in_the_coordinators_name() -> None:
    """Nothing ties it to a job, so there is nothing to object to; at the deadline everybody is missing."""
    me = people()[COORDINATOR]

    def link(way: str, _party: str, frame: m.Frame) -> list[m.Frame]:
        if way == "out" and frame.signed.domain == m.BUNDLE:
            body = frame.signed.body[:-1]
            return [replace(frame, signed=m.Signed(body, me.member.key_id, me.sign(m.BUNDLE, body), m.BUNDLE))]
        return [frame]

    stage = Stage(k=1, own_figures=True, link=link)
    stage.attend()
    _, job_hash = begun(stage)
    stage.settle()
    assert {(who, fault.party) for who, fault in stage.violations} == {(party, COORDINATOR) for party in THREE}
    assert all(not engine.calls for engine in stage.engines.values())
    stage.expire()
    assert stage.state(job_hash) is State.ABORTED


def test_a_party_that_objected_says_the_same_after_a_restart_and_runs_no_further_query() -> None:
    relay = Relay(forged_total)
    stage = Stage(k=1, own_figures=True, link=relay)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    while not stage.objections():
        stage.deliver(*stage.pending()[0])
    ((party, _),) = stage.objections().items()
    said = {body for (who, _, _, _), bodies in stage.sent.items() if who == party for body in bodies}
    stage.kill(party)
    answers = stage.jurisdictions[party].receive(stage.coordinator._runs[job_hash]._offer)
    assert [answer.signed.domain for answer in answers] == [m.VERDICT, m.OBJECTION]
    assert {convert.frame_bytes(answer) for answer in answers} <= said
    assert stage.jurisdictions[party].receive(relay.seen[0, "heads"]) == [], "the true bundle comes too late"
    assert len(stage.engines[party].calls) == 1
