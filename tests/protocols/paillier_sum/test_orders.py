"""Every order of messages, every loss and every restart of a sum under a joint key ends: exactly, or named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, count, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.crypto.paillier import proofs
from federation.crypto.paillier.packing import Slots
from federation.domain.job import Blame
from federation.errors import Misuse, ProtocolViolation
from federation.protocols.events import (
    Abort,
    Contribute,
    DeadlinePassed,
    Delivered,
    Intend,
    Opened,
    Parcel,
    Received,
    Release,
    Send,
    SpecKnown,
    Stopped,
    Withdraw,
)
from federation.protocols.machine import fold
from federation.protocols.paillier_sum import PaillierSum, aggregator, party
from federation.protocols.paillier_sum.messages import Cipher
from federation.protocols.paillier_sum.terms import Terms
from federation.protocols.secure_sum import Aborted, Awaits
from federation.protocols.setup import Check
from federation.protocols.withdrawal import Withdrawal
from tests.protocols.cohort import COORDINATOR, entropy, names
from tests.protocols.paillier_sum.holders import Holders, Machine, key_of, plain, setup_of, told

VECTORS = {p: [i + 1, -(10**i)] for i, p in enumerate(names(3))}
TOTAL = plain(VECTORS)
WITHDRAWN_AT = ("Announced", "Joined", "Encrypted")  # as long as no answer is out


def snapshots() -> dict[str, Machine]:
    """One party's machine in every state that an honest sum goes through."""
    holders, found = Holders(3, 2), {}

    def note() -> None:
        machine = holders.parties["p0"]
        found[type(machine.state).__name__] = machine.branch()

    note()
    for p in names(3):
        holders.receive(Received(parcel=holders.begin(p)))
    note()
    for p in names(3):
        holders.deliver(p)
    note()
    for p in names(3):
        holders.receive(Received(parcel=holders.contribute(p, VECTORS[p])))
    note()
    for p in names(3):
        answer = holders.deliver(p)
        assert answer is not None
        holders.receive(Received(parcel=answer))
    note()
    holders.deliver("p0")
    note()
    return found


# --- recovery -------------------------------------------------------------------------------------------------------


def come_back(holders: Holders) -> None:
    """Every machine's events, folded up to every point, give the state and the bytes that it had there."""
    for machine in (*holders.parties.values(), holders.aggregator):
        live = Machine(state=machine.start, party=machine.party)
        for upto, event in enumerate(machine.events, 1):
            live.give(event)
            again = fold(machine.step, machine.start, machine.events[:upto])
            assert again.state == live.state
            assert list(again.effects) == live.effects
        assert (live.state, live.effects) == (machine.state, machine.effects)


def test_a_fold_over_the_events_gives_the_same_state_and_the_same_bytes_at_every_point() -> None:
    holders = Holders(3, 2)
    holders.total(VECTORS)
    come_back(holders)


def test_the_planted_fault_of_secrets_made_anew_on_resume_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, calls = Terms.secret, count()
    monkeypatch.setattr(
        Terms, "secret", lambda self, _entropy, what: honest(self, next(calls).to_bytes(32, "big"), what)
    )
    holders = Holders(3, 2)
    holders.total(VECTORS)
    with pytest.raises(AssertionError):
        come_back(holders)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_whoever_is_killed_wherever_and_whatever_comes_twice_the_total_is_the_same(data: st.DataObject) -> None:
    holders = Holders(3, 2)
    kept = data.draw(st.permutations(names(3)))

    def again(machine: Machine) -> None:
        """Kill a machine and fold what it had stored; sometimes."""
        if data.draw(st.booleans()):
            machine.state = fold(machine.step, machine.start, machine.events).state

    def receive(parcel: Parcel) -> None:
        for _ in range(data.draw(st.integers(1, 2))):
            holders.receive(Received(parcel=parcel))
            again(holders.aggregator)

    for p in kept:
        receive(holders.begin(p))
        again(holders.parties[p])
    for phase in ("cipher", "partial", "result"):
        for p in data.draw(st.permutations(names(3))):
            (bundle,) = {tuple(bundles) for bundles in holders.inbox[p][-1:]}
            holders.inbox[p].clear()
            shuffled = tuple(data.draw(st.permutations(bundle)))
            answer = holders.deliver(p, shuffled)
            again(holders.parties[p])
            assert holders.deliver(p, bundle) is None, "the same one again has no effect"
            if phase == "cipher":
                answer = holders.contribute(p, VECTORS[p])
                again(holders.parties[p])
            if answer is not None:
                receive(answer)
    for machine in (*holders.parties.values(), holders.aggregator):
        assert [release.numbers for release in machine.released] == [TOTAL]


