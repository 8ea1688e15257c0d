"""The coordinator says who survived: it lies about a live party, shows different lists, asks for more, leaves few over.

Each test takes a guard away and shows what the attack then gives, mostly a party's own numbers, or what still stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import pytest

from federation.crypto import shamir, signing
from federation.errors import ProtocolViolation, Refused
from federation.protocols import bundles
from federation.protocols.events import Delivered, Parcel, Received, Send, Withdraw
from federation.protocols.machine import fold
from federation.protocols.masked_sum import checks, masks, opening, party
from federation.protocols.masked_sum.aggregator import Serving
from federation.protocols.masked_sum.messages import Consent, Head, Unmask
from federation.protocols.setup import Setup
from federation.wire.envelope import signed
from tests.attacks.masked_sum.malice import (
    asked,
    bare,
    chi_square,
    combined,
    given,
    is_uniform,
    masked,
    receive,
    shares_in,
    signed_too,
)
from tests.attacks.masked_sum.test_false_keys import identity, received
from tests.protocols.cohort import COORDINATOR, Cohort, attested, entropy, names, plain_sum, setup_of

LENGTH = 16 * 1024  # 256 KiB: enough for a chi-square


def numbers_of(n: int, length: int = 1) -> dict[str, list[int]]:
    return {name: [1_000_003 * (i + 1)] * length for i, name in enumerate(names(n))}


# --- a live party is called lost -------------------------------------------------------------------------------------


def called_lost(length: int) -> tuple[Cohort, dict[str, Parcel], bytes | None]:
    """Four parties; p3 delivers, the relay keeps it back and calls p3 lost; what all sent, and p3's opened key."""
    cohort = Cohort(4, length)
    said = masked(cohort, numbers_of(4, length))
    counted = names(4)[:3]
    consents = [asked(cohort.parties[name], said, counted) for name in counted]
    shares = [
        (name, shares_in(given(cohort.parties[name], consents), names(4), counted)["key", "p3"]) for name in counted
    ]
    return cohort, said, combined(cohort.setup, dict(shares))


def test_a_late_vector_of_a_party_that_was_called_lost_stays_uniform() -> None:
    """With its mask key the relay takes off every mask that p3 shares with a peer; the one of its own stays on."""
    cohort, said, key = called_lost(LENGTH)
    late, state = said["p3"], cohort.parties["p3"].state
    assert isinstance(state, party.Masked)
    assert key == masks.secrets_of(entropy("p3"), cohort.setup).mask_private, "the relay has it, as it should"
    left = bare(state, late.chunks, None, key)
    assert is_uniform(left)
    assert left != b"".join(late.chunks)
    for seed in (bytes(32), key):  # nor is it any mask that it could guess
        assert is_uniform(bare(state, late.chunks, seed, key))


def test_the_planted_fault_of_no_mask_of_its_own_opens_the_late_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """What single masking gives: a slow party's numbers, to whoever waits a little less."""
    monkeypatch.setattr(masks, "self_seed", lambda *_: bytes(32))
    cohort, said, key = called_lost(LENGTH)
    state = cohort.parties["p3"].state
    assert isinstance(state, party.Masked)
    left = bare(state, said["p3"].chunks, b"anything", key)
    assert left == plain_sum(cohort, numbers_of(4, LENGTH), ["p3"])
    assert chi_square(left) > 10**6


def test_nobody_gives_the_seed_of_a_party_whose_key_it_gave() -> None:
    cohort, said, _ = called_lost(1)
    for name in names(4)[:3]:
        machine = cohort.parties[name]
        before = machine.state
        with pytest.raises(ProtocolViolation) as caught:  # it is asked again, now for a list with p3
            asked(machine, said, names(4))
        assert caught.value.party == COORDINATOR
        assert machine.state == before


# --- different lists -------------------------------------------------------------------------------------------------


