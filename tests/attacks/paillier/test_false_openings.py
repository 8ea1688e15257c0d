"""Answers that open something else: another list, one party alone, a shifted figure; with another share or key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import gmpy2
import pytest

from federation.crypto.paillier import proofs, threshold
from federation.crypto.paillier.draws import Draws
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import BadKey
from federation.crypto.paillier.threshold import BadPartial, JointKey
from federation.errors import Misuse, ProtocolViolation
from federation.protocols.events import Intend, Parcel
from federation.protocols.paillier_sum import checking, checks
from federation.protocols.paillier_sum.checking import Collected
from federation.protocols.paillier_sum.terms import Terms
from tests.attacks.paillier.malice import (
    ENTROPY,
    contributed,
    first_slot,
    numbers_of,
    opened,
    product_of,
    proof_of,
    receive,
    signed_partial,
    with_numbers,
)
from tests.protocols.cohort import names
from tests.protocols.paillier_sum.holders import Holders, key_of, with_one

VECTORS = {"p0": [123456789], "p1": [1000], "p2": [7]}
TOTAL = [sum(numbers[0] for numbers in VECTORS.values())]


def answered(holders: Holders) -> tuple[Collected, dict[str, Parcel]]:
    """Everybody has encrypted and answered; the answers are on their way."""
    ciphers = contributed(holders, VECTORS)
    receive(holders, *ciphers.values())
    answers = {p: answer for p in holders.parties if (answer := holders.deliver(p)) is not None}
    return product_of(holders, tuple(ciphers.values())), answers


def refused(holders: Holders, answers: dict[str, Parcel], false: Parcel, *, by: str) -> None:
    """Both roles name `by` for this answer, and nobody releases."""
    bundle = with_one(tuple(answers.values()), false)
    with pytest.raises(ProtocolViolation) as caught:
        receive(holders, *bundle)
    assert caught.value.party == by
    for p in holders.parties:
        if p != by:
            with pytest.raises(ProtocolViolation) as caught:
                holders.deliver(p, bundle)
            assert caught.value.party == by
    assert not any(machine.released for machine in (*holders.parties.values(), holders.aggregator))


def no_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers pass without a look at their proofs."""
    monkeypatch.setattr(checks, "unproved", lambda *_: None)


# --- a shifted figure, a changed sign, another share -----------------------------------------------------------------


def shifted(holders: Holders, sums: Collected, by: int) -> list[int]:
    """The answers of p2 as they would be if every sum were larger by so much."""
    n = holders.joint.public.n
    honest = threshold.partials(holders.joint, holders.shares["p2"], sums.product)
    return [answer * pow(1 + n, 2 * holders.joint.theta * by, n**2) % n**2 for answer in honest]


def proved(holders: Holders, sums: Collected, answers: Sequence[int], party: str = "p2") -> Parcel:
    """These answers with the best proof that their holder can make of them."""
    context = sums.terms.opened(sums.set_hash)
    proof = proofs.prove_partials(holders.joint, holders.shares[party], sums.product, answers, context, ENTROPY)
    return signed_partial(holders, sums, party, answers, proof)


def test_a_shifted_figure_is_refused_in_the_name_of_who_shifted_it() -> None:
    holders = Holders(3, value_bits=32)
    sums, answers = answered(holders)
    refused(holders, answers, proved(holders, sums, shifted(holders, sums, 1000)), by="p2")


def test_the_planted_fault_of_answers_without_a_look_at_their_proofs_releases_the_shifted_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_proofs(monkeypatch)
    holders = Holders(3, value_bits=32)
    sums, answers = answered(holders)
    false = proved(holders, sums, shifted(holders, sums, 1000))
    receive(holders, *with_one(tuple(answers.values()), false))
    assert holders.aggregator.released[0].numbers == [TOTAL[0] + 1000]


