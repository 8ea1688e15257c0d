"""A false total would steer the plan: which query comes next, and so what is learned. Nobody takes one on trust.

And parties that are told different things - another plan, model, encoding or history, in one bit - get masks that do
not cancel: the sum is noise, and the head of whoever differs is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation.crypto import ring
from federation.crypto.ring import CHUNK_BYTES
from federation.errors import ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Contribute, Delivered, Parcel, Received, Release
from federation.protocols.masked_sum import checking, checks, masks, opening, party
from federation.protocols.masked_sum.messages import Opening
from federation.protocols.setup import Check, Spec
from tests.attacks.masked_sum.malice import is_uniform
from tests.protocols.cohort import COORDINATOR, PHASES, Cohort, attested, entropy, names, plain_sum, sent

NUMBERS = {name: [10**i, 7] for i, name in enumerate(names(4))}
TRUE = [1_111, 28]
Bundle = tuple[Parcel, ...]


# --- the total -------------------------------------------------------------------------------------------------------


def about_to_open(lost: str = "") -> tuple[Cohort, Bundle]:
    """Four parties who have given their shares, and the honest opening."""
    cohort = Cohort(4, 2)
    there = [name for name in names(4) if name != lost]
    for phase in PHASES[:-1]:
        cohort.take(phase, names(4) if phase in PHASES[:2] else there, NUMBERS)
    return cohort, cohort.inbox["p0"][-1]


def said_too(bundle: Bundle, **changes: Any) -> Bundle:
    """The opening, with other fields."""
    *heads, said = bundle
    return (*heads, replace(said, message=attested(replace(said.message.value, **changes))))  # type: ignore[type-var]


def one_word(bundle: Bundle) -> Bundle:
    chunk = bytearray(bundle[1].chunks[0])
    chunk[3] ^= 1
    return (bundle[0], replace(bundle[1], chunks=(bytes(chunk),)), *bundle[2:])


def swapped(bundle: Bundle) -> Bundle:
    one, other, *rest = bundle
    return (replace(one, chunks=other.chunks), replace(other, chunks=one.chunks), *rest)


# what the relay does -> whether the sum is still the same
LIES: dict[str, Callable[[Bundle], Bundle]] = {
    "it alters one word of a vector": one_word,
    "it leaves a party out": lambda bundle: (*bundle[:1], *bundle[2:]),
    "it counts a party twice": lambda bundle: (*bundle[:2], *bundle[1:]),
    "it swaps two vectors": swapped,
    "it says another total": lambda bundle: said_too(bundle, total_root=b"x" * 32),
    "it says another list": lambda bundle: said_too(bundle, u3_hash=b"x" * 32),
    "it says another round": lambda bundle: said_too(bundle, spec_hash=b"x" * 32),
    "it opens another seed": lambda bundle: said_too(bundle, seeds=(b"x" * 32, *seeds_in(bundle)[1:])),
    "it says nothing": lambda bundle: bundle[:-1],
}


def seeds_in(bundle: Bundle) -> tuple[bytes, ...]:
    value = bundle[-1].message.value
    assert isinstance(value, Opening)
    return value.seeds


@pytest.mark.parametrize("lie", LIES)
def test_a_party_takes_no_total_but_the_one_that_all_vectors_add_up_to(lie: str) -> None:
    cohort, honest = about_to_open()
    machine = cohort.parties["p0"]
    before = machine.state
    with pytest.raises(ProtocolViolation) as caught:
        machine.give(Delivered(parcels=LIES[lie](honest)))
    assert caught.value.party == COORDINATOR
    assert machine.state == before
    assert not machine.released
    machine.give(Delivered(parcels=honest))
    assert machine.released[0].numbers == TRUE


def released(bundle: Bundle, cohort: Cohort) -> list[int]:
    cohort.parties["p0"].give(Delivered(parcels=bundle))
    return cohort.parties["p0"].released[0].numbers


def summed_with(cohort: Cohort, heads: Sequence[Parcel], seeds: Sequence[bytes]) -> tuple[list[int], bytes]:
    """What these vectors and seeds add up to, and the root that the relay would say of it."""
    state = cohort.parties["p0"].state
    assert isinstance(state, party.Unmasked)
    secrets = opening.Secrets(seeds=dict(zip(names(4), seeds, strict=True)), keys={})
    off = secrets.streams(state.known.masked, state.known.binding)
    total, leaves = masks.summed([parcel.chunks for parcel in heads], "z2^128", off)
    return ring.to_ints(ring.from_bytes(b"".join(total))), merkle.root(leaves)


def test_the_planted_fault_of_vectors_that_are_not_held_against_their_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that alters a word says the root of what that gives, and the party believes it."""
    strict = checks.vector
    monkeypatch.setattr(
        checks, "vector", lambda spec, value, chunks, relay, **_: strict(spec, value, chunks, relay, rooted=False)
    )
    cohort, honest = about_to_open()
    false = one_word(honest)
    with pytest.raises(ProtocolViolation, match="another total"):  # the stated root still holds it
        released(false, cohort.branch())
    total, root = summed_with(cohort, false[:-1], seeds_in(honest))
    assert released(said_too(false, total_root=root), cohort) == total != TRUE


def test_a_party_that_is_left_out_after_all_agreed_leaves_its_masks_on() -> None:
    """Even a member that looked at nothing would see noise."""
    cohort, honest = about_to_open()
    total, _ = summed_with(cohort, (honest[0], *honest[2:-1]), seeds_in(honest))
    assert all(abs(number) > 2**90 for number in total)