def test_a_split_view_of_the_survivors_opens_nothing() -> None:
    """p0 is shown all, p1 and p2 a list without p3; t = 3 agree to neither, and each counts for itself."""
    cohort = Cohort(4)
    said = masked(cohort, numbers_of(4))
    views = {"p0": names(4), "p1": names(4)[:3], "p2": names(4)[:3]}
    consents = {name: asked(cohort.parties[name], said, view) for name, view in views.items()}
    for name, view in views.items():
        same = [c for peer, c in consents.items() if views[peer] == view]
        for bundle, got in ((list(consents.values()), "one to another list"), (same, "none of")):
            with pytest.raises(ProtocolViolation, match=got) as caught:
                given(cohort.parties[name], bundle)
            assert caught.value.party == COORDINATOR
    assert not any(isinstance(effect, Send) and isinstance(effect.message, Unmask) for effect in effects_of(cohort))


def effects_of(cohort: Cohort) -> list[object]:
    return [effect for machine in cohort.parties.values() for effect in machine.effects]


def test_the_planted_fault_of_consents_to_any_list_gives_shares_for_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "consent", lambda _setup, _spec, _list, parcel, _relay: parcel.message.value)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_a_split_view_of_the_survivors_opens_nothing()


CONSENTS: dict[str, Callable[[dict[str, Parcel]], Sequence[Parcel]]] = {
    "fewer than t": lambda said: [said["p0"], said["p1"]],
    "none": lambda _: [],
    "one counted twice": lambda said: [said["p0"], said["p1"], said["p1"]],
    "one of a stranger": lambda said: [said["p0"], said["p1"], signed_too(said["p0"], "p9")],
    "one of the relay": lambda said: [said["p0"], said["p1"], signed_too(said["p0"], COORDINATOR)],
    "one of another round": lambda said: [said["p0"], said["p1"], altered(said["p2"], spec_hash=b"s" * 32)],
    "one to another list": lambda said: [said["p0"], said["p1"], altered(said["p2"], u3_hash=b"u" * 32)],
    "one in another's name": lambda said: [
        said["p0"],
        said["p1"],
        Parcel(message=attested(said["p0"].message.value, sender="p2")),
    ],
}


def altered(parcel: Parcel, **changes: bytes) -> Parcel:
    return Parcel(message=attested(replace(parcel.message.value, **changes)))  # type: ignore[type-var]


@pytest.mark.parametrize("how", CONSENTS)
def test_consents_that_are_not_t_parties_to_this_list_open_nothing(how: str) -> None:
    cohort = Cohort(4)
    said = masked(cohort, numbers_of(4))
    consents = {name: asked(cohort.parties[name], said, names(4)) for name in names(4)}
    machine = cohort.parties["p0"]
    with pytest.raises(ProtocolViolation) as caught:
        given(machine, CONSENTS[how](consents))
    assert caught.value.party == ("p2" if how == "one in another's name" else COORDINATOR)
    assert given(machine, list(consents.values()))