def test_every_order_of_every_step_gives_the_same_bytes() -> None:
    seen = set()
    for order in permutations(names(3)):
        holders = Holders(3, 2)
        for p in order:
            holders.receive(Received(parcel=holders.begin(p)))
        for p in order:
            holders.deliver(p)
        for p in order:
            holders.receive(Received(parcel=holders.contribute(p, VECTORS[p])))
        for p in order:
            answer = holders.deliver(p)
            assert answer is not None
            holders.receive(Received(parcel=answer))
        seen.add((holders.waiting(), holders.aggregator.released[0].total))
    assert len(seen) == 1


# --- what waits, and deadlines --------------------------------------------------------------------------------------


def test_a_driver_sees_who_owes_what_at_every_step() -> None:
    holders = Holders(3, 2)
    machine, serving = holders.parties["p0"], holders.aggregator

    def owed(what: str, there: int) -> None:
        assert serving.state.awaits == Awaits(what=what, of=names(3)[there:])

    def due(what: str) -> None:
        assert machine.state.awaits == Awaits(what=what, of=(COORDINATOR,))

    assert PaillierSum.aggregator().awaits == machine.state.awaits == Awaits(what="begin")
    for there, p in enumerate(names(3)):
        owed("ready", there)
        holders.receive(Received(parcel=holders.begin(p)))
    due("readies")
    for p in names(3):
        assert holders.deliver(p) is None
    assert machine.state.awaits == Awaits(what="contribution", of=("p0",))
    for there, p in enumerate(names(3)):
        owed("cipher", there)
        holders.receive(Received(parcel=holders.contribute(p, VECTORS[p])))
    due("ciphers")
    for there, p in enumerate(names(3)):
        owed("partial", there)
        answer = holders.deliver(p)
        assert answer is not None
        assert not serving.state.ended
        holders.receive(Received(parcel=answer))
    due("partials")
    assert serving.state.ended
    assert serving.state.awaits == Awaits()
    holders.deliver("p0")
    assert machine.state.ended
    assert machine.state.awaits == Awaits()


def test_the_spec_may_come_late_but_before_any_ciphertext() -> None:
    holders = Holders(3, 2)
    fresh = Machine(state=PaillierSum.aggregator())
    fresh.give(Opened(setup=holders.setup, coordinator=COORDINATOR, joint=holders.joint.to_bytes()))
    for p in names(3):
        fresh.give(Received(parcel=holders.begin(p)))
    assert fresh.state.awaits == Awaits(what="spec", of=(COORDINATOR,))
    bundle = next(effect.parcels for effect in fresh.effects if hasattr(effect, "parcels"))
    holders.deliver("p0", bundle)
    cipher = holders.contribute("p0", VECTORS["p0"])
    with pytest.raises(ProtocolViolation, match="Cipher in state Collecting"):
        fresh.give(Received(parcel=cipher))
    fresh.give(SpecKnown(spec=holders.spec))
    fresh.give(SpecKnown(spec=holders.spec))
    assert fresh.state.awaits.what == "cipher"
    fresh.give(Received(parcel=cipher))


def lost_before(phase: int, there: tuple[str, ...]) -> Holders:
    """A sum in which, from step `phase` on, only these are heard."""
    holders = Holders(4)
    for number in range(phase + 1):
        for p in names(4) if number < phase else there:
            if number == 0:
                answer: Parcel | None = holders.begin(p)
            else:
                answer = holders.deliver(p)
            if number == 1:
                answer = holders.contribute(p, [1])
            assert answer is not None
            holders.receive(Received(parcel=answer))
    return holders


