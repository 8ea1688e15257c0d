"""Long vectors in Z_2^64: a party gets the total and every root, and adds up chunks that it draws by itself.

Weaker than adding up everything, and by how much is measured: who alters a fraction f of the chunks stays unseen by one
party with (1 - f)^SAMPLES.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import CHUNK_BYTES
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Contribute, Delivered, Parcel, Received, Send
from federation.protocols.masked_sum import checking
from federation.protocols.masked_sum.messages import Challenge, Head, Opening
from federation.protocols.setup import Check
from tests.protocols.cohort import COORDINATOR, Cohort, attested, names, sent

CHUNKS = 6
LENGTH = CHUNKS * CHUNK_BYTES // 8 - 5  # the last chunk is shorter


def vector(number: int) -> bytes:
    """One party's words: every byte is `number`."""
    return bytes([number]) * (8 * LENGTH)


def long_sum(n: int = 3, lost: str = "") -> Cohort:
    """A cohort whose total is open at the aggregator, and about to be delivered."""
    cohort = Cohort(n, LENGTH, check=Check.SAMPLE, ring="z2^64")
    cohort.shared()
    for i, party in enumerate(names(n)):
        if party != lost:
            machine = cohort.parties[party]
            contribution = Contribute(spec=cohort.spec, vector=vector(i + 1), number=7)
            cohort.receive(Received(parcel=sent(machine.give(contribution))))
    if lost:
        cohort.late()
    there = [party for party in names(n) if party != lost]
    for _ in range(2):
        cohort.exchange(*there)
    return cohort


@pytest.fixture(scope="module")
def opened() -> Cohort:
    return long_sum()


def asked(cohort: Cohort, party: str = "p0") -> Challenge:
    """Deliver the opening to a party; what it asks."""
    (question,) = cohort.deliver(party)
    assert isinstance(question.message.value, Challenge)
    return question.message.value


def test_a_long_sum_in_words_of_64_bits_is_exact_and_everybody_looked_at_samples_of_it(opened: Cohort) -> None:
    cohort = opened.branch()
    for _ in range(2):
        cohort.exchange()
    for machine in (*cohort.parties.values(), cohort.aggregator):
        (release,) = machine.released
        assert release.total == vector(1 + 2 + 3)
        assert machine.state.ended
    places = [
        effect.message.places
        for machine in cohort.parties.values()
        for effect in machine.effects
        if isinstance(effect, Send) and isinstance(effect.message, Challenge)
    ]
    assert len(places) == 3
    assert all(len(drawn) == len(set(drawn)) == checking.SAMPLES for drawn in places)
    assert len(set(places)) > 1, "nobody draws for another"


def test_a_long_sum_that_lost_a_party_is_exact_too() -> None:
    cohort = long_sum(4, lost="p2")
    for _ in range(2):
        cohort.exchange("p0", "p1", "p3")
    for party in ("p0", "p1", "p3"):
        (release,) = cohort.parties[party].released
        assert (release.total, release.parties) == (vector(1 + 2 + 4), ("p0", "p1", "p3"))


def test_nobody_but_the_party_can_know_what_it_draws(opened: Cohort) -> None:
    lot, root = b"l" * 32, b"r" * 32
    drawn = checking.drawn(lot, root, 1000)
    assert drawn == checking.drawn(lot, root, 1000), "a restart draws the same"
    assert drawn != checking.drawn(b"m" * 32, root, 1000)
    assert drawn != checking.drawn(lot, b"s" * 32, 1000), "drawn after the total was said"
    counts = [0] * 50
    for turn in range(500):
        for place in checking.drawn(turn.to_bytes(32, "big"), root, 50):
            counts[place] += 1
    assert min(counts) > 15
    assert max(counts) < 75
    assert [checking.drawn(lot, root, chunks) for chunks in range(1, 5)] == [tuple(range(i)) for i in range(1, 5)]
    assert asked(opened.branch()).places == tuple(sorted(asked(opened.branch()).places))


def told(cohort: Cohort, change: dict[int, bytes]) -> Cohort:
    """The relay says another total, with some chunks changed, and signs a sound opening of it."""
    cohort = cohort.branch()
    *heads, said = cohort.inbox["p0"][-1]
    chunks = tuple(change.get(place, chunk) for place, chunk in enumerate(said.chunks))
    value = said.message.value
    assert isinstance(value, Opening)
    root = merkle.root([chunk_hash(chunk) for chunk in chunks])
    false = Parcel(message=attested(replace(value, total_root=root)), chunks=chunks)
    cohort.inbox["p0"][-1] = (*heads, false)
    return cohort


def answered(cohort: Cohort, places: tuple[int, ...]) -> tuple[Parcel, ...]:
    """The true chunks that a party asks for, as an honest aggregator gives them."""
    question = Challenge(spec_hash=cohort.spec.hash, u3_hash=u3_of(cohort), party="p0", places=places)
    aggregator = cohort.aggregator.branch()
    (effect,) = aggregator.give(Received(parcel=Parcel(message=attested(question))))
    return effect.parcels  # type: ignore[union-attr]


def u3_of(cohort: Cohort) -> bytes:
    return cohort.aggregator.state.u3_hash  # type: ignore[attr-defined,no-any-return]


def test_who_alters_one_chunk_is_caught_exactly_where_it_was_drawn(opened: Cohort) -> None:
    caught = 0
    for place in range(CHUNKS):
        size = opened.spec.chunks[place]
        cohort = told(opened, {place: bytes(size)})
        drawn = asked(cohort).places
        samples = Delivered(parcels=answered(opened, drawn))
        if place in drawn:
            caught += 1
            with pytest.raises(ProtocolViolation, match="another total") as found:
                cohort.parties["p0"].give(samples)
            assert found.value.party == COORDINATOR
            assert not cohort.parties["p0"].released
        else:
            cohort.parties["p0"].give(samples)
            assert cohort.parties["p0"].released, "that is what a sample does not see"
    assert 0 < caught < CHUNKS