@pytest.mark.parametrize("how", CONSENTS)
def test_the_planted_fault_of_consents_that_nobody_counts_is_caught(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def anything(_setup: Setup, parcels: Sequence[Parcel], *_: object) -> dict[str, Parcel]:
        return {parcel.message.sender: parcel for parcel in parcels if parcel.message.sender in names(4)}

    monkeypatch.setattr(bundles, "one_each", anything)
    monkeypatch.setattr(checks, "consent", lambda _setup, _spec, _list, parcel, _relay: parcel.message.value)
    with pytest.raises(pytest.fail.Exception):
        test_consents_that_are_not_t_parties_to_this_list_open_nothing(how)


def test_a_consent_that_its_party_did_not_sign_is_refused_before_any_machine_sees_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consent = Consent(spec_hash=b"s" * 32, u3_hash=b"u" * 32, party="p1")
    true = signed(identity("p1"), Consent.domain, consent)
    assert received(true).message.sender == "p1"
    forged = replace(signed(identity(COORDINATOR), Consent.domain, consent), key_id=true.key_id)
    with pytest.raises(ProtocolViolation, match="does not verify") as caught:
        received(forged)
    assert caught.value.party == COORDINATOR
    monkeypatch.setattr(signing, "verify", lambda *_: True)
    assert received(forged).message.sender == "p1"  # the planted fault: t consents of the relay's own making


def test_contributors_who_never_shared_are_refused() -> None:
    """P3 advertised and dealt nothing; it signs a head under the right hashes all the same."""
    cohort, bundle = with_one_who_never_shared()
    with pytest.raises(ProtocolViolation, match="heads of those who shared") as caught:
        cohort.parties["p0"].give(Delivered(parcels=bundle))
    assert caught.value.party == COORDINATOR


def with_one_who_never_shared() -> tuple[Cohort, tuple[Parcel, ...]]:
    cohort = Cohort(4)
    cohort.take("advert", names(4), {})
    for phase in ("shares", "head"):
        cohort.take(phase, names(4)[:3], numbers_of(4))
    honest = cohort.inbox["p0"][-1]
    value = honest[0].message.value
    assert isinstance(value, Head)
    return cohort, (*honest, Parcel(message=attested(replace(value, party="p3"))))


def test_the_planted_fault_of_contributors_beyond_those_who_shared_is_agreed_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort, bundle = with_one_who_never_shared()
    monkeypatch.setattr(opening.Masked, "names", property(lambda _: names(4)))
    cohort.parties["p0"].give(Delivered(parcels=bundle))
    assert type(cohort.parties["p0"].state).__name__ == "Consented"


# --- more than one share of a peer -----------------------------------------------------------------------------------


def held_of(machine_state: party.Masked) -> dict[str, tuple[bytes, bytes]]:
    return dict(zip(machine_state.masked.names, machine_state.held, strict=True))


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_of_every_peer_a_party_gives_one_kind_of_share_whatever_list_it_is_shown(n: int) -> None:
    cohort = Cohort(n)
    said = masked(cohort, numbers_of(n))
    lists = [view for size in range(cohort.setup.least, n + 1) for view in combinations(names(n), size)]
    for view in lists:
        branch = cohort.branch()
        consents = [asked(machine, said, view) for machine in branch.parties.values()]
        for name, machine in branch.parties.items():
            held = held_of(cohort.parties[name].state)  # type: ignore[arg-type]
            unmask = given(machine, consents)
            out = {*unmask.self_shares, *unmask.key_shares}
            for peer, (of_seed, of_key) in held.items():
                assert (of_seed in out) == (peer in view)
                assert (of_key in out) == (peer not in view and peer != name), "never its own key"
    assert lists


def test_the_planted_fault_of_both_shares_opens_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Flower's clients hand out when they are asked: seed and key of every peer; then nothing is hidden."""
    monkeypatch.setattr(opening.Masked, "absent", lambda self, _counted: self.names)
    cohort = Cohort(4)
    said = masked(cohort, numbers_of(4))
    consents = [asked(machine, said, names(4)) for machine in cohort.branch().parties.values()]
    unmasks = []
    for name in names(4):
        machine = cohort.parties[name].branch()
        asked(machine, said, names(4))
        unmasks.append(given(machine, consents))
    of_seed = {unmask.party: unmask.self_shares[1] for unmask in unmasks}
    of_key = {u.party: u.key_shares[0 if u.party == "p0" else 1] for u in unmasks if u.party != "p1"}
    seed, key = combined(cohort.setup, of_seed), combined(cohort.setup, of_key)
    state = cohort.parties["p1"].state
    assert bare(state, said["p1"].chunks, seed, key) == plain_sum(cohort, numbers_of(4), ["p1"])  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        test_of_every_peer_a_party_gives_one_kind_of_share_whatever_list_it_is_shown(4)


def test_a_party_that_is_asked_twice_answers_once() -> None:
    cohort = Cohort(4)
    said = masked(cohort, numbers_of(4))
    whole, part = names(4), names(4)[1:]
    consents = [asked(machine, said, whole) for machine in cohort.parties.values()]
    machine = cohort.parties["p1"]
    for view in (part, names(4)[:3]):  # before it gave anything
        with pytest.raises(ProtocolViolation):
            asked(machine, said, view)
    given(machine, consents)
    for again in ([*consents[:3]], [altered(c, u3_hash=b"u" * 32) for c in consents]):
        with pytest.raises(ProtocolViolation):
            given(machine, again)
    assert machine.give(Delivered(parcels=tuple(consents))) == (), "the same again has no effect at all"


def test_between_shares_and_total_a_restarted_party_is_where_it_was() -> None:
    """It says the same bytes again, gives nothing for another list, and cannot say that it gave nothing."""
    cohort = Cohort(4)
    said = masked(cohort, numbers_of(4))
    consents = [asked(machine, said, names(4)) for machine in cohort.parties.values()]
    machine = cohort.parties["p1"]
    first = given(machine, consents)
    again = fold(machine.step, machine.start, machine.events)
    assert again.state == machine.state
    assert [e.message for e in again.effects if isinstance(e, Send)][-1] == first
    machine.state = again.state
    assert machine.give(Withdraw()) == ()
    for view in (names(4)[1:], names(4)[:3]):
        with pytest.raises(ProtocolViolation):
            asked(machine, said, view)


def test_the_planted_fault_of_a_restart_from_before_gives_both_shares() -> None:
    cohort = Cohort(4)
    said = masked(cohort, numbers_of(4))
    before = cohort.parties["p1"].branch()
    out: set[bytes] = set()
    for view in (names(4), names(4)[1:]):
        consents = [asked(cohort.parties[name].branch(), said, view) for name in names(4)]
        machine = before.branch()
        asked(machine, said, view)
        unmask = given(machine, consents)
        out |= {*unmask.self_shares, *unmask.key_shares}
    assert set(held_of(before.state)["p0"]) <= out  # type: ignore[arg-type]


# --- few are left over -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_coordinator_that_leaves_few_over_is_refused_by_every_party(left: int) -> None:
    cohort = Cohort(5)  # t = least = 4
    said = masked(cohort, numbers_of(5))
    for machine in cohort.parties.values():
        before = machine.state
        with pytest.raises(ProtocolViolation, match="at least 4 parties") as caught:
            asked(machine, said, names(5)[:left])
        assert caught.value.party == COORDINATOR
        assert machine.state == before


def test_the_planted_fault_of_no_least_number_reads_one_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small-set attack: everybody but p0 is called lost, and the sum of one is its figure."""
    strict = bundles.one_each

    def any_number(setup: Setup, parcels: Sequence[Parcel], relay: str, phase: str, least: int) -> dict[str, Parcel]:
        return strict(setup, parcels, relay, phase, 0 if phase == "heads" else least)

    monkeypatch.setattr(bundles, "one_each", any_number)
    monkeypatch.setattr(Serving, "wanted", property(lambda _: 1))
    cohort = Cohort(5)
    said = masked(cohort, numbers_of(5))
    receive(cohort, said["p0"])
    cohort.late()
    cohort.opened()
    assert cohort.aggregator.released[0].numbers == numbers_of(5)["p0"]


@pytest.mark.parametrize(("n", "threshold"), [(3, 1), (3, 2), (4, 2), (5, 3), (10, 6)])
def test_a_lowered_threshold_is_no_setup(n: int, threshold: int) -> None:
    with pytest.raises(Refused, match="not safe") as caught:
        replace(setup_of(n), threshold=threshold, colluders=0, least=max(3, threshold))
    assert caught.value.rule == "secure_sum/threshold"


def test_the_planted_fault_of_any_threshold_lets_two_of_four_open_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Setup, "__post_init__", lambda _: None)
    setup = replace(setup_of(4), threshold=2)
    secret = masks.secrets_of(entropy("p0"), setup)
    shares = shamir.split(secret.seed, setup.threshold, 4, secret.seed_polynomial)
    assert combined(setup, {"p2": shares[2], "p3": shares[3]}) == secret.seed, "two colluders need nobody"


@pytest.mark.parametrize("changes", [{"least": 4}, {"colluders": 2}], ids=str)
def test_a_coordinator_with_another_setup_than_the_parties_gets_no_key_accepted(changes: dict[str, int]) -> None:
    lower, own = Cohort(5), Cohort(5, least=5) if "least" in changes else Cohort(5, colluders=3)
    assert lower.setup.hash != own.setup.hash
    with pytest.raises(ProtocolViolation, match="one for another setup"):
        lower.receive(Received(parcel=own.begin("p0")))
    with pytest.raises(ProtocolViolation, match="one for another setup"):
        own.parties["p0"].give(Delivered(parcels=tuple(lower.begin(name) for name in names(5))))


def test_parties_that_a_coordinator_invents_are_refused_at_every_step() -> None:
    cohort, larger = Cohort(3), Cohort(4)
    adverts = [cohort.begin(name) for name in names(3)]
    sybil = Parcel(message=attested(replace(larger.begin("p3").message.value, setup_hash=cohort.setup.hash)))  # type: ignore[type-var]
    with pytest.raises(ProtocolViolation, match="also p3"):
        cohort.parties["p0"].give(Delivered(parcels=(*adverts, sybil)))
    with pytest.raises(ProtocolViolation, match="a stranger"):
        cohort.receive(Received(parcel=sybil))
    receive(cohort, *adverts)
    cohort.shared()
    said = {name: cohort.contribute(name, [1]) for name in names(3)}
    said["p9"] = Parcel(message=attested(replace(said["p0"].message.value, party="p9")))  # type: ignore[type-var]
    with pytest.raises(ProtocolViolation, match="also p9"):
        asked(cohort.parties["p0"], said, tuple(said))


def test_a_setup_padded_with_sybils_is_another_setup_that_every_honest_party_would_have_to_begin() -> None:
    """The parties are in the signed job, which each jurisdiction judges; more names are another setup altogether."""
    assert setup_of(3).hash != setup_of(4).hash
    padded = Cohort(4)
    honest = Cohort(3).begin("p0")
    with pytest.raises(ProtocolViolation, match="one for another setup"):
        padded.receive(Received(parcel=honest))


# --- a new attempt ---------------------------------------------------------------------------------------------------


def test_a_rerun_with_one_party_less_shows_other_bytes_and_needs_words_that_open_nothing() -> None:
    """After the first attempt everybody masks again, without p3: both attempts side by side are noise."""
    numbers = numbers_of(4, LENGTH)
    first, second = Cohort(4, LENGTH), Cohort(3, LENGTH, attempt=1, colluders=1)
    one, two = masked(first, numbers), masked(second, {name: numbers[name] for name in names(3)})
    for name in names(3):
        a, b = (int.from_bytes(b"".join(said[name].chunks), "little") for said in (one, two))
        difference = ((a - b) % 2 ** (128 * LENGTH)).to_bytes(16 * LENGTH, "little")
        assert is_uniform(difference), "the same numbers, under masks that have nothing to do with each other"


def test_the_planted_fault_of_keys_kept_for_the_next_attempt_shows_that_the_numbers_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, first = masks.secrets_of, Cohort(4).setup
    monkeypatch.setattr(masks, "secrets_of", lambda entropy, _: made(entropy, first))
    for name in ("hash_of_adverts", "hash_of_u2"):
        monkeypatch.setattr(masks, name, lambda *_: b"a" * 32)
    monkeypatch.setattr(masks, "pair_info", lambda _binding, low, high: (low.party + high.party).encode())
    monkeypatch.setattr(masks, "self_seed", lambda seed, *_: seed)
    one, two = masked(Cohort(4), numbers_of(4)), masked(Cohort(4, attempt=1), numbers_of(4))
    assert one["p0"].chunks == two["p0"].chunks