def test_every_set_of_lost_parties_at_every_step_ends_the_sum_and_is_named() -> None:
    endings: Counter[str] = Counter()
    for phase, what in enumerate(("ready", "cipher", "partial")):
        for size in range(1, 5):
            for lost in combinations(names(4), size):
                there = tuple(p for p in names(4) if p not in lost)
                holders = lost_before(phase, there)
                assert not holders.aggregator.state.awaits.enough
                holders.late()
                abort = holders.aggregator.effects[-1]
                assert isinstance(abort, Abort)
                assert [(b.party, b.code) for b in abort.blames] == [(p, "unavailable") for p in lost]
                assert all(what in b.message and "nobody may be missing" in b.message for b in abort.blames)
                assert all("masks" in b.hint for b in abort.blames)
                assert holders.aggregator.state == Aborted(blames=abort.blames)
                assert not holders.aggregator.released
                for p in there:
                    (heard,) = holders.parties[p].give(DeadlinePassed(missing=lost))
                    assert isinstance(heard, Abort)
                    assert {b.party for b in heard.blames} == set(lost)
                    assert all(COORDINATOR in b.message for b in heard.blames), "hearsay is called that"
                    endings[what] += 1
    assert endings == {"ready": 28, "cipher": 28, "partial": 28}


def test_the_planted_fault_of_a_sum_that_goes_on_without_somebody_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = aggregator.step

    def careless(state: object, event: object) -> object:
        if isinstance(event, DeadlinePassed) and isinstance(state, aggregator.Gathering):
            return aggregator._closed(state)
        return honest(state, event)  # type: ignore[arg-type]

    monkeypatch.setattr(aggregator, "step", careless)
    with pytest.raises(AssertionError):
        test_every_set_of_lost_parties_at_every_step_ends_the_sum_and_is_named()


def test_a_party_that_hears_nothing_blames_the_coordinator() -> None:
    for name, machine in snapshots().items():
        if machine.state.awaits.of == (COORDINATOR,):
            (abort,) = machine.give(DeadlinePassed())
            assert isinstance(abort, Abort)
            assert [blame.party for blame in abort.blames] == [COORDINATOR], name


# --- withdrawals and other ends -------------------------------------------------------------------------------------


def test_a_party_withdraws_as_long_as_no_answer_is_out_and_nothing_follows() -> None:
    for name, machine in snapshots().items():
        state = machine.state
        sent = [effect.message for effect in machine.give(Withdraw()) if isinstance(effect, Send)]
        if name not in WITHDRAWN_AT:
            assert sent == []
            assert machine.state is state
            continue
        assert sent == [Withdrawal(setup_hash=setup_of(3).hash, party="p0")]
        assert isinstance(machine.state, party.Withdrawn)
        assert set(party.Withdrawn.__dataclass_fields__) == set(party.Taking.__dataclass_fields__), "no secret is left"
        holders = Holders(3, 2)
        bundles = [holders.ciphers(VECTORS)]
        for bundle in bundles:
            assert machine.give(Delivered(parcels=bundle)) == ()
        assert machine.give(Contribute.of(holders.spec, [0, 0])) == ()
        assert machine.give(DeadlinePassed()) == machine.give(Stopped(blames=())) == ()


def test_withdrawals_of_all_are_needed_and_each_is_checked() -> None:
    holders = Holders(3)
    assert holders.setup.withdrawals == 3
    holders.begin("p0")
    (send,) = holders.parties["p0"].give(Withdraw())
    assert isinstance(send, Send)
    word = told(Parcel(message=holders.branch().begin("p1").message)).message
    honest = Parcel(message=replace(word, sender="p0", value=send.message))
    PaillierSum.check_withdrawal(holders.setup, honest, COORDINATOR)
    with pytest.raises(ProtocolViolation, match="this attempt"):
        PaillierSum.check_withdrawal(setup_of(3, attempt=1), honest, COORDINATOR)
    with pytest.raises(ProtocolViolation, match="of kind withdrawal"):
        PaillierSum.check_withdrawal(holders.setup, Parcel(message=word), COORDINATOR)


def test_whoever_is_stopped_holds_no_secret_any_more() -> None:
    blames = (Blame(party="p1", code="unavailable", message="gone"),)
    for name, machine in snapshots().items():
        effects = machine.give(Stopped(blames=blames))
        if name == "Done":
            assert effects == ()
            continue
        assert effects == (Abort(blames=blames),)
        assert machine.state == Aborted(blames=blames)
        assert machine.give(Stopped(blames=blames)) == machine.give(Withdraw()) == ()