def test_who_alters_every_chunk_is_caught_by_everybody(opened: Cohort) -> None:
    cohort = told(opened, {place: bytes(size) for place, size in enumerate(opened.spec.chunks)})
    drawn = asked(cohort).places
    with pytest.raises(ProtocolViolation, match="another total"):
        cohort.parties["p0"].give(Delivered(parcels=answered(opened, drawn)))


def test_the_planted_fault_of_a_total_that_nobody_looks_at_is_caught(
    opened: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "SAMPLES", 0)
    monkeypatch.setattr(checking, "drawn", lambda *_: ())
    with pytest.raises(pytest.fail.Exception):
        test_who_alters_every_chunk_is_caught_by_everybody(opened)


def test_chunks_that_fit_the_false_total_do_not_fit_the_signed_roots(opened: Cohort) -> None:
    """The relay makes up chunks of p1 so that the false total adds up: they are not under p1's root."""
    place = asked(told(opened, {0: bytes(CHUNK_BYTES)})).places[0]
    cohort = told(opened, {place: bytes(opened.spec.chunks[place])})
    parcels = list(answered(opened, asked(cohort).places))
    parcels[1] = replace(parcels[1], chunks=(bytes(opened.spec.chunks[place]), *parcels[1].chunks[1:]))
    with pytest.raises(ProtocolViolation, match="under p1's signed root") as caught:
        cohort.parties["p0"].give(Delivered(parcels=tuple(parcels)))
    assert caught.value.party == COORDINATOR


def test_a_party_whose_chunks_are_not_under_its_root_is_found_when_somebody_draws() -> None:
    """p3 signs a root of something else, and says nothing more; the others are enough."""
    cohort = Cohort(4, LENGTH, check=Check.SAMPLE, ring="z2^64")
    cohort.shared()
    for i, party in enumerate(names(4)):
        head = sent(cohort.parties[party].give(Contribute(spec=cohort.spec, vector=vector(i + 1))))
        value = head.message.value
        assert isinstance(value, Head)
        if party == "p3":
            head = replace(head, message=attested(replace(value, chunk_root=b"x" * 32)))
        cohort.receive(Received(parcel=head))
    for _ in range(2):
        cohort.exchange("p0", "p1", "p2")
    assert type(cohort.aggregator.state).__name__ == "Finished"
    (question,) = cohort.deliver("p0")
    with pytest.raises(ProtocolViolation, match="got other bytes") as caught:
        cohort.receive(Received(parcel=question))
    assert caught.value.party == "p3"
    assert not cohort.parties["p0"].released


def test_a_party_whose_chunks_have_other_sizes_under_its_root_is_found_by_whoever_draws(opened: Cohort) -> None:
    """It colludes with the relay, which forwards what it signed: a short chunk, soundly rooted."""
    cohort = opened.branch()
    machine = cohort.parties["p0"]
    short = [chunk_of(cohort, "p1", place) for place in range(CHUNKS)]
    short = [chunk[:-8] for chunk in short]
    leaves = [chunk_hash(chunk) for chunk in short]
    places = asked(cohort).places
    state = machine.state
    heads = tuple(
        replace(head, chunk_root=merkle.root(leaves)) if head.party == "p1" else head
        for head in state.known.heads  # type: ignore[attr-defined]
    )
    machine.state = replace(state, known=replace(state.known, heads=heads))  # type: ignore[type-var,attr-defined]
    parcels = list(answered(opened, places))
    chunks = [piece for place in places for piece in (short[place], *merkle.inclusion(leaves, place))]
    parcels[1] = replace(parcels[1], chunks=tuple(chunks))
    with pytest.raises(ProtocolViolation, match="got other bytes"):
        machine.give(Delivered(parcels=tuple(parcels)))


def chunk_of(cohort: Cohort, party: str, place: int) -> bytes:
    """A chunk of a masked vector, as the aggregator has it."""
    heads = cohort.aggregator.state.heads  # type: ignore[attr-defined]
    return bytes(heads[party].chunks[place])


def test_an_opening_of_a_long_total_comes_without_anybody_s_vector(opened: Cohort) -> None:
    cohort = opened.branch()
    *heads, said = cohort.inbox["p0"][-1]
    loaded = (replace(heads[0], chunks=(b"x",)), *heads[1:], said)
    with pytest.raises(ProtocolViolation, match="expected heads without chunks") as caught:
        cohort.parties["p0"].give(Delivered(parcels=loaded))
    assert caught.value.party == COORDINATOR


def test_a_total_of_other_sizes_or_under_another_root_is_not_taken(opened: Cohort) -> None:
    *heads, said = opened.inbox["p0"][-1]
    for chunks in (
        said.chunks[1:],
        (said.chunks[0][:-8], *said.chunks[1:]),
        (*said.chunks[:-1], bytes(len(said.chunks[-1]))),
    ):
        cohort = opened.branch()
        with pytest.raises(ProtocolViolation) as caught:
            cohort.parties["p0"].give(Delivered(parcels=(*heads, replace(said, chunks=chunks))))
        assert caught.value.party == COORDINATOR
        assert not cohort.parties["p0"].released


def test_more_chunks_than_were_drawn_are_refused(opened: Cohort) -> None:
    cohort = opened.branch()
    parcels = list(answered(opened, asked(cohort).places))
    parcels[0] = replace(parcels[0], chunks=(*parcels[0].chunks, b"more"))
    with pytest.raises(ProtocolViolation, match="more than these"):
        cohort.parties["p0"].give(Delivered(parcels=tuple(parcels)))
