"""Ciphertexts that their sender did not encrypt: of a victim, of this job or an earlier one, multiplied or moved.

Whoever multiplies a victim's ciphertext into the sum where it has slots for itself reads the victim alone: no
signature of its own stops it, only the proof of what is in it, which is bound to party, sum and job.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from federation.crypto.paillier import proofs
from federation.errors import ProtocolViolation
from federation.protocols.events import Delivered, Parcel
from federation.protocols.paillier_sum import checks, terms
from federation.protocols.paillier_sum.terms import Terms
from federation.protocols.setup import root_of
from tests.attacks.paillier.malice import (
    ENTROPY,
    altered,
    contributed,
    first_slot,
    moved,
    numbers_of,
    opened,
    product_of,
    proof_of,
    receive,
    with_numbers,
)
from tests.protocols.cohort import names
from tests.protocols.paillier_sum.holders import Holders, with_one

SECRET = 123456789
VECTORS = {"p0": [SECRET], "p1": [1000], "p2": [7]}
JOBS = ("the same job", "an earlier job")


def setting(job: str) -> tuple[Holders, dict[str, Parcel], Parcel]:
    """Holders who have encrypted, their ciphers, and the victim's that the cheat has got: of this job or another."""
    holders = Holders(3, value_bits=32)
    ciphers = contributed(holders, VECTORS)
    if job == "the same job":
        return holders, ciphers, ciphers["p0"]
    earlier = Holders(3, value_bits=32, job_hash=b"e" * 32)
    return holders, ciphers, contributed(earlier, VECTORS)["p0"]


def proofs_that_a_cheat_has(holders: Holders, ciphers: dict[str, Parcel], victim: Parcel) -> dict[str, bytes]:
    """The victim's proof, its own honest one, and one that it makes for a plaintext that it knows."""
    public, known = holders.joint.public, Terms.of(holders.spec, holders.joint).known("p2")
    return {
        "the victim's": proof_of(victim),
        "its own": proof_of(ciphers["p2"]),
        "made up": proofs.prove_plaintexts(public, [0], [5], moved(holders, victim, 5), known, ENTROPY),
    }


@pytest.mark.parametrize("proof", ["the victim's", "its own", "made up"])
@pytest.mark.parametrize("how", ["copied", "moved"])
@pytest.mark.parametrize("job", JOBS)
def test_a_victim_s_ciphertext_is_refused_in_the_name_of_who_sends_it_by_both_roles(
    job: str, how: str, proof: str
) -> None:
    holders, ciphers, victim = setting(job)
    numbers = numbers_of(holders, victim) if how == "copied" else moved(holders, victim, 5)
    shown = proofs_that_a_cheat_has(holders, ciphers, victim)[proof]
    forged = with_numbers(holders, ciphers["p2"], numbers, proof=shown)
    receive(holders, ciphers["p0"], ciphers["p1"])
    with pytest.raises(ProtocolViolation, match="proof") as caught:
        receive(holders, forged)
    assert caught.value.party == "p2"
    for p in ("p0", "p1"):
        with pytest.raises(ProtocolViolation, match="proof") as caught:
            holders.deliver(p, with_one(tuple(ciphers.values()), forged))
        assert caught.value.party == "p2"
        assert not any(type(effect).__name__ == "Intend" for effect in holders.parties[p].effects)


def plant_no_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "known", lambda *_: None)