def test_a_number_beyond_its_slot_ends_the_sum_without_a_total_and_without_a_culprit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holders = Holders(3, value_bits=20)
    holders.joined()
    for p in names(3):
        with monkeypatch.context() as patched:
            if p == "p2":  # encrypts, with an honest proof, what no three numbers of 20 bits make up
                patched.setattr(Slots, "pack", lambda *_: [1 << 23])
            holders.receive(Received(parcel=holders.contribute(p, [1])))
    for p in names(3):
        answer = holders.deliver(p)
        assert answer is not None
        holders.receive(Received(parcel=answer))
    for p in names(3):
        holders.deliver(p)
    for machine in (holders.aggregator, *holders.parties.values()):
        assert not machine.released
        assert isinstance(machine.state, Aborted)
        assert [(blame.party, blame.code) for blame in machine.blames] == [("", "job_failed")]
        assert "8388608" not in machine.blames[0].message


# --- what comes at a wrong time, or twice and different -------------------------------------------------------------


def test_a_second_different_message_of_one_party_is_a_violation() -> None:
    holders = Holders(3, 2)
    holders.joined()
    cipher = holders.contribute("p0", VECTORS["p0"])
    holders.receive(Received(parcel=cipher))
    other = told(cipher, number=9)
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        holders.receive(Received(parcel=other))
    assert caught.value.party == "p0"
    for p in ("p1", "p2"):
        holders.receive(Received(parcel=holders.contribute(p, VECTORS[p])))
    with pytest.raises(ProtocolViolation, match="a second, different one"):
        holders.receive(Received(parcel=other))
    holders.receive(Received(parcel=cipher))
    assert holders.aggregator.state.awaits.what == "partial"


def test_a_message_before_its_time_is_its_senders_fault() -> None:
    holders = Holders(3, 2)
    ahead = Holders(3, 2)
    bundle = ahead.partials(VECTORS)
    ciphers = [event.parcel for event in ahead.aggregator.events if isinstance(event, Received)]
    early = [p for p in (*ciphers, *bundle) if isinstance(p.message.value, Cipher) or p in bundle]
    for item in early:
        with pytest.raises(ProtocolViolation, match="in state Gathering") as caught:
            holders.receive(Received(parcel=item))
        assert caught.value.party == item.message.sender
    holders.joined()
    with pytest.raises(ProtocolViolation, match="Partial in state Collecting"):
        holders.receive(Received(parcel=bundle[0]))
    said = replace(bundle[0].message, value=Withdrawal(setup_hash=bytes(32), party="p0"))
    with pytest.raises(ProtocolViolation, match="Withdrawal in state Collecting"):
        holders.receive(Received(parcel=Parcel(message=said)))


def test_a_bundle_before_its_step_is_the_coordinators_fault_and_one_that_was_taken_is_ignored() -> None:
    holders = Holders(3, 2)
    for p in names(3):
        holders.receive(Received(parcel=holders.begin(p)))
    bundles = {
        "Announced": holders.waiting(),
        "Encrypted": Holders(3, 2).ciphers(VECTORS),
        "Answered": Holders(3, 2).partials(VECTORS),
    }
    order = list(snapshots())
    assert order == ["Idle", "Announced", "Joined", "Encrypted", "Answered", "Done"]
    for name, machine in snapshots().items():
        for step, bundle in bundles.items():
            live = machine.branch()
            if order.index(step) < order.index(name):
                assert live.give(Delivered(parcels=bundle)) == ()
                assert live.state is machine.state
            elif step != name:
                with pytest.raises(ProtocolViolation) as caught:
                    live.give(Delivered(parcels=bundle))
                assert caught.value.party in {COORDINATOR, "the coordinator"}, (name, step)
                assert live.state is machine.state
            else:
                live.give(Delivered(parcels=bundle))
                assert live.state != machine.state


def test_intent_is_durable_before_the_answer_and_the_answer_before_the_total() -> None:
    holders = Holders(3, 2)
    holders.total(VECTORS)
    kinds = [type(effect) for effect in holders.parties["p0"].effects]
    assert kinds == [Send, Send, Intend, Send, Release]
    intent = next(effect for effect in holders.parties["p0"].effects if isinstance(effect, Intend))
    assert intent.parties == names(3)


# --- a wrong driver -------------------------------------------------------------------------------------------------


def changed_begin(**changes: object) -> Callable[[], object]:
    holders = Holders(3)
    begin = replace(holders.beginning("p0"), **changes)  # type: ignore[arg-type]
    return lambda: holders.parties["p0"].give(begin)