def test_a_changed_sign_changes_no_figure_whether_its_proof_passes_or_not() -> None:
    endings: Counter[str] = Counter()
    for salt in map(str, range(24)):
        holders = Holders(3, value_bits=32, salt=salt)
        sums, answers = answered(holders)
        square = holders.joint.public.n**2
        honest = threshold.partials(holders.joint, holders.shares["p2"], sums.product)
        negated = proved(holders, sums, [square - answer for answer in honest])
        try:
            receive(holders, *with_one(tuple(answers.values()), negated))
        except ProtocolViolation as fault:
            assert fault.party == "p2"
            endings["refused"] += 1
            continue
        assert holders.aggregator.released[0].numbers == TOTAL
        endings["the same figure"] += 1
    assert set(endings) == {"refused", "the same figure"}, "both happen: a batched proof does not see every sign"


def test_the_planted_fault_of_a_sign_that_is_not_squared_away_loses_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsquared(joint: JointKey, given: Sequence[int], answers: dict[str, Sequence[int]]) -> list[int]:
        n = joint.public.n
        found = threshold.ciphertexts.product(n, list(answers.values()))
        if any(power % n != 1 for power in found):
            raise BadPartial("no plaintext")
        return [(power - 1) // n * gmpy2.invert(2 * joint.theta, n) % n for power in found]

    no_proofs(monkeypatch)
    monkeypatch.setattr(threshold, "combine", unsquared)
    for negate, released in ((False, True), (True, False)):
        holders = Holders(3, value_bits=32)
        sums, answers = answered(holders)
        square = holders.joint.public.n**2
        honest = threshold.partials(holders.joint, holders.shares["p2"], sums.product)
        said = proved(holders, sums, [square - answer if negate else answer for answer in honest])
        receive(holders, *with_one(tuple(answers.values()), said))
        assert bool(holders.aggregator.released) is released


@pytest.mark.parametrize("off", [1, -1, 1 << 64])
def test_answers_with_another_share_are_refused_in_the_holder_s_name(off: int) -> None:
    holders = Holders(3, value_bits=32)
    sums, answers = answered(holders)
    other = replace(holders.shares["p2"], d=holders.shares["p2"].d + off)
    given = threshold.partials(holders.joint, other, sums.product)
    proof = proofs.prove_partials(holders.joint, other, sums.product, given, sums.terms.opened(sums.set_hash), ENTROPY)
    refused(holders, answers, signed_partial(holders, sums, "p2", given, proof), by="p2")


def test_the_planted_fault_of_another_share_without_a_look_ends_the_sum_with_nobody_to_blame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_proofs(monkeypatch)
    holders = Holders(3, value_bits=32)
    sums, answers = answered(holders)
    other = replace(holders.shares["p2"], d=holders.shares["p2"].d + 1)
    given = threshold.partials(holders.joint, other, sums.product)
    receive(holders, *with_one(tuple(answers.values()), signed_partial(holders, sums, "p2", given, b"proof")))
    assert [blame.party for blame in holders.aggregator.blames] == [""]


@pytest.mark.parametrize("which", ["of another party", "of another list", "of an earlier sum"])
def test_a_proof_of_other_answers_is_none_of_these(which: str) -> None:
    holders = Holders(3, value_bits=32)
    sums, answers = answered(holders)
    context = sums.terms.opened(bytes(32))
    given = threshold.partials(holders.joint, holders.shares["p2"], sums.product)
    earlier = Holders(3, value_bits=32, job_hash=b"e" * 32)
    of = {
        "of another party": lambda: proof_of(answers["p0"]),
        "of another list": lambda: proofs.prove_partials(
            holders.joint, holders.shares["p2"], sums.product, given, context, ENTROPY
        ),
        "of an earlier sum": lambda: proof_of(answered(earlier)[1]["p2"]),
    }
    refused(holders, answers, signed_partial(holders, sums, "p2", given, of[which]()), by="p2")


# --- another verification key ----------------------------------------------------------------------------------------


def with_vks(joint: JointKey, change: Callable[[list[int], int], None]) -> JointKey:
    vks = list(joint.vks)
    change(vks, joint.public.n**2)
    return replace(joint, vks=tuple(vks))


def one_changed(vks: list[int], square: int) -> None:
    vks[0] = vks[0] * vks[1] % square


def two_that_cancel(vks: list[int], square: int) -> None:
    vks[0], vks[1] = vks[0] * 4 % square, vks[1] * pow(4, -1, square) % square


def test_a_wrong_verification_key_is_no_key_and_one_that_fits_is_not_the_setup_s() -> None:
    joint = key_of(3)[0]
    with pytest.raises(BadKey, match="do not make up theta"):
        with_vks(joint, one_changed).check()
    fitting = with_vks(joint, two_that_cancel)
    fitting.check()
    holders = Holders(3)
    for false in (with_vks(joint, one_changed), fitting):
        with pytest.raises(Misuse, match="joint key"):
            holders.parties["p0"].give(replace(holders.beginning("p0"), joint=false.to_bytes()))


def test_the_planted_fault_of_a_key_that_nobody_compares_names_the_honest_holder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under verification keys that others chose for it, an honest holder cannot show that it used its share."""
    false = with_vks(key_of(3)[0], two_that_cancel)
    monkeypatch.setattr(Terms, "of", classmethod(lambda cls, spec, _joint, of=Terms.of: of(spec, false)))
    shares = {name: replace(share, joint=false.digest) for name, share in key_of(3)[1].items()}
    honest = checking.threshold.partials
    monkeypatch.setattr(
        checking.threshold, "partials", lambda joint, share, given: honest(joint, shares[share.holder], given)
    )
    holders = Holders(3, value_bits=32)
    _, answers = answered(holders)
    with pytest.raises(ProtocolViolation, match="does not hold, from p0, p1") as caught:
        receive(holders, *answers.values())
    assert caught.value.party == "p0"


# --- one party alone, and different lists for different parties ------------------------------------------------------


def test_nobody_answers_for_fewer_than_all_parties() -> None:
    holders = Holders(4, value_bits=32)
    ciphers = contributed(holders, {p: [10 + place] for place, p in enumerate(names(4))})
    for who in (["p0"], ["p0", "p1"], ["p0", "p1", "p2"], ["p1", "p2", "p3"]):
        for p in names(4):
            with pytest.raises(ProtocolViolation, match="expected every party") as caught:
                holders.branch().deliver(p, [ciphers[name] for name in who])
            assert caught.value.party == "relay"


def test_the_planted_fault_of_any_number_of_parties_opens_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of four are honest and answer for a list of one; the other two work with the coordinator."""

    def careless(terms: Terms, parcels: Sequence[Parcel], relay: str, **_: object) -> Collected:
        found = {parcel.message.sender: parcel for parcel in parcels}
        return checking.multiplied(terms, found, {p: checks.cipher(terms, of, relay) for p, of in found.items()})

    monkeypatch.setattr(checking, "collected", careless)
    holders = Holders(4, value_bits=32)
    ciphers = contributed(holders, {p: [1000 + place] for place, p in enumerate(names(4))})
    alone = (ciphers["p1"],)
    honest = [answer for p in ("p0", "p1") if (answer := holders.deliver(p, alone)) is not None]
    (plaintext,) = opened(holders, product_of(holders, alone), honest)
    assert first_slot(holders, plaintext) == 1001


def split(holders: Holders) -> tuple[dict[str, tuple[Parcel, ...]], dict[str, Parcel]]:
    """The cheat p2 signs two vectors; p0 is shown the one, p1 the other. What each was shown, and answered."""
    ciphers = contributed(holders, VECTORS)
    other = holders.branch()
    twin = Holders(3, value_bits=32, salt="other")
    twin.joined()
    second = twin.contribute("p2", [8])
    shown = {
        "p0": tuple(ciphers.values()),
        "p1": with_one(tuple(ciphers.values()), second),
        "p2": tuple(ciphers.values()),
    }
    assert other.setup == twin.setup
    answers = {p: answer for p in names(3) if (answer := holders.deliver(p, shown[p])) is not None}
    return shown, answers


def test_parties_that_are_shown_different_lists_open_nothing_and_name_the_relay() -> None:
    holders = Holders(3, value_bits=32)
    shown, answers = split(holders)
    for p in ("p0", "p1"):
        with pytest.raises(ProtocolViolation, match="another list") as caught:
            holders.deliver(p, tuple(answers.values()))
        assert caught.value.party == "relay"
        assert not holders.parties[p].released
    for seen in shown.values():  # neither list opens from answers to both
        with pytest.raises(BadPartial):
            opened(holders, product_of(holders, seen), [answers["p0"], answers["p1"]])
    with pytest.raises(ProtocolViolation, match="a second, different one") as caught:
        receive(holders, *shown["p0"], *shown["p1"])
    assert caught.value.party == "p2", "an honest coordinator names the cheat"


def test_the_planted_fault_of_answers_that_do_not_say_to_what_names_an_honest_party(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Terms, "set_hash", lambda self, _digests: self.spec_hash)
    holders = Holders(3, value_bits=32)
    _, answers = split(holders)
    with pytest.raises(ProtocolViolation, match="does not hold") as caught:
        holders.deliver("p0", tuple(answers.values()))
    assert caught.value.party == "p1"


def test_a_party_answers_once_and_for_one_list() -> None:
    holders = Holders(3, value_bits=32)
    shown, answers = split(holders)
    machine = holders.parties["p0"]
    assert [effect.parties for effect in machine.effects if isinstance(effect, Intend)] == [names(3)]
    for again in (shown["p1"], shown["p0"]):
        effects = len(machine.effects)
        if again == shown["p0"]:
            assert holders.deliver("p0", again) is None
        else:
            with pytest.raises(ProtocolViolation):
                holders.deliver("p0", again)
        assert len(machine.effects) == effects
    assert answers["p0"].message.value.set_hash != answers["p1"].message.value.set_hash  # type: ignore[attr-defined]


# --- what proofs give away -------------------------------------------------------------------------------------------


def share_from(holders: Holders, one: tuple[Collected, Parcel], other: tuple[Collected, Parcel]) -> int | None:
    """The share that two proofs with one nonce give away: what their answers and challenges differ by."""
    found = []
    for sums, parcel in (one, other):
        context, numbers = sums.terms.opened(sums.set_hash), numbers_of(holders, parcel)
        shown = proofs._shown(holders.joint, "p0", sums.product, numbers, context, proof_of(parcel))
        found.append((shown.answer, shown.challenge))
    (answer, challenge), (other_answer, other_challenge) = found
    share, rest = divmod(answer - other_answer, challenge - other_challenge)
    return int(share) if rest == 0 else None


def twice(holders: Holders) -> int | None:
    """A memory that was put back lets p0 answer for two lists; what its two proofs give away."""
    rolled_back = Holders(3, value_bits=32)
    shown, answers = split(holders)
    contributed(rolled_back, VECTORS)
    again = rolled_back.deliver("p0", shown["p1"])
    assert again is not None
    return share_from(
        holders, (product_of(holders, shown["p0"]), answers["p0"]), (product_of(holders, shown["p1"]), again)
    )


def test_a_memory_that_was_put_back_does_not_give_the_share_away() -> None:
    assert twice(Holders(3, value_bits=32)) is None


def test_the_planted_fault_of_a_nonce_that_does_not_know_what_it_proves_gives_the_share_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proofs, "Draws", lambda entropy, label, *_: Draws(entropy, label))
    holders = Holders(3, value_bits=32)
    assert twice(holders) == holders.shares["p0"].d


def test_a_share_under_a_fresh_key_opens_nothing_of_another() -> None:
    other, shares = key_of(3, salt="another epoch")
    holders = Holders(3, value_bits=32)
    sums, _ = answered(holders)
    with pytest.raises(Misuse, match="another key"):
        threshold.partials(holders.joint, shares["p0"], sums.product)
    assert other.digest != holders.joint.digest
    assert Engine(other.public, ENTROPY).encrypt([1]) != Engine(holders.joint.public, ENTROPY).encrypt([1])


def test_numbers_behind_a_message_are_what_was_signed() -> None:
    holders = Holders(3, value_bits=32)
    _, answers = answered(holders)
    bare = with_numbers(holders, answers["p2"], [2])
    refused(holders, answers, bare, by="p2")