def test_the_planted_fault_of_a_total_on_trust_releases_what_the_coordinator_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    false = plain_sum(Cohort(4, 2), {"p0": [0, 0]}, ["p0"])
    monkeypatch.setattr(checking, "recomputed", lambda known, _parcels, _relay: Release.of(false, known.counted))
    cohort, honest = about_to_open()
    assert released(honest, cohort) == [0, 0]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_a_party_takes_no_total_but_the_one_that_all_vectors_add_up_to("it says another total")


def test_the_planted_fault_of_secrets_that_are_not_held_against_commitments(monkeypatch: pytest.MonkeyPatch) -> None:
    """With any seed for p1 the relay chooses the total of all: it says the root of what its own seed gives."""
    monkeypatch.setattr(opening.Masked, "fits_seed", lambda *_: True)
    cohort, honest = about_to_open()
    seeds = (b"x" * 32, *seeds_in(honest)[1:])
    total, root = summed_with(cohort, honest[:-1], seeds)
    assert released(said_too(honest, seeds=seeds, total_root=root), cohort) == total != TRUE


def test_a_lost_party_s_key_is_held_against_what_it_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, honest = about_to_open(lost="p3")
    false = said_too(honest, keys=(b"x" * 32,))
    with pytest.raises(ProtocolViolation, match="another key"):
        released(false, cohort)
    monkeypatch.setattr(opening.Masked, "fits_key", lambda *_: True)
    with pytest.raises(ProtocolViolation, match="another total"):  # the next guard: the stated root
        released(false, cohort)


def test_two_chunks_of_one_vector_cannot_be_swapped() -> None:
    length = 3 * CHUNK_BYTES // 16
    cohort = Cohort(3, length)
    numbers = {name: list(range(length)) for name in names(3)}
    for phase in PHASES[:-1]:
        cohort.take(phase, names(3), numbers)
    honest = cohort.inbox["p0"][-1]
    one, *rest = honest
    false = (replace(one, chunks=(one.chunks[1], one.chunks[0], one.chunks[2])), *rest)
    with pytest.raises(ProtocolViolation, match="other bytes"):
        cohort.parties["p0"].give(Delivered(parcels=false))


# --- different things for different parties --------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


SPECS: dict[str, Callable[[Spec], Spec]] = {
    "the plan or the model": lambda spec: replace(spec, round_digest=flipped(spec.round_digest)),
    "what was opened so far": lambda spec: replace(spec, transcript_hash=flipped(spec.transcript_hash)),
    "the encoding": lambda spec: replace(spec, encoding=b"e" * 32),
    "how it is checked": lambda spec: replace(spec, check=Check.SAMPLE),
}
LENGTH = 16 * 1024


def told_otherwise(other: Callable[[Spec], Spec], length: int = 1) -> tuple[Cohort, dict[str, Parcel]]:
    """Three parties, of whom p1, the victim, is told something else; the others have nothing but zeros."""
    cohort = Cohort(3, length)
    cohort.shared()
    said = {}
    for name, machine in cohort.parties.items():
        spec = other(cohort.spec) if name == "p1" else cohort.spec
        contribution = Contribute.of(spec, [123_456 if name == "p1" else 0] * length)
        said[name] = sent(machine.give(contribution))
    return cohort, said


def summed_by_relay(cohort: Cohort, said: dict[str, Parcel]) -> bytes:
    """What the relay has once everybody's own mask is opened, as it always is."""
    state = cohort.parties["p0"].state
    assert isinstance(state, party.Masked)
    off = []
    for name, machine in cohort.parties.items():
        own = machine.state
        assert isinstance(own, party.Masked)
        off.append(masks.self_seed(masks.secrets_of(entropy(name), cohort.setup).seed, name, own.binding))
    total, _ = masks.summed([said[name].chunks for name in names(3)], "z2^128", masks.Streams(subtract=tuple(off)))
    return b"".join(total)


@pytest.mark.parametrize("what", SPECS)
def test_a_victim_that_is_told_something_else_in_one_bit_leaves_noise(what: str) -> None:
    """The others would add zeros, and the sum be the victim's update (Pasquini et al. 2022): it is noise."""
    cohort, said = told_otherwise(SPECS[what], LENGTH)
    assert is_uniform(summed_by_relay(cohort, said))


@pytest.mark.parametrize("what", SPECS)
def test_both_roles_name_the_one_whose_head_is_of_another_spec(what: str) -> None:
    cohort, said = told_otherwise(SPECS[what])
    bundle = tuple(Parcel(message=parcel.message) for parcel in said.values())
    with pytest.raises(ProtocolViolation, match="one for another spec") as caught:
        cohort.parties["p0"].give(Delivered(parcels=bundle))
    assert caught.value.party == "p1"
    with pytest.raises(ProtocolViolation, match="one for another spec") as caught:
        cohort.receive(Received(parcel=said["p1"]))
    assert caught.value.party == "p1"


@pytest.mark.parametrize("what", SPECS)
def test_the_planted_fault_of_masks_that_do_not_know_the_spec_reads_the_victim(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "pair_info", lambda _binding, low, high: (low.party + high.party).encode())
    cohort, said = told_otherwise(SPECS[what], LENGTH)
    total = summed_by_relay(cohort, said)
    assert not is_uniform(total)
    assert set(ring.to_ints(ring.from_bytes(total))) == {123_456}


def test_a_total_does_not_depend_on_the_order_in_which_vectors_are_added() -> None:
    words = np.arange(64, dtype="<u8") * np.uint64(0x9E3779B97F4A7C15)
    vectors = [(words.tobytes(),), (words[::-1].tobytes(),), ((words * 3).tobytes(),)]
    for kind in ("z2^64", "z2^128"):
        orders = ((0, 1, 2), (2, 0, 1), (1, 2, 0))
        totals = {masks.summed([vectors[i] for i in order], kind, masks.Streams())[0] for order in orders}
        assert len(totals) == 1
