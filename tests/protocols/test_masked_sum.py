"""The masked sum of honest parties is exact, counts everybody once, and comes back from its events bit by bit."""

from __future__ import annotations

import dataclasses
import hashlib
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto import blinding
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import CHUNK_BYTES, Tally
from federation.domain.job import Blame
from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import (
    Abort,
    Begin,
    Contribute,
    DeadlinePassed,
    Delivered,
    Opened,
    Parcel,
    Received,
    Release,
    SpecKnown,
    Stopped,
)
from federation.protocols.machine import fold
from federation.protocols.masked_sum import MaskedSum, masks
from federation.protocols.masked_sum.messages import Advert, Head, Opening
from federation.protocols.secure_sum import Aborted, Awaits
from federation.protocols.setup import Check, chunk_sizes
from federation.protocols.withdrawal import Withdrawal
from tests.protocols.cohort import COORDINATOR, Cohort, Machine, attested, entropy, names, setup_of, spec_of

EDGES = (0, 1, -1, 2**64 - 1, -(2**64), 2**126, -(2**126), 2**127 - 1, -(2**127))
numbers = st.one_of(st.sampled_from(EDGES), st.integers(-(2**127), 2**127 - 1), st.integers(-(10**6), 10**6))
STOPPED = (Blame(party="p1", code="refused", message="p1 refused"),)


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
    assert tuple(map(len, heads[-1].chunks)) == chunk_sizes(length)  # type: ignore[union-attr]


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
    monkeypatch.setattr(
        masks,
        "summed",
        lambda vectors, ring, streams: honest([vectors[0], *[vectors[1]] * times, *vectors[2:]], ring, streams),
    )
    assert counted(3) != [1] * 3


def test_the_planted_fault_of_a_mask_with_one_sign_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blinding.Tally, "subtract", Tally.add)
    assert counted(3) != [1] * 3


def test_the_planted_fault_of_a_mask_of_its_own_that_stays_on_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "streams_off", lambda *_: masks.Streams())
    assert counted(3) != [1] * 3


# --- recovery --------------------------------------------------------------------------------------------------------


def come_back(cohort: Cohort) -> None:
    """Every machine's events, folded up to every point, give the state and the bytes that it had there."""
    for machine in (*cohort.parties.values(), cohort.aggregator):
        live = Machine(state=machine.start, party=machine.party)
        for upto, event in enumerate(machine.events, 1):
            live.give(event)
            again = fold(machine.step, machine.start, machine.events[:upto])
            assert again.state == live.state
            assert list(again.effects) == live.effects
        assert (live.state, live.effects) == (machine.state, machine.effects)


def test_a_fold_over_the_events_gives_the_same_state_and_the_same_bytes_at_every_point() -> None:
    cohort = Cohort(3, 2)
    cohort.total({p: [1, -2] for p in names(3)})
    come_back(cohort)


@pytest.mark.parametrize("check", Check)
def test_so_it_does_where_parties_were_lost(check: Check) -> None:
    cohort = Cohort(5, 3, check=check)
    cohort.run({p: [1, 2, 3] for p in names(5)}, {"p3": "head"})
    assert cohort.parties["p0"].released
    come_back(cohort)


def test_the_planted_fault_of_secrets_made_anew_on_resume_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    made, calls = masks.secrets_of, count()
    monkeypatch.setattr(masks, "secrets_of", lambda _, setup: made(next(calls).to_bytes(32, "big"), setup))
    cohort = Cohort(3)
    cohort.begin("p0")
    with pytest.raises(AssertionError):
        come_back(cohort)


def test_states_that_differ_are_not_equal() -> None:
    one, other = Cohort(3), Cohort(3)
    one.begin("p0")
    other.begin("p0", salt="other")
    assert one.parties["p0"].state != other.parties["p0"].state


# --- what waits, and deadlines ---------------------------------------------------------------------------------------