JOINT, SHARES = key_of(3)
OTHER, OTHER_SHARES = key_of(3, salt="other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"me": "p9"}, "under its own name"),
        ({"coordinator": "p1"}, "under its own name"),
        ({"entropy": b"short"}, "32 bytes of entropy"),
        ({"joint": b""}, "no joint key"),
        ({"joint": b"key"}, "no joint key"),
        ({"joint": JOINT.to_bytes() + b"\0"}, "no joint key"),
        ({"joint": OTHER.to_bytes()}, "that the setup names"),
        ({"joint": key_of(4)[0].to_bytes()}, "that the setup names"),
        ({"setup": setup_of(3, key=OTHER.digest)}, "that the setup names"),
        ({"setup": setup_of(3, key=key_of(4)[0].digest), "joint": key_of(4)[0].to_bytes()}, "held by exactly"),
        ({"setup": replace(setup_of(3), key=b"")}, "that the setup names"),
        ({"share": b""}, "no share"),
        ({"share": SHARES["p1"].to_bytes()}, "own share"),
        ({"share": OTHER_SHARES["p0"].to_bytes()}, "own share"),
    ],
    ids=str,
)
def test_a_party_begins_with_its_own_share_of_the_setups_key_or_not_at_all(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(Misuse, match=message):
        changed_begin(**changes)()


@pytest.mark.parametrize("joint", [b"", OTHER.to_bytes(), JOINT.to_bytes()[:-1]], ids=["none", "another", "cut"])
def test_an_aggregator_serves_under_the_setups_key_or_not_at_all(joint: bytes) -> None:
    fresh = Machine(state=PaillierSum.aggregator())
    with pytest.raises(Misuse, match="joint key"):
        fresh.give(Opened(setup=setup_of(3), coordinator=COORDINATOR, joint=joint))


@pytest.mark.parametrize("changes", [{"ring": "z2^64"}, {"check": Check.SAMPLE}], ids=str)
def test_packed_lanes_and_samples_are_for_masks(changes: dict[str, object]) -> None:
    holders = Holders(3)
    spec = replace(holders.spec, **changes)  # type: ignore[arg-type]
    holders.joined()
    with pytest.raises(Misuse, match="summed with masks"):
        holders.parties["p0"].give(Contribute(spec=spec, vector=bytes(spec.size_bytes)))
    fresh = Machine(state=PaillierSum.aggregator())
    fresh.give(Opened(setup=holders.setup, coordinator=COORDINATOR, joint=holders.joint.to_bytes()))
    with pytest.raises(Misuse, match="summed with masks"):
        fresh.give(SpecKnown(spec=spec))


def test_a_spec_of_another_setup_or_a_second_one_and_a_vector_of_another_length_are_misuse() -> None:
    holders = Holders(3)
    holders.joined()
    with pytest.raises(Misuse, match="setup that the party began with"):
        holders.parties["p0"].give(Contribute.of(holders.spec, [1, 2]))
    other = replace(holders.spec, setup=setup_of(3, attempt=1))
    with pytest.raises(Misuse, match="setup that the party began with"):
        holders.parties["p0"].give(Contribute.of(other, [1]))
    for spec in (other, replace(holders.spec, length=2)):
        with pytest.raises(Misuse, match="one spec"):
            holders.receive(SpecKnown(spec=spec))


def test_an_event_that_does_not_belong_into_a_state_is_the_drivers_fault() -> None:
    holders = Holders(3)
    with pytest.raises(ProtocolViolation, match="Contribute in state Idle"):
        holders.parties["p0"].give(Contribute.of(holders.spec, [1]))
    fresh = Machine(state=PaillierSum.aggregator())
    with pytest.raises(ProtocolViolation, match="SpecKnown in state Vacant"):
        fresh.give(SpecKnown(spec=holders.spec))
    holders.total({p: [1] for p in names(3)})
    assert holders.aggregator.give(DeadlinePassed()) == holders.aggregator.give(Stopped(blames=())) == ()
    fresh.give(Stopped(blames=()))
    assert fresh.give(Received(parcel=Holders(3).begin("p0"))) == ()


def test_a_key_is_checked_once_and_not_in_every_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    Holders(3).begin("p0")
    monkeypatch.setattr("federation.protocols.paillier_sum.terms.JointKey.of", lambda _: pytest.fail("again"))
    Holders(3, salt="next").begin("p0")


def test_one_s_own_proof_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    honest = proofs.check_plaintexts
    holders = Holders(3)
    holders.ciphers({p: [1] for p in names(3)})
    monkeypatch.setattr(proofs, "check_plaintexts", lambda *given: looked.append(given) or honest(*given))
    holders.deliver("p0")
    assert len(looked) == 2
    assert entropy("p0")
