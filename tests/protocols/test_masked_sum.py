"""The masked sum of honest parties is exact, counts everybody once, and comes back from its events bit by bit."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto import ring
from federation.domain.job import Blame
from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols.machine import fold
from federation.protocols.masked_sum import MaskedSum, masks
from federation.protocols.masked_sum.messages import Head
from federation.protocols.secure_sum import (
    CHUNK_BYTES,
    Abort,
    Aborted,
    Awaits,
    Begin,
    Contribute,
    DeadlinePassed,
    Delivered,
    Opened,
    Received,
    Release,
    SpecKnown,
    Stopped,
    chunk_sizes,
)
from tests.protocols.cohort import COORDINATOR, Cohort, Machine, attested, entropy, names, setup_of, spec_of

EDGES = (0, 1, -1, 2**64 - 1, -(2**64), 2**126, -(2**126), 2**127 - 1, -(2**127))
numbers = st.one_of(st.sampled_from(EDGES), st.integers(-(2**127), 2**127 - 1), st.integers(-(10**6), 10**6))


def wrapped(number: int) -> int:
    """The number as two's complement of 128 bits has it."""
    return (number + 2**127) % 2**128 - 2**127


@pytest.mark.parametrize("n", range(3, 11))
def test_the_sum_equals_that_of_integers_for_every_number_of_parties(n: int) -> None:
    @settings(max_examples=12)
    @given(
        rows=st.integers(1, 5).flatmap(
            lambda d: st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=n, max_size=n)
        )
    )
    def exact(rows: list[list[int]]) -> None:
        vectors = dict(zip(names(n), rows, strict=True))
        assert Cohort(n, len(rows[0])).total(vectors) == [wrapped(sum(column)) for column in zip(*rows, strict=True)]

    exact()