def test_a_driver_sees_who_owes_what_at_every_step() -> None:
    cohort = Cohort(4)  # t = 3
    party, aggregator = cohort.parties["p0"], cohort.aggregator
    all_four = names(4)

    def owed(what: str, there: int, *, enough: bool = False) -> None:
        assert aggregator.state.awaits == Awaits(what=what, of=all_four[there:], enough=enough)

    def due(what: str) -> None:
        assert party.state.awaits == Awaits(what=what, of=(COORDINATOR,))

    assert MaskedSum.aggregator().awaits == party.state.awaits == Awaits(what="begin")
    for there, p in enumerate(all_four):
        owed("advert", there, enough=there >= 3)
        cohort.receive(Received(parcel=cohort.begin(p)))
    due("adverts")
    for there, p in enumerate(all_four):
        owed("shares", there, enough=there >= 3)
        cohort.exchange(p)
    due("shares")
    assert cohort.deliver("p0") == []
    assert party.state.awaits == Awaits(what="contribution", of=("p0",))
    cohort.exchange("p1", "p2", "p3")
    for there, p in enumerate(all_four):
        owed("head", there, enough=there >= 3)
        cohort.receive(Received(parcel=cohort.contribute(p, [1])))
    due("heads")
    for there, p in enumerate(all_four[:3]):
        owed("consent", there)
        cohort.exchange(p)
    due("consents")
    for there, p in enumerate(all_four[:3]):
        owed("unmask", there)
        assert not aggregator.state.ended
        cohort.exchange(p)
    due("opening")
    assert not party.state.ended
    assert aggregator.state.ended
    assert aggregator.state.awaits == Awaits()
    cohort.exchange()
    assert party.state.ended
    assert party.state.awaits == Awaits()


def test_a_long_total_waits_for_what_was_drawn() -> None:
    cohort = Cohort(3, 2, check=Check.SAMPLE)
    cohort.shared()
    cohort.heads({p: [1, 2] for p in names(3)})
    for _ in range(2):
        cohort.exchange()
    cohort.deliver("p0")
    assert cohort.parties["p0"].state.awaits == Awaits(what="samples", of=(COORDINATOR,))
    assert not cohort.parties["p0"].released, "nothing is released before it was looked at"


@pytest.mark.parametrize("late", ["p0", "p1", "p2"])
def test_a_deadline_names_exactly_who_is_missing(late: str) -> None:
    cohort = Cohort(3)
    cohort.shared()
    for p in cohort.parties:
        if p != late:
            cohort.receive(Received(parcel=cohort.contribute(p, [1])))
    (abort,) = cohort.receive(DeadlinePassed())
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


def test_an_aggregator_that_was_never_told_what_is_summed_blames_itself() -> None:
    cohort = Cohort(3)
    aggregator = Machine(state=MaskedSum.aggregator())
    cohort.aggregator = aggregator
    cohort.receive(Opened(setup=cohort.setup, coordinator=COORDINATOR))
    cohort.shared()
    assert aggregator.state.awaits == Awaits(what="spec", of=(COORDINATOR,))
    cohort.late()
    assert [blame.party for blame in aggregator.blames] == [COORDINATOR]


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
    arrivals = ((cohort.aggregator, Received(parcel=bundle[0])), (cohort.parties["p0"], Delivered(parcels=bundle)))
    for machine, late in arrivals:
        assert machine.give(Stopped(blames=STOPPED)) == (Abort(blames=STOPPED),)
        for event in (late, DeadlinePassed(), Stopped(blames=())):
            assert machine.give(event) == ()
        assert machine.state == Aborted(blames=STOPPED)
        assert machine.state.ended
        assert machine.state.awaits == Awaits()


def test_a_machine_that_has_not_begun_names_nobody_it_does_not_know() -> None:
    with pytest.raises(ProtocolViolation, match="the coordinator broke the protocol in vacant"):
        MaskedSum.aggregator_step(MaskedSum.aggregator(), DeadlinePassed())
    with pytest.raises(ProtocolViolation, match="Delivered in state Idle") as caught:
        MaskedSum.party_step(MaskedSum.party(), Delivered(parcels=()))
    assert caught.value.party == "the coordinator"


