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
from federation.crypto.chunk_hash import chunk_hash
from federation.domain.job import State
from federation.jobs import planner
from federation.ledger import merkle
from federation.protocols import bundles
from federation.protocols.events import Release
from federation.protocols.masked_sum import checks
from federation.protocols.masked_sum.messages import Consent, Opening
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.attacks.coordinator.relay import Lie, Lied, Parts, Relay, bundle_in, changed, chunks_of, place_of
from tests.coordinator.stage import (
    COORDINATOR,
    PARTIES,
    WALK,
    Stage,
    begun,
    numbers_in,
    people,
    reference,
    with_walks,
)

THREE = PARTIES[:3]


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


# --- lies about any step ---------------------------------------------------------------------------------------------


def another_query(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, round_digest=hashlib.sha256(b"sum of x where name is Chan").digest()), chunks


def chunk_too_many(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = next((i for i, parts in enumerate(chunks) if parts), 0)
    chunks[place] = (*chunks[place], b"more")
    return replace(bundle, chunk_counts=tuple(map(len, chunks))), chunks


def counts_that_do_not_fit(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, chunk_counts=tuple(2**31 for _ in chunks)), chunks


def party_left_out(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    messages = bundle.messages[:place] + bundle.messages[place + 1 :]
    counts = bundle.chunk_counts[:place] + bundle.chunk_counts[place + 1 :]
    return replace(bundle, messages=messages, chunk_counts=counts), chunks[:place] + chunks[place + 1 :]


def party_twice(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = place_of(bundle, "macao")
    messages = (bundle.messages[place], *bundle.messages)
    counts = (bundle.chunk_counts[place], *bundle.chunk_counts)
    return replace(bundle, messages=messages, chunk_counts=counts), [chunks[place], *chunks]


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
    place = place_of(bundle, "macao")
    domain = bundle.messages[place].domain
    value = replace(convert.BODIES[domain].decode(bundle.messages[place].body), party="zhuhai")  # type: ignore[type-var]
    return changed(bundle, place, signed(people()["zhuhai"], domain, value)), chunks


def other_kind_of_message(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    value = m.Attestation(party="zhuhai", job_hash=bundle.job_hash, transcript=b"t" * 32)
    return changed(bundle, 0, signed(people()["zhuhai"], m.ATTESTATION, value)), chunks


def of_a_later_round(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, round_index=bundle.round_index + 1), chunks


def of_a_later_attempt(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, attempt=bundle.attempt + 1), chunks


# --- lies about bulk bytes -------------------------------------------------------------------------------------------


def changed_chunk(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = next(i for i, parts in enumerate(chunks) if parts)
    chunks[place] = (flipped(chunks[place][0]), *chunks[place][1:])
    return bundle, chunks


def chunk_left_out(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    place = next(i for i, parts in enumerate(chunks) if parts)
    chunks[place] = chunks[place][1:]
    return replace(bundle, chunk_counts=tuple(map(len, chunks))), chunks


def swapped(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    """Of vectors the sum is the same: only the signed roots tell."""
    first, second = [i for i, parts in enumerate(chunks) if parts][:2]
    chunks[first], chunks[second] = chunks[second], chunks[first]
    return bundle, chunks


# --- lies about what was opened --------------------------------------------------------------------------------------


def forged_total(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, total_digest=hashlib.sha256(b"another total").digest()), chunks


def no_total(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, total_digest=b""), chunks


def opening_in(bundle: m.Bundle) -> Opening:
    value = convert.BODIES[Opening.domain].decode(bundle.messages[-1].body)
    assert isinstance(value, Opening)
    return value


def stating(bundle: m.Bundle, chunks: list[Parts], **changes: object) -> Lied:
    """The bundle with another opening, well signed by the coordinator."""
    value = replace(opening_in(bundle), **changes)  # type: ignore[arg-type]
    return changed(bundle, len(chunks) - 1, signed(people()[COORDINATOR], Opening.domain, value)), chunks


def another_seed(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    first, *rest = opening_in(bundle).seeds
    return stating(bundle, chunks, seeds=(flipped(first), *rest))


def swapped_seeds(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    first, second, *rest = opening_in(bundle).seeds
    return stating(bundle, chunks, seeds=(second, first, *rest))


def a_seed_too_few(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return stating(bundle, chunks, seeds=opening_in(bundle).seeds[1:])


def a_key_of_somebody_who_is_counted(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return stating(bundle, chunks, keys=(b"k" * 32,))


def an_opening_of_another_list(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return stating(bundle, chunks, u3_hash=b"u" * 32)


def another_total(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return stating(bundle, chunks, total_root=merkle.root([chunk_hash(b"another total")]))


def opening_left_out(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    return replace(bundle, messages=bundle.messages[:-1], chunk_counts=bundle.chunk_counts[:-1]), chunks[:-1]


def opening_twice(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    messages, counts = (*bundle.messages, bundle.messages[-1]), (*bundle.chunk_counts, 0)
    return replace(bundle, messages=messages, chunk_counts=counts), [*chunks, ()]


def one_more(bundle: m.Bundle, chunks: list[Parts]) -> tuple[bytes, list[Parts]]:
    """What the first total becomes when 1 is added to a masked number of macao's, and the chunks that make it."""
    place = place_of(bundle, "macao")
    numbers = numbers_in(chunks[place][0])
    chunks[place] = (ring.to_bytes(ring.from_ints([numbers[0] + 1, *numbers[1:]])),)
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    count, *others = reference(stage, stage.job(WALK))[0]
    return ring.to_bytes(ring.from_ints([count + 1, *others])), chunks


def changed_chunk_and_the_root_that_follows(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    total, chunks = one_more(bundle, chunks)
    return stating(bundle, chunks, total_root=merkle.root([chunk_hash(total)]))


def changed_chunk_and_the_total_that_follows(bundle: m.Bundle, chunks: list[Parts]) -> Lied:
    """The clever one: it says everywhere the total that its change makes."""
    total, chunks = one_more(bundle, chunks)
    bundle, chunks = stating(bundle, chunks, total_root=merkle.root([chunk_hash(total)]))
    return replace(bundle, total_digest=Release.of(total, ()).digest), chunks


def named(*lies: Lie) -> dict[str, Lie]:
    return {lie.__name__: lie for lie in lies}


ANYWHERE = named(
    another_query,
    chunk_too_many,
    counts_that_do_not_fit,
    party_left_out,
    party_twice,
    nobody,
    signature_removed,
    word_changed_under_the_signature,
    signed_by_itself,
    outsider_in_its_place,
    other_kind_of_message,
    of_a_later_round,
    of_a_later_attempt,
)
IN_BULK = named(changed_chunk, chunk_left_out, swapped)
IN_OPENINGS = named(
    forged_total,
    no_total,
    another_seed,
    swapped_seeds,
    a_seed_too_few,
    a_key_of_somebody_who_is_counted,
    an_opening_of_another_list,
    another_total,
    opening_left_out,
    opening_twice,
    changed_chunk_and_the_root_that_follows,
    changed_chunk_and_the_total_that_follows,
)
LIES = {
    "adverts": ANYWHERE,
    "shares": ANYWHERE | IN_BULK,
    "heads": {name: lie for name, lie in ANYWHERE.items() if lie is not chunk_too_many},
    "consents": ANYWHERE,
    "opening": ANYWHERE | IN_BULK | IN_OPENINGS,
}
# Signatures for which another one of the same party stands (ADR 0019): macao dealt shares among these very adverts, and
# consented to these very heads. So a lie about the signature alone changes nothing, and one about the word is macao's
# to find: the others ask what it dealt.
STOOD_FOR = [("adverts", "signature_removed"), ("heads", "signature_removed"), ("opening", "signature_removed")]
FOUND_BY_ITS_PARTY = ("adverts", "word_changed_under_the_signature")
ALL = [
    (step, name) for step, lies in LIES.items() for name in lies if (step, name) not in (*STOOD_FOR, FOUND_BY_ITS_PARTY)
]


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


@pytest.mark.parametrize(("step", "lie"), ALL)
def test_a_lie_about_any_step_is_named_by_every_party_before_the_next_query_runs(step: str, lie: str) -> None:
    stage, job_hash = walked(Relay(LIES[step][lie], step=step))
    assert_named_by_everybody(stage, job_hash, engine_calls=0 if step in ("adverts", "shares") else 1)


@pytest.mark.parametrize(("step", "lie"), STOOD_FOR)
def test_a_lie_about_a_signature_for_which_another_stands_changes_nothing(step: str, lie: str) -> None:
    stage, job_hash = walked(Relay(LIES[step][lie], step=step))
    assert stage.state(job_hash) is State.RELEASED
    assert stage.totals(job_hash)[0][1] == 10_101
    assert not stage.objections()
    assert not stage.violations


def test_an_advert_that_is_not_its_partys_is_named_by_that_party_and_nothing_is_masked() -> None:
    step, lie = FOUND_BY_ITS_PARTY
    stage, job_hash = walked(Relay(LIES[step][lie], step=step))
    assert {party: o.blame.party for party, o in stage.objections().items()} == {"macao": COORDINATOR}
    assert stage.state(job_hash) is State.ABORTED  # whomever the coordinator itself names
    assert {len(engine.calls) for engine in stage.engines.values()} == {0}


@pytest.mark.parametrize(
    ("step", "lie"),
    [
        ("shares", changed_chunk),
        ("heads", another_query),
        ("heads", party_left_out),
        ("consents", party_left_out),
        ("opening", changed_chunk),
        ("opening", forged_total),
        ("opening", another_seed),
    ],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_a_lie_in_a_later_round_is_named_before_the_next_query_runs(step: str, lie: Lie) -> None:
    stage, job_hash = walked(Relay(lie, step=step, round_index=1))
    assert_named_by_everybody(stage, job_hash, engine_calls=1 if step == "shares" else 2)


def test_a_lie_to_one_party_is_named_by_that_party_and_stops_the_job_for_all() -> None:
    stage, job_hash = walked(Relay(forged_total, step="opening", victims=("hongkong",)))
    assert {party: o.blame.party for party, o in stage.objections().items()} == {"hongkong": COORDINATOR}
    assert stage.state(job_hash) is State.ABORTED
    assert max(len(engine.calls) for engine in stage.engines.values()) <= 2, "the others may have begun the next round"


def test_without_lies_the_same_job_is_exact() -> None:
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    stage.settle()
    assert stage.totals(job_hash)[0][1] == 10_101
    assert {len(engine.calls) for engine in stage.engines.values()} == {3}
    assert stage.state(job_hash) is State.RELEASED
    assert not stage.violations


def test_chunks_beside_heads_that_have_none_change_nothing() -> None:
    """The vectors come with the opening; what is beside the heads before is looked at by nobody."""
    stage, job_hash = walked(Relay(chunk_too_many))
    assert stage.state(job_hash) is State.RELEASED
    assert stage.totals(job_hash)[0][1] == 10_101


# --- the faults that these tests catch -------------------------------------------------------------------------------


def believes_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the coordinator says of queries and totals is not compared."""
    monkeypatch.setattr(Run, "_expect", lambda *_: None)


def believes_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are not compared with their signed root."""
    monkeypatch.setattr(checks, "vector", lambda *_args, **_options: ())


def believes_both(monkeypatch: pytest.MonkeyPatch) -> None:
    believes_the_total(monkeypatch)
    believes_the_chunks(monkeypatch)


@pytest.mark.parametrize(
    ("fault", "lie"),
    [
        (believes_the_total, another_query),
        (believes_the_total, forged_total),
        (believes_the_chunks, swapped),
        (believes_the_chunks, changed_chunk_and_the_total_that_follows),
        (believes_both, changed_chunk_and_the_root_that_follows),
    ],
    ids=lambda it: it.__name__,
)
def test_a_party_that_believes_would_go_on_to_the_next_query(
    fault: Callable[[pytest.MonkeyPatch], None], lie: Lie, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    stage, _ = walked(Relay(lie, step="opening"))
    assert not stage.objections()
    assert min(len(engine.calls) for engine in stage.engines.values()) >= 2


@pytest.mark.parametrize("lie", [changed_chunk, changed_chunk_and_the_root_that_follows], ids=lambda lie: lie.__name__)
def test_totals_are_compared_also_where_chunks_are_believed(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three walls: a changed chunk fails at the total's root, and with a root that follows at its digest."""
    believes_the_chunks(monkeypatch)
    stage, job_hash = walked(Relay(lie, step="opening"))
    assert {o.blame.party for o in stage.objections().values()} == {COORDINATOR}
    assert stage.state(job_hash) is State.ABORTED


def test_a_party_that_believes_any_list_would_consent_to_a_sum_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: who is in a bundle is not compared with the parties of the job."""
    monkeypatch.setattr(
        bundles, "one_each", lambda _setup, parcels, _relay, _phase, _least: {p.message.sender: p for p in parcels}
    )
    stage, _ = walked(Relay(party_left_out))
    assert not stage.objections()
    assert {party for party, domain, *_ in stage.sent if domain == Consent.domain} == set(THREE)


# --- replays ---------------------------------------------------------------------------------------------------------


def test_an_earlier_rounds_bundle_under_the_number_of_this_one_is_named() -> None:
    relay = Relay(lambda bundle, chunks: (bundle, chunks), round_index=1)

    def replayed(bundle: m.Bundle, _: list[Parts]) -> Lied:
        earlier = relay.seen[0, "heads", "macao"]
        old = bundle_in(earlier)
        assert old is not None
        return replace(old, round_index=1, round_digest=bundle.round_digest), chunks_of(old, earlier)

    relay.lie = replayed
    stage, job_hash = walked(relay)
    assert_named_by_everybody(stage, job_hash, engine_calls=2)


def test_an_earlier_rounds_bundle_as_it_was_changes_nothing_and_the_job_goes_on() -> None:
    """It is what a party gets that attends again; the bundle that is due comes after it."""
    frames: dict[str, list[m.Frame]] = {party: [] for party in THREE}

    def link(way: str, party: str, frame: m.Frame) -> list[m.Frame]:
        if way == "out" and frame.signed.domain == m.BUNDLE:
            frames[party].append(frame)
            return list(frames[party])
        return [frame]

    stage = Stage(k=1, own_figures=True, link=link)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    assert {len(engine.calls) for engine in stage.engines.values()} == {3}
    assert not stage.violations
    assert not stage.stories()


def bundles_of_another_job(stage: Stage) -> dict[tuple[int, str, str], m.Frame]:
    relay = Relay(lambda bundle, chunks: (bundle, chunks), round_index=99)
    stage.link = relay
    job_hash = stage.submit(stage.job(WALK, token=b"o" * 16))
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    return relay.seen


@pytest.mark.parametrize("step", LIES)
def test_a_bundle_of_another_job_under_the_name_of_this_one_is_named(step: str) -> None:
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    stage.settle()
    frame = bundles_of_another_job(stage)[0, step, "macao"]
    old = bundle_in(frame)
    assert old is not None
    before = [len(engine.calls) for engine in stage.engines.values()]
    relay = Relay(lambda bundle, _: (replace(old, job_hash=bundle.job_hash), chunks_of(old, frame)), step=step)
    stage.link = relay
    job_hash = stage.submit(stage.job(WALK))
    stage.settle()
    assert {party: o.blame.party for party, o in stage.objections().items()} == dict.fromkeys(THREE, COORDINATOR)
    ran = [len(engine.calls) - b for engine, b in zip(stage.engines.values(), before, strict=True)]
    assert set(ran) == {int(step not in ("adverts", "shares"))}
    assert stage.state(job_hash) is State.ABORTED


def test_a_bundle_of_a_job_that_is_over_closes_the_line_and_the_job_that_runs_goes_on() -> None:
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    stage.settle()
    old = bundles_of_another_job(stage)[0, "heads", "macao"]
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
    relay = Relay(forged_total, step="opening")
    stage = Stage(k=1, own_figures=True, link=relay)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WALK))
    while not stage.objections():
        stage.deliver(*stage.pending()[0])
    ((party, _),) = stage.objections().items()
    said = {body for (who, *_), bodies in stage.sent.items() if who == party for body in bodies}
    stage.kill(party)
    answers = stage.jurisdictions[party].receive(stage.coordinator._runs[job_hash]._offer)
    assert [answer.signed.domain for answer in answers] == [m.VERDICT, m.OBJECTION]
    assert {convert.frame_bytes(answer) for answer in answers} <= said
    assert stage.jurisdictions[party].receive(relay.seen[0, "opening", party]) == [], "the true bundle comes too late"
    assert len(stage.engines[party].calls) == 1