@pytest.mark.parametrize("job", JOBS)
def test_the_planted_fault_of_ciphertexts_without_a_proof_reads_the_victim_alone(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_no_proofs(monkeypatch)
    holders, ciphers, victim = setting(job)
    bundle = with_one(tuple(ciphers.values()), with_numbers(holders, ciphers["p2"], moved(holders, victim, 5)))
    honest = [answer for p in ("p0", "p1") if (answer := holders.deliver(p, bundle)) is not None]
    (plaintext,) = opened(holders, product_of(holders, bundle), honest)
    assert first_slot(holders, plaintext, 5) == SECRET


@pytest.mark.parametrize("bound", ["party", "spec"])
def test_the_planted_fault_of_a_proof_that_does_not_know_party_or_sum_takes_a_copy(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy with the victim's own proof: of this job by another party, or of an earlier job by the same one."""
    kept = (lambda self, _party: self.spec_hash) if bound == "party" else (lambda _self, party: party.encode())
    monkeypatch.setattr(terms.Terms, "known", kept)
    holders, ciphers, victim = setting("the same job" if bound == "party" else "an earlier job")
    sender = "p2" if bound == "party" else "p0"
    copied = with_numbers(holders, ciphers[sender], numbers_of(holders, victim), proof=proof_of(victim))
    bundle = with_one(tuple(ciphers.values()), copied)
    assert holders.deliver("p1", bundle) is not None, "nobody saw it"


# --- a coordinator that computes with ciphertexts ------------------------------------------------------------------


def scaled(holders: Holders, parcel: Parcel, factor: int) -> list[int]:
    """E(5) becomes E(500)."""
    return [pow(number, factor, holders.joint.public.n**2) for number in numbers_of(holders, parcel)]


def test_a_ciphertext_that_the_coordinator_multiplied_is_the_coordinator_s_fault() -> None:
    holders, ciphers, _ = setting("the same job")
    bundle = with_one(tuple(ciphers.values()), altered(holders, ciphers["p0"], scaled(holders, ciphers["p0"], 100)))
    for p in names(3):
        with pytest.raises(ProtocolViolation, match="other bytes") as caught:
            holders.deliver(p, bundle)
        assert caught.value.party == "relay"


def any_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks need not be under the signed root."""
    honest = checks._under

    def careless(of: Terms, _root: bytes, parcel: Parcel, relay: str, phase: str) -> bytes:
        return honest(of, root_of(parcel.chunks), parcel, relay, phase)

    monkeypatch.setattr(checks, "_under", careless)


def test_the_planted_fault_of_chunks_that_nobody_signed_for_names_the_honest_party(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    any_root(monkeypatch)
    holders, ciphers, _ = setting("the same job")
    bundle = with_one(tuple(ciphers.values()), altered(holders, ciphers["p0"], scaled(holders, ciphers["p0"], 100)))
    with pytest.raises(ProtocolViolation, match="proof") as caught:
        holders.deliver("p1", bundle)
    assert caught.value.party == "p0"


def test_the_planted_fault_of_neither_root_nor_proof_multiplies_the_victim(monkeypatch: pytest.MonkeyPatch) -> None:
    any_root(monkeypatch)
    plant_no_proofs(monkeypatch)
    holders, ciphers, _ = setting("the same job")
    bundle = with_one(tuple(ciphers.values()), altered(holders, ciphers["p0"], scaled(holders, ciphers["p0"], 100)))
    honest = [answer for p in ("p1",) if (answer := holders.deliver(p, bundle)) is not None]
    sums = product_of(holders, bundle)
    (plaintext,) = opened(holders, sums, honest)
    offset = Terms.of(holders.spec, holders.joint).slots.offset
    assert plaintext == 100 * (SECRET + offset) + 1000 + 7 + 2 * offset


# --- what travels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_a_message_looks_the_same_whatever_the_number_is(number: int) -> None:
    """One scale for all: there is no exponent, which tells phe's readers how large a number is."""

    def look(numbers: Sequence[int]) -> tuple[bytes, int, int, tuple[int, ...]]:
        holders = Holders(3, len(numbers), value_bits=32)
        holders.joined()
        said = holders.contribute("p0", numbers)
        value = said.message.value
        return value.header, len(proof_of(said)), len(value.chunk_root), tuple(map(len, said.chunks))  # type: ignore[attr-defined]

    assert look([number] * 3) == look([0, 1, 2])


def test_nobody_answers_for_a_list_before_all_of_it_was_looked_at() -> None:
    holders, ciphers, victim = setting("the same job")
    forged = with_numbers(holders, ciphers["p2"], moved(holders, victim, 5), proof=proof_of(victim))
    machine = holders.parties["p0"]
    state, effects = machine.state, len(machine.effects)
    with pytest.raises(ProtocolViolation):
        machine.give(Delivered(parcels=with_one(tuple(ciphers.values()), forged)))
    assert machine.state is state
    assert len(machine.effects) == effects
    assert holders.deliver("p0", tuple(ciphers.values())) is not None, "the honest list is answered still"