def test_an_event_out_of_place_says_what_was_due() -> None:
    cohort = Cohort(3)
    cohort.begin("p0")
    with pytest.raises(ProtocolViolation, match="expected adverts, got Contribute in state Advertised"):
        cohort.contribute("p0", [1])
    with pytest.raises(ProtocolViolation, match="expected advert, got Opened in state Gathering"):
        cohort.aggregator.give(Opened(setup=cohort.setup, coordinator=COORDINATOR))


def test_a_message_before_its_time_names_its_sender() -> None:
    later, cohort = Cohort(3), Cohort(3)
    later.shared()
    head = later.contribute("p1", [1])
    with pytest.raises(ProtocolViolation, match="expected advert, got Head in state Gathering") as caught:
        cohort.receive(Received(parcel=head))
    assert caught.value.party == "p1"
    fresh = Machine(state=MaskedSum.aggregator())
    cohort.aggregator = fresh
    cohort.receive(Opened(setup=cohort.setup, coordinator=COORDINATOR))
    cohort.shared()
    with pytest.raises(ProtocolViolation, match="expected spec, got Head in state Collecting") as caught:
        cohort.receive(Received(parcel=head))
    assert caught.value.party == "p1"


@pytest.mark.parametrize("kind", [Withdrawal, Opening])
def test_what_is_not_for_the_machine_of_the_aggregator_is_out_of_place(kind: type) -> None:
    """Withdrawals are counted by its driver; openings it says itself."""
    cohort = Cohort(3)
    values = {"party": "p1", "seeds": (), "keys": ()}
    value = kind(**{one.name: values.get(one.name, b"x" * 32) for one in dataclasses.fields(kind)})
    with pytest.raises(ProtocolViolation, match=f"got {kind.__name__} in state Gathering") as caught:
        cohort.receive(Received(parcel=Parcel(message=attested(value, sender="p1"))))
    assert caught.value.party == "p1"


def test_nobody_draws_samples_where_everybody_gets_all() -> None:
    cohort, sampled = Cohort(3, 2), Cohort(3, 2, check=Check.SAMPLE)
    for each in (cohort, sampled):
        each.run({p: [1, 2] for p in names(3)}, {})
    (*_, asked) = [event for event in sampled.aggregator.events if isinstance(event, Received)]
    state = cohort.aggregator.state
    question = dataclasses.replace(
        asked.parcel.message.value,  # type: ignore[type-var]
        spec_hash=cohort.spec.hash,
        u3_hash=state.u3_hash,  # type: ignore[attr-defined]
    )
    with pytest.raises(ProtocolViolation, match="in samples"):
        cohort.receive(Received(parcel=Parcel(message=attested(question))))


def test_an_aggregator_may_be_told_who_is_missing() -> None:
    cohort = Cohort(3)
    (abort,) = cohort.aggregator.give(DeadlinePassed(missing=("p2",)))
    assert isinstance(abort, Abort)
    assert [blame.party for blame in abort.blames] == ["p2"]


# --- a wrong driver --------------------------------------------------------------------------------------------------


def test_a_vector_is_masked_once() -> None:
    cohort = Cohort(3)
    cohort.shared()
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
    cohort.shared()
    for spec, vector in ((spec_of(other, 1), bytes(16)), (cohort.spec, bytes(32))):
        with pytest.raises(Misuse, match="contribution"):
            cohort.parties["p0"].give(Contribute(spec=spec, vector=vector))