@pytest.mark.parametrize("length", [CHUNK_BYTES // 16 - 1, CHUNK_BYTES // 16, CHUNK_BYTES // 16 + 1, 40_000])
def test_a_vector_of_several_chunks_sums_exactly(length: int) -> None:
    vectors = {p: [(i * 7919 - 2**63) * (k + 1) for i in range(length)] for k, p in enumerate(names(3))}
    cohort = Cohort(3, length)
    assert cohort.total(vectors) == [sum(column) for column in zip(*vectors.values(), strict=True)]
    heads = [effect for effect in cohort.parties["p0"].effects if getattr(effect, "chunks", ())]
    assert tuple(map(len, heads[0].chunks)) == chunk_sizes(length)  # type: ignore[union-attr]


def counted(n: int) -> list[int]:
    """Who was counted how often: party i contributes 16^i, so digit i of the total is how often it was."""
    (total,) = Cohort(n).total({p: [16**i] for i, p in enumerate(names(n))})
    return [(total >> (4 * i)) % 16 for i in range(n)]


@pytest.mark.parametrize("n", range(3, 11))
def test_every_party_is_counted_exactly_once(n: int) -> None:
    assert counted(n) == [1] * n


@pytest.mark.parametrize("times", [0, 2])
def test_the_planted_fault_of_a_party_dropped_or_doubled_is_caught(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = masks.summed

    def faulty(vectors: Mapping[str, tuple[bytes, ...]]) -> bytes:
        others = {p: chunks for p, chunks in vectors.items() if p != "p1"}
        return honest(others | {f"p1 {i}": vectors["p1"] for i in range(times)})

    monkeypatch.setattr(masks, "summed", faulty)
    assert counted(3) != [1] * 3


def test_the_planted_fault_of_a_mask_with_one_sign_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "subtract_into", ring.add_into)
    assert counted(3) != [1] * 3


# --- recovery --------------------------------------------------------------------------------------------------------


def test_a_fold_over_the_events_gives_the_same_state_and_the_same_bytes_at_every_point() -> None:
    cohort = Cohort(3, 2)
    cohort.total({p: [1, -2] for p in names(3)})
    for machine in (*cohort.parties.values(), cohort.aggregator):
        live = Machine(state=machine.start, party=machine.party)
        for upto, event in enumerate(machine.events, 1):
            live.give(event)
            again = fold(machine.step, machine.start, machine.events[:upto])
            assert again.state == live.state
            assert list(again.effects) == live.effects
        assert live.state == machine.state


def test_the_planted_fault_of_a_mask_key_made_anew_on_resume_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    made, calls = masks.mask_keys, count()
    monkeypatch.setattr(masks, "mask_keys", lambda _, setup: made(next(calls).to_bytes(32, "big"), setup))
    with pytest.raises(AssertionError):
        test_a_fold_over_the_events_gives_the_same_state_and_the_same_bytes_at_every_point()


def test_states_that_differ_are_not_equal() -> None:
    one, other = Cohort(3), Cohort(3)
    one.begin("p0")
    other.begin("p0", salt="other")
    assert one.parties["p0"].state != other.parties["p0"].state


def bytes_in(value: object) -> Iterator[bytes]:
    """Every byte string that a state holds, however deep."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from bytes_in(item)
    elif dataclasses.is_dataclass(value):
        for item in dataclasses.fields(value):
            yield from bytes_in(getattr(value, item.name))


def test_the_mask_key_and_the_numbers_leave_the_state_with_masking() -> None:
    cohort = Cohort(3)
    cohort.rostered()
    private, _ = masks.mask_keys(entropy("p0"), cohort.setup)
    assert private in set(bytes_in(cohort.parties["p0"].state))
    vector = Contribute.of(cohort.spec, [123_456_789]).vector
    cohort.contribute("p0", [123_456_789])
    held = set(bytes_in(cohort.parties["p0"].state))
    assert not held & {private, entropy("p0"), vector}


def test_the_mask_key_leaves_the_state_when_the_sum_stops() -> None:
    cohort = Cohort(3)
    cohort.begin("p0")
    blames = (Blame(party="p1", code="refused", message="p1 refused"),)
    assert cohort.parties["p0"].give(Stopped(blames=blames)) == (Abort(blames=blames),)
    assert not set(bytes_in(cohort.parties["p0"].state))


def test_no_secret_is_in_what_a_state_or_an_event_prints() -> None:
    cohort = Cohort(3)
    begin = Begin(setup=cohort.setup, me="p0", coordinator=COORDINATOR, entropy=entropy("p0"))
    contribution = Contribute.of(cohort.spec, [123_456_789])
    cohort.begin("p0")
    private, _ = masks.mask_keys(entropy("p0"), cohort.setup)
    printed = repr((begin, contribution, cohort.parties["p0"].state))
    assert not any(repr(secret)[2:-1] in printed for secret in (private, entropy("p0"), contribution.vector))


def test_another_setup_has_another_key_even_from_the_same_entropy() -> None:
    one, other = setup_of(3), setup_of(3, attempt=1)
    assert masks.mask_keys(entropy("p0"), one) != masks.mask_keys(entropy("p0"), other)


# --- what waits, and deadlines ---------------------------------------------------------------------------------------


def test_a_driver_sees_who_owes_what_at_every_step() -> None:
    cohort = Cohort(3)
    party, aggregator = cohort.parties["p0"], cohort.aggregator
    assert party.state.awaits == Awaits(what="begin")
    assert aggregator.state.awaits == Awaits(what="advert", of=("p0", "p1", "p2"))
    first = cohort.begin("p0")
    assert party.state.awaits == Awaits(what="adverts", of=(COORDINATOR,))
    aggregator.give(Received(parcel=first))
    assert aggregator.state.awaits == Awaits(what="advert", of=("p1", "p2"))
    for p in ("p1", "p2"):
        effects = aggregator.give(Received(parcel=cohort.begin(p)))
    assert aggregator.state.awaits == Awaits(what="head", of=("p0", "p1", "p2"))
    party.give(Delivered(parcels=effects[0].parcels))  # type: ignore[union-attr]
    assert party.state.awaits == Awaits(what="contribution", of=("p0",))
    aggregator.give(Received(parcel=cohort.contribute("p0", [1])))
    assert party.state.awaits == Awaits(what="heads", of=(COORDINATOR,))
    assert aggregator.state.awaits == Awaits(what="head", of=("p1", "p2"))
    assert not party.state.ended


@pytest.mark.parametrize("late", ["p0", "p1", "p2"])
def test_a_deadline_names_exactly_who_is_missing(late: str) -> None:
    cohort = Cohort(3)
    cohort.rostered()
    for p in cohort.parties:
        if p != late:
            cohort.aggregator.give(Received(parcel=cohort.contribute(p, [1])))
    (abort,) = cohort.aggregator.give(DeadlinePassed())
    assert isinstance(abort, Abort)
    assert [(blame.party, blame.code) for blame in abort.blames] == [(late, "unavailable")]
    assert cohort.aggregator.state == Aborted(blames=abort.blames)
    told = next(p for p in cohort.parties if p != late)
    (heard,) = cohort.parties[told].give(DeadlinePassed(missing=(late,)))
    assert isinstance(heard, Abort)
    assert heard.blames[0].party == late
    assert COORDINATOR in heard.blames[0].message  # hearsay is called that


def test_a_party_that_hears_nothing_blames_the_coordinator() -> None:
    cohort = Cohort(3)
    cohort.begin("p0")
    (abort,) = cohort.parties["p0"].give(DeadlinePassed())
    assert isinstance(abort, Abort)
    assert [blame.party for blame in abort.blames] == [COORDINATOR]


def test_nothing_leaves_the_end() -> None:
    cohort = Cohort(3)
    cohort.total({p: [1] for p in names(3)})
    done = cohort.parties["p0"].state
    assert cohort.parties["p0"].give(DeadlinePassed(missing=("p1",))) == ()
    assert cohort.parties["p0"].give(Stopped(blames=())) == ()
    assert cohort.parties["p0"].state == done
    with pytest.raises(ProtocolViolation, match="expected nothing, got Contribute in state Done"):
        cohort.contribute("p0", [2])
    finished = cohort.aggregator.state
    assert cohort.aggregator.give(DeadlinePassed()) == cohort.aggregator.give(Stopped(blames=())) == ()
    assert cohort.aggregator.state == finished


def test_what_arrives_after_an_abort_is_ignored() -> None:
    cohort = Cohort(3)
    bundle = cohort.adverts()
    blames = (Blame(party="p1", code="refused", message="p1 refused"),)
    arrivals = ((cohort.aggregator, Received(parcel=bundle[0])), (cohort.parties["p0"], Delivered(parcels=bundle)))
    for machine, late in arrivals:
        assert machine.give(Stopped(blames=blames)) == (Abort(blames=blames),)
        for event in (late, DeadlinePassed(), Stopped(blames=())):
            assert machine.give(event) == ()
        assert machine.state == Aborted(blames=blames)
        assert machine.state.ended
        assert machine.state.awaits == Awaits()


def test_a_machine_that_has_not_begun_names_nobody_it_does_not_know() -> None:
    with pytest.raises(ProtocolViolation, match="the coordinator broke the protocol in vacant"):
        MaskedSum.aggregator_step(MaskedSum.aggregator(), DeadlinePassed())


def test_an_event_out_of_place_says_what_was_due() -> None:
    cohort = Cohort(3)
    cohort.begin("p0")
    with pytest.raises(ProtocolViolation, match="expected adverts, got Contribute in state Advertised"):
        cohort.contribute("p0", [1])
    with pytest.raises(ProtocolViolation, match="expected advert, got Opened in state Gathering"):
        cohort.aggregator.give(Opened(setup=cohort.setup, coordinator=COORDINATOR))


def test_an_aggregator_may_be_told_who_is_missing() -> None:
    cohort = Cohort(3)
    (abort,) = cohort.aggregator.give(DeadlinePassed(missing=("p2",)))
    assert isinstance(abort, Abort)
    assert [blame.party for blame in abort.blames] == ["p2"]


# --- a wrong driver --------------------------------------------------------------------------------------------------


def test_a_vector_is_masked_once() -> None:
    cohort = Cohort(3)
    cohort.rostered()
    cohort.contribute("p0", [1])
    for again in ([1], [2]):
        with pytest.raises(ProtocolViolation, match="Contribute in state Masked") as caught:
            cohort.contribute("p0", again)
        assert caught.value.party == "p0"


def test_the_driver_s_mistakes_are_misuse_and_blame_nobody() -> None:
    cohort = Cohort(3)
    other = setup_of(3, attempt=1)
    for wrong in ({"me": "p9"}, {"coordinator": "p1"}, {"entropy": b"short"}):
        begin = {"setup": cohort.setup, "me": "p0", "coordinator": COORDINATOR, "entropy": entropy("p0"), **wrong}
        with pytest.raises(Misuse):
            cohort.parties["p0"].give(Begin(**begin))  # type: ignore[arg-type]
    fresh = Machine(state=MaskedSum.aggregator())
    fresh.give(Opened(setup=cohort.setup, coordinator=COORDINATOR))
    for aggregator, spec in ((fresh, spec_of(other, 1)), (cohort.aggregator, spec_of(cohort.setup, 2))):
        with pytest.raises(Misuse, match="one spec"):
            aggregator.give(SpecKnown(spec=spec))
    assert cohort.aggregator.give(SpecKnown(spec=cohort.spec)) == ()  # the same again changes nothing
    cohort.rostered()
    for spec, vector in ((spec_of(other, 1), bytes(16)), (cohort.spec, bytes(32))):
        with pytest.raises(Misuse, match="contribution"):
            cohort.parties["p0"].give(Contribute(spec=spec, vector=vector))


def test_a_head_before_the_spec_is_the_aggregator_s_own_mistake() -> None:
    cohort = Cohort(3)
    bundle = cohort.rostered()
    aggregator = Machine(state=MaskedSum.aggregator())
    aggregator.give(Opened(setup=cohort.setup, coordinator=COORDINATOR))
    for advert in bundle:
        aggregator.give(Received(parcel=advert))
    assert aggregator.state.awaits == Awaits(what="spec", of=(COORDINATOR,))
    head = cohort.contribute("p0", [1])
    with pytest.raises(Misuse, match="SpecKnown"):
        aggregator.give(Received(parcel=head))
    aggregator.give(SpecKnown(spec=cohort.spec))
    aggregator.give(Received(parcel=head))
    assert aggregator.state.awaits.of == ("p1", "p2")


# --- what comes twice ------------------------------------------------------------------------------------------------


def test_what_comes_twice_unchanged_is_ignored_by_both_roles() -> None:
    cohort = Cohort(3)
    adverts = cohort.rostered()
    heads = cohort.heads({p: [i] for i, p in enumerate(names(3))})
    for bundle in (adverts, heads):
        for item in bundle:
            assert cohort.aggregator.give(Received(parcel=item)) == ()
    party = cohort.parties["p0"]
    assert party.give(Delivered(parcels=adverts)) == ()
    assert [type(effect) for effect in party.give(Delivered(parcels=heads))] == [Release]
    assert party.give(Delivered(parcels=tuple(reversed(heads)))) == ()
    assert party.give(Delivered(parcels=adverts)) == ()


def test_a_second_different_advert_of_one_party_is_a_violation() -> None:
    cohort = Cohort(3)
    cohort.adverts()
    other = Cohort(3)
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        cohort.aggregator.give(Received(parcel=other.begin("p1", salt="again")))
    assert (caught.value.party, caught.value.phase) == ("p1", "advert")


def test_a_second_different_vector_of_one_party_is_a_violation() -> None:
    cohort = Cohort(3)
    cohort.rostered()
    first = cohort.contribute("p1", [1])
    cohort.aggregator.give(Received(parcel=first))
    value = first.message.value
    assert isinstance(value, Head)
    chunks = (bytes(16),)
    root = merkle.root([merkle.leaf_hash(chunk) for chunk in chunks])
    second = attested(dataclasses.replace(value, chunk_root=root))
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        cohort.aggregator.give(Received(parcel=dataclasses.replace(first, message=second, chunks=chunks)))
    assert (caught.value.party, caught.value.phase) == ("p1", "head")


def test_a_violation_leaves_the_state_as_it_was() -> None:
    cohort = Cohort(3)
    bundle = cohort.adverts()
    before = cohort.parties["p0"].state
    with pytest.raises(ProtocolViolation):
        cohort.parties["p0"].give(Delivered(parcels=bundle[1:]))
    assert cohort.parties["p0"].state == before
    cohort.parties["p0"].give(Delivered(parcels=bundle))


def test_the_chunk_root_is_signed_over_the_chunks_that_are_sent() -> None:
    cohort = Cohort(3, 20_000)
    cohort.rostered()
    head = cohort.contribute("p0", list(range(20_000)))
    value = head.message.value
    assert isinstance(value, Head)
    leaves = [hashlib.sha256(b"\x00" + chunk).digest() for chunk in head.chunks]
    assert value.chunk_root == hashlib.sha256(b"\x01" + b"".join(leaves)).digest()