# --- what comes twice ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", Check)
def test_what_comes_twice_unchanged_is_ignored_by_both_roles(check: Check) -> None:
    """All that anybody ever said or heard comes again, in every state that follows."""
    cohort = Cohort(4, 2, check=check)
    vectors = {p: [1, 2] for p in names(4)}
    for phase in ("advert", "shares", "head", "consent", "unmask", "result"):
        cohort.take(phase, names(4), vectors, wait=True)
        for party, machine in cohort.parties.items():
            state, heard = machine.state, [event for event in machine.events if isinstance(event, Delivered)]
            for event in heard:
                again = Delivered(parcels=tuple(reversed(event.parcels)))
                assert machine.step(state, again).effects == (), (phase, party)
                assert machine.step(state, again).state == state
        state = cohort.aggregator.state
        for event in cohort.aggregator.events:
            if isinstance(event, Received) and type(event.parcel.message.value).__name__ != "Challenge":
                assert cohort.aggregator.step(state, event).effects == (), phase
                assert cohort.aggregator.step(state, event).state == state
    assert all(len(machine.released) == 1 for machine in cohort.parties.values())


def test_a_drawn_sample_that_got_lost_is_answered_again() -> None:
    cohort = Cohort(3, 2, check=Check.SAMPLE)
    cohort.run({p: [1, 2] for p in names(3)}, {})
    asked = [event for event in cohort.aggregator.events if isinstance(event, Received)][-1]
    first = cohort.aggregator.give(asked)
    assert first
    assert cohort.aggregator.give(asked) == first


def test_a_second_different_advert_of_one_party_is_a_violation() -> None:
    cohort = Cohort(3)
    cohort.adverts()
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        cohort.receive(Received(parcel=Cohort(3).begin("p1", salt="again")))
    assert (caught.value.party, caught.value.phase) == ("p1", "advert")


def test_a_second_different_vector_of_one_party_is_a_violation() -> None:
    cohort = Cohort(3)
    cohort.shared()
    first = cohort.contribute("p1", [1])
    cohort.receive(Received(parcel=first))
    value = first.message.value
    assert isinstance(value, Head)
    chunks = (bytes(16),)
    root = merkle.root([chunk_hash(chunk) for chunk in chunks])
    second = attested(dataclasses.replace(value, chunk_root=root))
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        cohort.receive(Received(parcel=dataclasses.replace(first, message=second, chunks=chunks)))
    assert (caught.value.party, caught.value.phase) == ("p1", "head")


def test_a_violation_leaves_the_state_as_it_was() -> None:
    cohort = Cohort(3)
    bundle = cohort.adverts()
    before = cohort.parties["p0"].state
    with pytest.raises(ProtocolViolation):
        cohort.parties["p0"].give(Delivered(parcels=bundle[1:]))
    assert cohort.parties["p0"].state == before
    cohort.parties["p0"].give(Delivered(parcels=bundle))


def test_messages_may_arrive_in_any_order_of_parties() -> None:
    one, other = Cohort(4), Cohort(4)
    for cohort, order in ((one, names(4)), (other, tuple(reversed(names(4))))):
        for party in order:
            cohort.receive(Received(parcel=cohort.begin(party)))
        cohort.shared(*order)
        cohort.heads({party: [7] for party in order})
    kinds = (Advert, Head)
    said = [
        {
            (event.parcel.message.sender, event.parcel.message.digest)
            for event in cohort.aggregator.events
            if isinstance(event, Received) and isinstance(event.parcel.message.value, kinds)
        }
        for cohort in (one, other)
    ]
    assert said[0] == said[1], "no byte that a party says depends on who was first"
    assert one.waiting() == other.waiting()


def test_the_chunk_root_is_signed_over_the_chunks_that_are_sent() -> None:
    cohort = Cohort(3, 20_000)
    cohort.shared()
    head = cohort.contribute("p0", list(range(20_000)))
    value = head.message.value
    assert isinstance(value, Head)
    leaves = [chunk_hash(chunk) for chunk in head.chunks]
    assert value.chunk_root == hashlib.sha256(b"\x01" + b"".join(leaves)).digest()


def test_everybody_releases_what_the_plain_sum_is_and_says_of_whom() -> None:
    cohort = Cohort(5)
    assert cohort.total({p: [10**i] for i, p in enumerate(names(5))}) == [11_111]
    release = cohort.parties["p4"].released[0]
    assert release == Release.of((11_111).to_bytes(16, "little"), names(5))
